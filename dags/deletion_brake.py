"""The brake on deletion: a person says yes or no to what would delete too much of a location at once.

**What it does.** A run of deletion that would delete more than policy's brake allows stops, and writes a question into
ops-db. `find` looks for such questions; `ask` shows each under *Required actions*, with what would go, how many bytes,
and the largest packages (the whole list is in its log), and waits for days if need be, without a worker. *Approve* lets
exactly this list on to the deletion gate, which still asks its questions. *Reject* is remembered: nobody is asked about
these packages again until policy changes or somebody types `dts brake lift`. The same can be said by `dts brake`;
whoever answers first is heard, and a clock's tick later the other place knows.

**Safe to repeat?** Always. A question that was answered is not asked again, and an answer is never changed.

**When it fails.** Clear the task: it asks again. A question whose run was deleted or failed is shown by the next run.

**To stop it.** Pause this DAG: questions wait in ops-db, and what they are about stays.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, DeltaTriggerTimetable

from include.airflow_glue.brake import DAG_ID, BrakeApproval, find
from include.airflow_glue.connections import topology
from include.lanes import CONTROL_QUEUE, lanes_of_kind
from include.topology import OperationKind

with DAG(
    dag_id=DAG_ID,
    dag_display_name="7 deletion: the brake",
    description=__doc__.splitlines()[0],
    doc_md=__doc__,
    schedule=DeltaTriggerTimetable(timedelta(seconds=topology().policy.clock_seconds)),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # A location asks one question at a time, and each may wait for days.
    max_active_runs=len(lanes_of_kind(topology(), OperationKind.DELETION)) + 2,
    default_args={"owner": "data-transfer", "retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["data transfer", "deletion"],
) as dag:
    BrakeApproval.partial(task_id="ask", queue=CONTROL_QUEUE, map_index_template="question {{ task.brake }}").expand(
        brake=find()
    )
