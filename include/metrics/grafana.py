"""Dashboards as Grafana reads them, for InfluxDB and for VictoriaMetrics."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from include.metrics.panels import DASHBOARDS, Dashboard, Panel, Query
from include.metrics.queries import influxql, metricsql

WIDTH = 12
HEIGHT = 8


@dataclass(frozen=True)
class Source:
    """What Grafana asks."""

    name: str
    type: str
    target: Callable[[Query], dict[str, Any]]


def _of_influxdb(query: Query) -> dict[str, Any]:
    alias = " ".join([query.name, *(f"$tag_{tag}" for tag in query.by)]).strip()
    return {"query": influxql(query), "rawQuery": True, "resultFormat": "time_series", "alias": alias or query.field}


def _of_victoria(query: Query) -> dict[str, Any]:
    legend = " ".join([query.name, *(f"{{{{{tag}}}}}" for tag in query.by)]).strip()
    return {"expr": metricsql(query), "range": True, "legendFormat": legend or query.field}


SOURCES = (
    Source("influxdb", "influxdb", _of_influxdb),
    Source("victoriametrics", "prometheus", _of_victoria),
)


def files() -> Mapping[str, str]:
    """Return the content of each file by its path below dashboards/."""
    return {
        f"{source.name}/{dashboard.name}.json": json.dumps(_document(dashboard, source), indent=2) + "\n"
        for source in SOURCES
        for dashboard in DASHBOARDS
    }


def _document(dashboard: Dashboard, source: Source) -> dict[str, Any]:
    return {
        "uid": f"dts-{dashboard.name}",
        "title": dashboard.title,
        "tags": ["data transfer"],
        "timezone": "utc",
        "schemaVersion": 39,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "label": "Source", "type": "datasource", "query": source.type}]},
        "panels": [_panel(number, panel, source) for number, panel in enumerate(dashboard.panels)],
    }


def _panel(number: int, panel: Panel, source: Source) -> dict[str, Any]:
    asked = {"type": source.type, "uid": "${datasource}"}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.meaning,
        "datasource": asked,
        # Samples are a minute apart: shorter intervals would have gaps.
        "interval": "5m",
        "gridPos": {"x": number % 2 * WIDTH, "y": number // 2 * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": {"spanNulls": 900_000}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": asked, **source.target(query)}
            for place, query in enumerate(panel.queries)
        ],
    }
