"""What people ask of a stage beyond its daily work: staging for a while, and a look at what would be deleted."""

from datetime import datetime

from airflow.sdk import Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy.orm import Session

from include.airflow_glue.connections import engine
from include.airflow_glue.lanes import SELECTION_PARAMS
from include.errors import BadInputError
from include.lanes import CONTROL_QUEUE
from include.lifecycle.staging_jobs import request_staging
from include.plurals import counted

STAGING_PARAMS = {
    **SELECTION_PARAMS,
    "until": Param(
        None,
        type=["string", "null"],
        format="date-time",
        title="Until",
        description="Makes a StagingJob for these packages at this location until then. Empty: only look for work.",
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
    """Make the StagingJob that the form asks for, if it asks for one."""
    context = get_current_context()
    params = context["params"]
    if not params.get("until"):
        return "No StagingJob is asked for in this run."
    person = getattr(context["dag_run"], "triggering_user_name", None) or "somebody"
    try:
        packages = list(params["packages"] or [])
        until = datetime.fromisoformat(params["until"])
        with Session(engine()) as session, session.begin():
            job = request_staging(
                session,
                packages=packages,
                location=params["only_location"] or "",
                until=until,
                requested_by=person,
                reason=params["reason"] or "",
            )
    except (BadInputError, ValueError) as error:
        raise AirflowFailException(str(error)) from error
    return f"StagingJob {job} asks for {counted(len(packages), 'package')} at {params['only_location']} until {until}."
