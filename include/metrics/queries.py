"""Queries in two languages: InfluxQL for InfluxDB, MetricsQL for VictoriaMetrics. `$…` is filled in by Grafana."""

from include.metrics.catalogue import CATALOGUE
from include.metrics.panels import How, Query

_SERIES = {How.LEVEL: "mean", How.WORST: "max", How.LEAST: "min"}
_TOGETHER = {How.LEVEL: "sum", How.WORST: "max", How.LEAST: "min"}
_EVENTS = {
    How.TOTAL: 'sum("{field}")',
    How.NUMBER: 'count("{field}")',
    How.RATE: 'sum("{field}") / ($__interval_ms / 1000)',
    How.MOST: 'percentile("{field}", 95)',
}
_OVER_TIME = {
    How.LEVEL: "sum(avg_over_time({series}[$__interval]))",
    How.WORST: "max(max_over_time({series}[$__interval]))",
    How.LEAST: "min(min_over_time({series}[$__interval]))",
    How.TOTAL: "sum(sum_over_time({series}[$__interval]))",
    How.NUMBER: "sum(count_over_time({series}[$__interval]))",
    How.RATE: "sum(sum_over_time({series}[$__interval])) / ($__interval_ms / 1000)",
    How.MOST: "max(quantile_over_time(0.95, {series}[$__interval]))",
}


def influxql(query: Query) -> str:
    """Return the query for InfluxDB (InfluxQL, which InfluxDB 2 answers for a bucket with a DBRP mapping)."""
    only = "".join(f" AND \"{tag}\" = '{value}'" for tag, value in query.where.items())
    by = "".join(f', "{tag}"' for tag in query.by)
    if query.how in _EVENTS:
        selected = _EVENTS[query.how].format(field=query.field)
        return (
            f'SELECT {selected} FROM "{query.measurement}" WHERE $timeFilter{only}'  # noqa: S608 - of our own words
            f" GROUP BY time($__interval){by} fill(none)"
        )
    # Of each series first: two lanes with 3 waiting each are 6, however many samples there are.
    tags = "".join(f', "{tag}"' for tag in CATALOGUE[query.measurement].tags)
    inner = (
        f'SELECT {_SERIES[query.how]}("{query.field}") AS "each"'  # noqa: S608 - the same
        f' FROM "{query.measurement}" WHERE $timeFilter{only}'
        f" GROUP BY time($__interval){tags} fill(none)"
    )
    return (
        f'SELECT {_TOGETHER[query.how]}("each") FROM ({inner}) WHERE $timeFilter'  # noqa: S608 - the same
        f" GROUP BY time($__interval){by} fill(none)"
    )


def metricsql(query: Query) -> str:
    """Return the query for VictoriaMetrics."""
    only = ",".join(f'{tag}="{value}"' for tag, value in query.where.items())
    series = f"{query.measurement}_{query.field}" + (f"{{{only}}}" if only else "")
    together, _, rest = _OVER_TIME[query.how].partition("(")
    by = f" by ({', '.join(query.by)}) " if query.by else ""
    return f"{together}{by}({rest.format(series=series)}"
