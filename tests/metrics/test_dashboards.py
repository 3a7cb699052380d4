"""Every query of every dashboard finds what we really write, in both languages; the files are what is described."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from include.metrics.catalogue import CATALOGUE
from include.metrics.documentation import document
from include.metrics.grafana import files
from include.metrics.influxdb import writer
from include.metrics.panels import DASHBOARDS, How, Query
from include.metrics.point import Point, lines_of
from include.metrics.queries import influxql, metricsql
from tests.lifecycle.archived import archived_package
from tests.metrics.done import attempts
from tests.metrics.influx import influx_running
from tests.metrics.test_catalogue import everything
from tests.metrics.victoria import victoria_running
from tests.observatory import Observatory

ROOT = Path(__file__).parents[2]
QUERIES = [query for dashboard in DASHBOARDS for panel in dashboard.panels for query in panel.queries]
INTERVAL = {"$__interval_ms": "86400000", "$__interval": "1d"}
NOT_WITHOUT_A_TIMETABLE = ("dts_link", "allowed_bytes_per_second")
NOT_WITHOUT_GROWTH = ("dts_location", "hours_left")


def filled(query: str) -> str:
    for name, value in INTERVAL.items():
        query = query.replace(name, value)
    return query.replace("$timeFilter", "time > now() - 1d")


@pytest.fixture
def written(observatory: Observatory) -> list[Point]:
    """What a busy observatory writes, and the two fields that need days to come."""
    package = archived_package(observatory)
    for kind, outcome in (("archiving", "completed"), ("scrubbing", "completed"), ("archiving", "lost")):
        attempts(package, 3, kind=kind, outcome=outcome)
    with observatory.engine.begin() as connection:
        connection.execute(text("insert into metric_export (stream, until_at) values ('attempts', now())"))
    points = everything(observatory)
    now = max(point.at for point in points)
    rare = [
        Point(
            measurement="dts_link",
            tags={"route": "a to b", "site": "us"},
            fields={"allowed_bytes_per_second": 5.0},
            at=now - timedelta(hours=1),
        ),
        Point(
            measurement="dts_location",
            tags={"site": "us", "location": "us_buffer", "location_type": "buffer"},
            fields={"hours_left": 5.0},
            at=now,
        ),
    ]
    return points + rare


def test_every_query_finds_something_in_victoriametrics(written: list[Point], tmp_path: Path) -> None:
    with victoria_running(tmp_path / "victoria") as server:
        writer(server.address)(lines_of(written))
        server.await_all()
        for query in QUERIES:
            found = server.query(filled(metricsql(query)), at=time.time() + 1)
            assert found, metricsql(query)
            assert all(set(series["metric"]) == {str(tag) for tag in query.by} for series in found), metricsql(query)


def test_every_query_finds_something_in_influxdb(written: list[Point], tmp_path: Path) -> None:
    with influx_running(tmp_path / "influx") as server:
        server.write(lines_of(written))
        for query in QUERIES:
            found = server.query(filled(influxql(query)))
            assert found, influxql(query)
            assert all(set(series.get("tags", {})) == {str(tag) for tag in query.by} for series in found)


@pytest.mark.slow
def test_both_languages_say_the_same(written: list[Point], tmp_path: Path) -> None:
    """Of what adds up: waiting operations, attempts, bytes."""
    same = [query for query in QUERIES if query.how in {How.NUMBER, How.LEVEL} and query.measurement != "dts_link"]
    with victoria_running(tmp_path / "victoria") as victoria, influx_running(tmp_path / "influx") as influx:
        writer(victoria.address)(lines_of(written))
        victoria.await_all()
        influx.write(lines_of(written))
        for query in same:
            at = time.time() + 1
            theirs = {
                tuple(sorted(each["metric"].items())): float(each["value"][1])
                for each in victoria.query(filled(metricsql(query)), at=at)
            }
            ours: dict[tuple[tuple[str, str], ...], float] = {}
            for series in influx.query(filled(influxql(query))):
                tags = tuple(sorted((name, value) for name, value in series.get("tags", {}).items() if value))
                ours[tags] = sum(value for _, value in series["values"])
            assert ours == pytest.approx(theirs), influxql(query)


def test_queries_are_about_what_is_in_the_catalogue() -> None:
    for query in QUERIES:
        measurement = CATALOGUE[query.measurement]
        assert query.field in measurement.fields
        assert {*query.by, *query.where} <= set(measurement.tags)
    assert {query.measurement for query in QUERIES} == set(CATALOGUE)


def test_every_panel_says_what_it_is_for() -> None:
    for dashboard in DASHBOARDS:
        titles = [panel.title for panel in dashboard.panels]
        assert len(titles) == len(set(titles))
        for panel in dashboard.panels:
            assert panel.meaning.endswith("."), panel.title


def committed() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "dashboards").rglob("*.json")):
        yield str(path.relative_to(ROOT / "dashboards")), path.read_text(encoding="utf-8")


def test_the_committed_dashboards_are_those_that_are_described() -> None:
    """Else: python -m include.metrics."""
    assert dict(committed()) == files()
    for content in files().values():
        panels = json.loads(content)["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_committed_page_is_that_of_the_catalogue() -> None:
    """Else: python -m include.metrics."""
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == document()


def test_two_lanes_with_three_waiting_each_are_six_however_often_they_were_looked_at() -> None:
    query = Query(measurement="dts_lane", field="pending", how=How.LEVEL)
    assert metricsql(query) == "sum(avg_over_time(dts_lane_pending[$__interval]))"
    assert 'SELECT sum("each") FROM (SELECT mean("pending") AS "each" FROM "dts_lane"' in influxql(query)
