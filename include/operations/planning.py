"""Planning a lane: take back what was left lying, insert what is missing, propose what is due and fits."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, Row, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from include.lanes import Lane
from include.operations.stage import Planning, Selection, Stage
from include.ops_db.places import location_id, require_applied
from include.ops_db.tables import Operation
from include.topology import OperationKind, Policy, Topology

BATCHES_PER_SLOT = 2
"""One in work and one waiting for each slot: the lane never idles, and a dead lane holds little."""


@dataclass(frozen=True, kw_only=True)
class NewOperation:
    """An operation that a stage wants; `subject_id` fits the kind (see tables.SUBJECT_OF_KIND)."""

    subject_id: int
    explanation: str
    size_bytes: int = 0
    priority: int = 0
    not_before: datetime | None = None


@dataclass(frozen=True)
class LanePlan:
    """What a lane's `plan` hands to its mapped `run`: lists of operation ids, and a sentence for people."""

    batches: list[list[int]] = field(default_factory=list)
    explanation: str = ""


SUBJECT_COLUMN = {
    OperationKind.REGISTRATION: "filing_id",
    OperationKind.BUNDLING: "data_transfer_package_id",
    OperationKind.TRANSFER: "data_transfer_id",
    OperationKind.UNPACKING: "data_transfer_id",
    OperationKind.SCRUBBING: "physical_copy_id",
}
"""Kinds that are not listed are about a raw_data_package."""


def want(session: Session, *, kind: OperationKind, data_location_id: int, operations: Iterable[NewOperation]) -> None:
    """Insert operations that do not exist yet; one that lives already (failed ones too) is left as it is."""
    column = SUBJECT_COLUMN.get(kind, "raw_data_package_id")
    rows = [
        {
            "kind": kind,
            "data_location_id": data_location_id,
            column: operation.subject_id,
            "explanation": operation.explanation,
            "size_bytes": operation.size_bytes,
            "priority": operation.priority,
            "not_before": operation.not_before,
        }
        for operation in operations
    ]
    if rows:
        session.execute(insert(Operation).on_conflict_do_nothing(), rows)


LANE = "data_location_id = :data_location_id and kind = :kind"

RUNS_TO_ASK_ABOUT = text(
    f"""
    select distinct planned_run_id from operation
    where {LANE} and status = 'scheduled' and planned_run_id <> :run_id and scheduled_at < now() - interval '30 seconds'
    """
)

TAKE_BACK_SCHEDULED = text(
    f"""
    update operation set status = 'pending', planned_run_id = null, planned_batch = null,
      explanation = 'The run that had it in a batch ended, or never came to it; it is proposed again.'
    where {LANE} and status = 'scheduled'
      and (planned_run_id = any(:ended_runs) or scheduled_at < now() - interval '1 day')
    """
)

# A worker that dies again and again over the same operation must not go on for ever unseen: it counts as a failure.
TAKE_BACK_EXPIRED = text(
    f"""
    with expired as (
      update operation set
        status = case when failure_count + 1 >= :attempts_max then 'failed' else 'pending' end,
        failure_count = failure_count + 1,
        planned_run_id = null, planned_batch = null, lease_owner = null, lease_try = null, lease_expires_at = null,
        explanation = case when failure_count + 1 >= :attempts_max
          then 'Its worker died or was cut off ' || (failure_count + 1) || ' times in a row: a person should look into the'
            || ' logs of its attempts, then `dts retry` it.'
          else 'Its worker died or was cut off: the lease ran out, and it is proposed again.' end
      where {LANE} and status = 'in_progress' and lease_expires_at < now()
      returning id
    )
    update operation_attempt a set finished_at = now(), outcome = 'lost',
      explanation = 'Its worker died or was cut off: the lease ran out.'
    from expired where a.operation_id = expired.id and a.outcome is null
    """
)

TAKE_BACK_SLOW = text(
    f"""
    update operation set status = 'pending', planned_run_id = null, planned_batch = null,
      explanation = 'It failed often, and its slow retry is due; it is proposed again.'
    where {LANE} and status = 'failed' and not_before <= now()
    """
)

