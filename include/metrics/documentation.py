"""docs/metrics.md, made of the catalogue: `python -m include.metrics` writes it, and the dashboards."""

from collections.abc import Iterator

from include.metrics.catalogue import CATALOGUE

HEAD = """# Metrics

Written to InfluxDB 2 (or whatever takes its write API) every minute by the DAG `metrics`, from ops-db. Nothing is
lost while InfluxDB is away for up to 14 days, and nothing is doubled: the same measurement, tags and time are the
same point. (VictoriaMetrics needs `-dedup.minScrapeInterval=1ms` for that.) This page is made of
include/metrics/catalogue.py by `python -m include.metrics`.

- **Connection**: the Airflow connection `influxdb`: host, port, schema `https`, password the token (of a bucket, with
  the right to write), extras `organization` and `bucket`.
- **Scrapers**: `/dts/metrics` has what is sampled, as gauges `measurement_field`, for Prometheus; role viewer, a
  token of `dts token create`. What happened (attempts, arrivals, links) is in InfluxDB only.
- **Dashboards**: dashboards/influxdb and dashboards/victoriametrics, for Grafana. InfluxDB is asked in InfluxQL: give
  the bucket a DBRP mapping (`influx v1 dbrp create --db dts --rp autogen --default --bucket-id …`).
- **Retention**: 30 days as they are are enough for trouble: a day of 20,000 attempts and the samples of 3 sites are
  about 100,000 points, 5 MB. For years, keep means by the hour (a task in InfluxDB): bytes, numbers and the 95th
  percentile of `seconds` of `dts_attempt` and `dts_archived` by stage, location, instrument and outcome; the mean of
  `dts_lane` and `dts_location`. ops-db itself keeps every attempt.
- **Airflow's own metrics**: `AIRFLOW__METRICS__STATSD_ON=True` with `STATSD_HOST` and `STATSD_PORT` on scheduler,
  workers and api-server, to a Telegraf with the input `statsd` and the output `influxdb_v2` into the same bucket; or
  `AIRFLOW__METRICS__OTEL_ON=True` with an OpenTelemetry collector. Worth a panel: `scheduler.heartbeat`,
  `pool.open_slots.*`, `executor.queued_tasks`, `dag_processing.total_parse_time`. Keep
  `AIRFLOW__METRICS__METRICS_ALLOW_LIST=scheduler,executor,pool,dag_processing`: names with run ids in them have no
  bound.
"""


def document() -> str:
    """Return the page."""
    return HEAD + "".join(f"\n{line}" for line in _measurements()) + "\n"


def _measurements() -> Iterator[str]:
    for name, measurement in CATALOGUE.items():
        yield f"## {name}"
        yield ""
        yield f"{measurement.meaning} {measurement.when}"
        yield ""
        yield "| tag or field | meaning |"
        yield "|---|---|"
        for tag in measurement.tags:
            yield f"| tag `{tag}` | {tag.meaning} |"
        for field, meaning in measurement.fields.items():
            yield f"| `{field}` | {meaning} |"
        yield ""
