"""Housekeeping: every day what is over makes way for what is not.

**What it does.** `ops_db` makes the partitions of the next two years, moves operations that are over for 30 days into
the history, where `dts explain` finds them as before, and drops lists of files that are rows by now. `airflow_db` has
`airflow db clean` forget old runs, by the connection `airflow_db`; without it, it prints the command to run elsewhere.
`logs_on_<host>` removes old logs of tasks on each host. How many days is `housekeeping` in the topology.

**Safe to repeat?** Always, also several at once. What is known about data is never touched.

**When it fails.** ops-db or Airflow's database cannot be reached; the next day does what was left. A host without a
worker leaves its task waiting.

**To stop it.** Pause this DAG: everything goes on, and grows.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronTriggerTimetable

from include.airflow_glue.connections import topology
from include.airflow_glue.housekeeping import airflow_db_once, logs_of, ops_db_once
from include.airflow_glue.notifier import AlarmNotifier

with DAG(
    dag_id="housekeeping",
    dag_display_name="9 housekeeping",
    description=__doc__.splitlines()[0],
    doc_md=__doc__,
    # At noon in Chile nobody observes.
    schedule=CronTriggerTimetable("30 15 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # A host without a worker holds a run open: not the next weeks' runs, too.
    max_active_runs=16,
    default_args={
        "owner": "data-transfer",
        "retries": 2,
        "retry_delay": timedelta(minutes=10),
        "on_failure_callback": [AlarmNotifier()],
    },
    tags=["data transfer", "housekeeping"],
) as dag:
    ops_db_once()
    airflow_db_once()
    for host in topology().hosts:
        logs_of(host)