RETRY_OWN_FAILED = text(
    f"""
    with reset as (
      update operation set status = 'pending', not_before = null, failure_count = 0, attempt_count = attempt_count + 1,
        explanation = 'The run that it failed in was cleared by a person; it is proposed again.'
      where {LANE} and status = 'failed' and planned_run_id = :run_id
      returning id, attempt_count
    )
    insert into operation_attempt (operation_id, number, started_at, finished_at, outcome, person, run_id, explanation)
    select id, attempt_count, now(), now(), 'reset', :person, :run_id, 'The run was cleared.' from reset
    """
)

BATCHES_IN_FLIGHT = text(
    f"""
    select count(distinct (planned_run_id, planned_batch)) from operation
    where {LANE} and status in ('scheduled', 'in_progress')
    """
)

PACKAGES_OF_SUBJECT = """
(:all_packages or exists (
  select from raw_data_package p where p.name = any(:packages) and (
    p.id = operation.raw_data_package_id
    or exists (select from data_transfer_package_member m where m.raw_data_package_id = p.id
               and m.data_transfer_package_id = operation.data_transfer_package_id)
    or exists (select from data_transfer_package_member m join data_transfer t using (data_transfer_package_id)
               where m.raw_data_package_id = p.id and t.id = operation.data_transfer_id))))
"""

DUE = text(
    f"""
    select id, size_bytes from operation
    where {LANE} and status = 'pending' and (not_before is null or not_before <= now()) and {PACKAGES_OF_SUBJECT}
    order by priority desc, id
    limit :most
    for update skip locked
    """
)

SCHEDULE = text(
    """
    update operation o set status = 'scheduled', planned_run_id = :run_id, planned_batch = proposed.batch,
      scheduled_at = now(),
      explanation = 'It is in batch ' || proposed.batch || ' of run ' || :run_id || '; a worker of queue ' || :queue
        || ' takes it next.'
    from unnest(cast(:ids as bigint[]), cast(:batches as int[])) as proposed(id, batch)
    where o.id = proposed.id
    """
)

NOBODY_LISTENS = text(
    f"""
    update operation set explanation = :explanation
    where {LANE} and status = 'pending' and explanation <> :explanation
    """
)

NEXT_DUE = text(
    f"select min(not_before) from operation where {LANE} and status = 'pending' and {PACKAGES_OF_SUBJECT}"
)


