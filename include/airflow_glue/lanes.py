"""The shape of a stage's DAG and of its lanes."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import (
    DAG,
    Asset,
    AssetAny,
    AssetOrTimeSchedule,
    DeltaTriggerTimetable,
    Param,
    TaskGroup,
    get_current_context,
    task,
)
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from include.airflow_glue.connections import engine, open_storage, topology
from include.airflow_glue.measuring import batches_to_measure, measured
from include.airflow_glue.notifier import AlarmNotifier
from include.airflow_glue.preview import would_delete
from include.airflow_glue.workers import has_ended, is_listened_to, is_manual_try, this_worker
from include.errors import BadInputError, PermanentError
from include.explain.find import names_of_packages
from include.lanes import CONTROL_QUEUE, Lane, lanes_of_kind
from include.operations.batch import BatchRunner
from include.operations.planning import RUNS_PER_LANE, LanePlanner
from include.operations.stage import Selection
from include.ops_db.labels import any_completed, batch_label
from include.settings import settings
from include.stages import stage_of
from include.topology import OperationKind

logger = logging.getLogger(__name__)

SELECTION_PARAMS = {
    "packages": Param(
        [],
        type=["array", "null"],  # null, or the form marks it as required
        items={"type": "string"},
        title="Only these packages",
        description="Names of RawDataPackages, one a line. Empty: whatever is due.",
    ),
    "only_location": Param(
        None,
        type=["string", "null"],
        title="Only this location",
        description="Full name of a location, such as cologne_buffer. Empty: every lane of this stage.",
    ),
}
"""The form of a manual trigger."""


def asset_of(kind: OperationKind) -> Asset:
    """Return the bell that rings when operations of this kind were completed. Nobody reads it: plan asks ops-db."""
    return Asset(name=f"{kind} done", uri=f"dts://ops-db/{kind}")


def stage_dag(
    kind: OperationKind,
    *,
    number: int,
    doc_md: str | None,
    after: tuple[OperationKind, ...] = (),
    params: dict[str, Param] | None = None,
    runs_by_request: int = 0,
) -> DAG:
    """Return the DAG of a stage: started by the bells of the stages before it, or by the clock, or by hand."""
    clock = DeltaTriggerTimetable(timedelta(seconds=topology().policy.clock_seconds))
    bells = [asset_of(earlier) for earlier in after]
    return DAG(
        dag_id=str(kind),
        dag_display_name=f"{number} {kind}",
        description=(doc_md or "").strip().splitlines()[0] if doc_md else None,
        doc_md=doc_md,
        schedule=AssetOrTimeSchedule(timetable=clock, assets=AssetAny(*bells)) if bells else clock,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        # A run lasts as long as its slowest lane; the other lanes must not wait for it.
        max_active_runs=len(lanes_of_kind(topology(), kind)) * RUNS_PER_LANE + 2 + runs_by_request,
        # retries are for dead processes only; ops-db decides when work is tried again.
        default_args={
            "owner": "data-transfer",
            "retries": 2,
            "retry_delay": timedelta(seconds=10),
            "on_failure_callback": [AlarmNotifier()],
        },
        tags=["data transfer", str(kind)],
        params={**(SELECTION_PARAMS if params is None else params)},
        render_template_as_native_obj=False,
    )


def add_lanes(kind: OperationKind) -> list[TaskGroup]:
    """Add one task group per lane to the DAG in whose context this is called: plan, run (mapped), handover, clean."""
    return [_lane_group(lane) for lane in lanes_of_kind(topology(), kind)]


def _lane_group(lane: Lane) -> TaskGroup:
    location = lane.location.full_name
    kind = str(lane.kind)
    with TaskGroup(lane.group_id, tooltip=f"{kind} at {location}, on {' or '.join(lane.location.hosts)}") as group:
        batches = _plan.override(task_id="plan", queue=CONTROL_QUEUE)(kind, location)
        worked = (
            _run.override(
                task_id="run", queue=lane.name, pool=lane.name, map_index_template="{{ batch_label }}", retries=2
            )
            .partial(kind=kind, location=location)
            .expand(operation_ids=batches)
        )
        handed_over = _handover.override(
            task_id="handover", queue=CONTROL_QUEUE, trigger_rule="none_skipped", outlets=[asset_of(lane.kind)]
        )(cast("Any", batches))
        # It needs no worker; without it a failed run would be hidden behind a handover that went well.
        clean = EmptyOperator(task_id="clean", trigger_rule="none_failed")
        worked >> [handed_over, clean]
    return group


def lane_named(kind: str, location: str) -> Lane:
    """Return a lane of this process's topology by kind and location.

    Raises:
        BadInputError: there is no such lane.
    """
    for lane in lanes_of_kind(topology(), OperationKind(kind)):
        if lane.location.full_name == location:
            return lane
    raise BadInputError(f"There is no {kind} at {location} in the topology {settings().topology}.")


@task
def _plan(kind: str, location: str) -> list[list[int]]:
    """Find what is due at this lane and share it among batches of operation ids."""
    context = get_current_context()
    instance = context["ti"]
    lane = lane_named(kind, location)
    with _permanent_errors_end_the_task():
        selection = _selection(context["params"], kind=lane.kind)
    if context["params"].get("dry_run"):
        with _permanent_errors_end_the_task():
            context["ti"].xcom_push(key="dry_run", value=would_delete(lane, selection=selection))
        return []
    planner = LanePlanner(
        engine=engine(),
        topology=topology(),
        lane=lane,
        stage=stage_of(lane.kind),
        run_id=str(context["run_id"]),
        selection=selection,
        has_ended=has_ended(kind),
        is_listened_to=lambda: is_listened_to(lane),
        retry_failed_for="a person who cleared the run" if is_manual_try(instance) else None,
    )
    with _permanent_errors_end_the_task():
        plan = planner.plan()
    logger.info("%s", plan.explanation)
    return plan.batches or batches_to_measure(lane)


@task
def _run(kind: str, location: str, operation_ids: list[int]) -> str:
    """Do the operations of one batch, each under its own lease."""
    context = get_current_context()
    instance = context["ti"]
    lane = lane_named(kind, location)
    context["batch_label"] = batch_label(engine(), operation_ids)  # type: ignore[typeddict-unknown-key]
    runner = BatchRunner(
        engine=engine(),
        topology=topology(),
        location=lane.location,
        stage=stage_of(lane.kind),
        worker=this_worker(instance),
        manual=is_manual_try(instance),
        storage_of=open_storage,
    )
    with measured(lane), _permanent_errors_end_the_task():
        return runner.run(operation_ids).summary()


@task
def _handover(batches: list[list[int]]) -> None:
    """Ring the next stage's bell, unless nothing of this run was completed."""
    if not any_completed(engine(), [operation_id for batch in batches for operation_id in batch]):
        raise AirflowSkipException("Nothing was completed in this run: there is nothing to hand over.")


class _permanent_errors_end_the_task:  # noqa: N801 - used as a statement
    """Airflow's retries are for dead processes: an error that a person must mend ends the task at once."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PermanentError):
            raise AirflowFailException(str(error)) from error


def _selection(params: Any, *, kind: OperationKind) -> Selection:
    """What a person chose. A name that means nothing ends the task: else the run would do nothing, and look well."""
    words = params.get("packages") or ()
    packages: tuple[str, ...] = ()
    if words:
        with engine().connect() as connection:
            packages = names_of_packages(connection, words)
    chosen = Selection(packages=packages, only_location=params.get("only_location") or None)
    if chosen.only_location is not None:
        names = [lane.location.full_name for lane in lanes_of_kind(topology(), kind)]
        if chosen.only_location not in names:
            raise AirflowFailException(
                f"There is no {kind} at {chosen.only_location!r}. Choose one of: {', '.join(names)}."
            )
    return chosen
