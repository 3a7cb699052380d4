"""Metrics: what was done and how things stand goes to InfluxDB every minute.

**What it does.** `export` reads ops-db: attempts that ended since the last round, what the routes carried, and how
lanes, locations, archives and workers are now; and writes it to the connection `influxdb`. docs/metrics.md names every
measurement with its tags and fields. Without that connection it does nothing; `/dts/metrics` serves scrapers.

**Safe to repeat?** Always. A round sends from where the last one ended; what is sent twice is the same points.

**When it fails.** ops-db cannot be reached, or lacks tables (`dts db upgrade`). InfluxDB away does not make it red:
the return value says since when it does not take anything, and for 14 days nothing is lost.

**To stop it.** Pause this DAG: data goes on moving. What was done meanwhile is sent later; how things stood is not.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, DeltaTriggerTimetable

from include.airflow_glue.metrics import export_once
from include.airflow_glue.notifier import AlarmNotifier

with DAG(
    dag_id="metrics",
    dag_display_name="9 metrics",
    description=__doc__.splitlines()[0],
    doc_md=__doc__,
    schedule=DeltaTriggerTimetable(timedelta(minutes=1)),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # Two rounds would send the same.
    max_active_runs=1,
    default_args={
        "owner": "data-transfer",
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        # A round stops sending after 40 seconds.
        "execution_timeout": timedelta(minutes=2),
        "on_failure_callback": [AlarmNotifier()],
    },
    tags=["data transfer", "metrics", "monitoring"],
) as dag:
    export_once()
