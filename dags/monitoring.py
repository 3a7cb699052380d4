"""Monitoring: what people must know is judged every minute, and sent to where they look.

**What it does.** `watch` reads ops-db and asks the workers what they listen to, judges the rules of the topology
(`alarms`), raises each alarm once and clears it once, and sends messages to the topology's channels (`notifications`):
one for an outage, another for its end. `dts alarms` lists what is open; docs/runbook.md says what to do about each.

**Safe to repeat?** Always. Two rounds at once judge once, and share the messages between them. A message is delivered
at least once: if a round dies after sending, and before writing that down, it is sent again two minutes later.

**When it fails.** ops-db cannot be reached, or lacks tables (`dts db upgrade`). A channel that does not take its
messages does not make it red: it is tried again for three days, and the other channels are told (`channel_failing`).

**To stop it.** Pause this DAG: nothing is judged or sent, `dts alarms` says since when, and data goes on moving.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, DeltaTriggerTimetable

from include.airflow_glue.monitoring import watch_once
from include.airflow_glue.notifier import AlarmNotifier

with DAG(
    dag_id="monitoring",
    dag_display_name="9 monitoring",
    description=__doc__.splitlines()[0],
    doc_md=__doc__,
    schedule=DeltaTriggerTimetable(timedelta(minutes=1)),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # A round that is late has nothing to say that the next one does not.
    max_active_runs=1,
    default_args={
        "owner": "data-transfer",
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        # Below anything that would let rounds pile up; channels have their own, shorter limits.
        "execution_timeout": timedelta(minutes=2),
        # Seen by `dts alarms` at once, and sent by the first round that goes well.
        "on_failure_callback": [AlarmNotifier()],
    },
    tags=["data transfer", "monitoring"],
) as dag:
    watch_once()
