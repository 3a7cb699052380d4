"""What people ask of a stage beyond its daily work: staging for a while, and a look at what would be deleted."""

from airflow.sdk import Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy.orm import Session

from include.airflow_glue.connections import engine
from include.airflow_glue.lanes import SELECTION_PARAMS
from include.airflow_glue.staging_request import fulfil, read_request
from include.errors import BadInputError
from include.lanes import CONTROL_QUEUE

STAGING_PARAMS = {
    **SELECTION_PARAMS,
    "subjects": Param(
        [],
        type=["array", "null"],
        items={"type": "string"},
        title="Stage these",
        description="Packages, UUIDs of observations, or an instrument with a time (primecam:2026-11-20..2026-11-21),"
        " one a line: makes a StagingJob, with *Only this location* and *Until*.",
    ),
    "until": Param(
        None,
        type=["string", "null"],
        format="date-time",
        title="Until",
        description="They stay there until then. Empty: only look for work.",
    ),
    "wait": Param(
        False,
        type=["boolean", "null"],
        title="May wait",
        description="Take the job although there is no room for it now, or no archive has it yet.",
    ),
    "extend": Param(
        None,
        type=["integer", "null"],
        title="Extend",
        description="Number of a StagingJob of yours that should end later: at *Until*.",
    ),
    "release": Param(
        None,
        type=["integer", "null"],
        title="Release",
        description="Number of a StagingJob of yours that is needed no more.",
    ),
    "reason": Param(None, type=["string", "null"], title="Reason", description="For whoever wonders later."),
}

DELETION_PARAMS = {
    **SELECTION_PARAMS,
    "dry_run": Param(
        False, type="boolean", title="Dry run", description="Show what would be deleted and why; delete nothing."
    ),
}


@task(task_id="request", queue=CONTROL_QUEUE)
def request() -> str:
    """Make, extend or release the StagingJob that the form names, if it names one."""
    context = get_current_context()
    run = context["dag_run"]
    try:
        asked = read_request(dict(context["params"]))
        with Session(engine()) as session, session.begin():
            return fulfil(
                session, asked, person=getattr(run, "triggering_user_name", None) or "", run_id=str(context["run_id"])
            )
    except BadInputError as error:
        raise AirflowFailException(str(error)) from error