@dataclass(frozen=True, kw_only=True)
class LanePlanner:
    """Plans one lane for one DAG run."""

    engine: Engine
    topology: Topology
    lane: Lane
    stage: Stage
    run_id: str
    selection: Selection = field(default_factory=Selection)
    has_ended: Callable[[str], bool]
    """Tells whether another DAG run of this stage has ended."""
    is_listened_to: Callable[[], bool]
    """Tells whether a worker listens to the lane's queue now."""
    retry_failed_for: str | None = None
    """The person who cleared this run: its failed operations are proposed again."""

    def plan(self) -> LanePlan:
        """Take back, insert, propose; wait a little for what falls due very soon (policy.plan_patience_seconds)."""
        if self.selection.leaves_out(self.lane.location):
            return LanePlan(explanation=f"This run is only for {self.selection.only_location}.")
        patience_ends = time.monotonic() + self.topology.policy.plan_patience_seconds
        ended = self._ended_runs()
        while True:
            listened_to = self.is_listened_to()
            with Session(self.engine) as session, session.begin():
                plan, next_due = self._plan_once(session, ended=ended, listened_to=listened_to)
            pause = (next_due - datetime.now(UTC)).total_seconds() if next_due else None
            if plan.batches or pause is None or time.monotonic() + pause > patience_ends:
                return plan
            time.sleep(max(pause, 0.05))

    def _plan_once(
        self, session: Session, *, ended: list[str], listened_to: bool
    ) -> tuple[LanePlan, datetime | None]:
        session.execute(text("select pg_advisory_xact_lock(hashtext('lane ' || :name))"), {"name": self.lane.name})
        require_applied(session, self.topology)
        now = session.execute(text("select now()")).scalar_one()
        lane_id = location_id(session, self.lane.location.full_name)
        values = {"data_location_id": lane_id, "kind": self.lane.kind, "run_id": self.run_id}
        self.stage.plan(
            Planning(
                session=session,
                topology=self.topology,
                location=self.lane.location,
                data_location_id=lane_id,
                now=now,
            )
        )
        session.flush()
        self._take_back(session, values=values, ended=ended)
        if not listened_to:
            explanation = (
                f"It waits: no worker listens to queue {self.lane.name}; start the worker on"
                f" {' or '.join(self.lane.location.hosts)}."
            )
            session.execute(NOBODY_LISTENS, values | {"explanation": explanation})
            return LanePlan(explanation=explanation), None
        proposal = self._propose(session, values=values)
        due = None if proposal.batches else session.execute(NEXT_DUE, values | self._packages()).scalar()
        if due is not None and due > now + timedelta(seconds=self.topology.policy.plan_patience_seconds):
            due = None
        return proposal, due

    def _packages(self) -> dict[str, object]:
        return {"all_packages": not self.selection.packages, "packages": list(self.selection.packages)}

    def _ended_runs(self) -> list[str]:
        with Session(self.engine) as session:
            lane_id = location_id(session, self.lane.location.full_name)
            values = {"data_location_id": lane_id, "kind": self.lane.kind, "run_id": self.run_id}
            asked = [row.planned_run_id for row in session.execute(RUNS_TO_ASK_ABOUT, values)]
        # Whatever this very run had proposed and not begun goes back too: its plan is being made anew.
        return [self.run_id, *(run_id for run_id in asked if self.has_ended(run_id))]

    def _take_back(self, session: Session, *, values: dict[str, object], ended: list[str]) -> None:
        session.execute(TAKE_BACK_SCHEDULED, values | {"ended_runs": ended})
        session.execute(TAKE_BACK_EXPIRED, values | {"attempts_max": self.topology.policy.attempts_max})
        session.execute(TAKE_BACK_SLOW, values)
        if self.retry_failed_for is not None:
            session.execute(RETRY_OWN_FAILED, values | {"person": self.retry_failed_for})

    def _propose(self, session: Session, *, values: dict[str, object]) -> LanePlan:
        policy = self.topology.policy
        in_flight = session.execute(BATCHES_IN_FLIGHT, values).scalar_one()
        free = max(self.lane.slots * BATCHES_PER_SLOT - in_flight, 0)
        if free == 0:
            return LanePlan(explanation=f"{in_flight} batches are in work or waiting at {self.lane.name}: it is full for now.")
        rows = session.execute(DUE, values | self._packages() | {"most": free * policy.batch_operations}).all()
        batches = into_batches(rows, policy=policy)[:free]
        if not batches:
            return LanePlan(explanation=f"Nothing is due at {self.lane.name}.")
        session.execute(
            SCHEDULE,
            {
                "run_id": self.run_id,
                "queue": self.lane.name,
                "ids": [operation_id for batch in batches for operation_id in batch],
                "batches": [index for index, batch in enumerate(batches) for _ in batch],
            },
        )
        count = sum(map(len, batches))
        return LanePlan(batches, f"{count} operation(s) in {len(batches)} batch(es) for {self.lane.name}.")


def into_batches(rows: Sequence[Row[tuple[int, int]]], *, policy: Policy) -> list[list[int]]:
    """Share small operations among batches, in order; an operation larger than a batch has one to itself."""
    batches: list[list[int]] = []
    filled = 0
    for operation_id, size_bytes in rows:
        fits = batches and len(batches[-1]) < policy.batch_operations and filled + size_bytes <= policy.batch_bytes
        if fits:
            batches[-1].append(operation_id)
            filled += size_bytes
        else:
            batches.append([operation_id])
            filled = size_bytes
    return batches
