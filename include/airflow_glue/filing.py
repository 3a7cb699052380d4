"""The two ends of the registration DAG: a run's conf becomes a filing, and the verdict becomes the run's result."""

from typing import Any

from airflow.sdk import Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from include.airflow_glue.connections import engine, topology
from include.lanes import CONTROL_QUEUE
from include.registration.receive import receive
from include.registration.verdict import verdict_of


def _text(title: str, description: str) -> Param:
    return Param(None, type=["string", "null"], title=title, description=description)


FILING_PARAMS = {
    "executed_obs_unit": _text("Observation", "The UUID that the instrument made for this ExecutedObsUnit."),
    "instrument": _text("Instrument", "Its name in the topology, such as primecam."),
    "instrument_module": _text("Instrument module", "Its name in the topology, such as mod280."),
    "data_location": _text("Location", "Full name of the SOURCE location that holds the files, such as ccat_source."),
    "started_at": _text("Started at", "With a time zone, such as 2026-11-22T03:00:00Z."),
    "finished_at": _text("Finished at", "Leave empty while more files may come."),
    "files": Param(
        None,
        type=["array", "null"],
        title="Files",
        description="A list of {path, size_bytes, checksum (optional), id (optional)}; paths relative to the location.",
    ),
    "manifest": _text(
        "Manifest", "Instead of files: path, relative to the location, of a file with one such object a line."
    ),
}
"""Shape only: what a filing means is decided in include/registration."""


@task(task_id="receive", queue=CONTROL_QUEUE)
def receive_filing() -> str:
    """Write down what was filed. The conf is read as it came: instruments write it, so it is never a template."""
    context = get_current_context()
    run = context["dag_run"]
    received = receive(
        engine(),
        topology=topology(),
        dag_run_id=str(context["run_id"]),
        conf=_filing_in(run),
        received_from=getattr(run, "triggering_user_name", None) or "",
    )
    return received.verdict


# What is red here has an alarm of its own: the refused filing, the lane, or `receive`.
@task(task_id="verdict", queue=CONTROL_QUEUE, trigger_rule="all_done", on_failure_callback=[])
def tell_verdict() -> str:
    """Say what became of the filing, as this task's result (XCom `verdict`); what needs a person is red.

    The run's state is that of this task, so a filing that was never written down must not pass for none.
    """
    context = get_current_context()
    carries_filing = _filing_in(context["dag_run"]) is not None
    verdict = verdict_of(engine(), str(context["run_id"]), carries_filing=carries_filing)
    context["ti"].xcom_push(key="verdict", value=verdict.sentence)
    if verdict.calls_a_person:
        raise AirflowFailException(verdict.sentence)
    return verdict.sentence


def _filing_in(run: Any) -> dict[str, Any] | None:
    """A run by the clock carries nothing; one triggered by the form, left empty, carries a null for each field."""
    return run.conf if any(value is not None for value in (run.conf or {}).values()) else None
