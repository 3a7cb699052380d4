"""Planning a lane: take back what was left lying, insert what is missing, let what is urgent overtake, propose."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Engine, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from include.lanes import Lane
from include.operations.decide import SLOW_PAUSE_SECONDS
from include.operations.planning_statements import (
    DUE,
    IN_FLIGHT,
    NEXT_DUE,
    NOBODY_LISTENS,
    RETRY_OWN_FAILED,
    RUNS_TO_ASK_ABOUT,
    SCHEDULE,
    SOMEBODY_LISTENS,
    TAKE_BACK_EXPIRED,
    TAKE_BACK_SCHEDULED,
    TAKE_BACK_SLOW,
)
from include.operations.stage import Planning, Selection, Stage
from include.ops_db.places import location_id, require_applied
from include.ops_db.tables import Operation
from include.ops_db.urgency import RANK, URGENT_PRIORITY
from include.plurals import counted
from include.topology import OperationKind, Policy, Topology

BATCHES_PER_SLOT = 2
"""One in work and one waiting for each slot: the lane never idles, and a dead lane holds little."""
RUNS_PER_LANE = 2
"""A run lasts as long as its slowest lane: a lane that dies with work in hand may hold this many runs of its stage, and
the stage's DAG has room for that many of every lane (max_active_runs)."""


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
        """Take back, insert, rank, propose; wait a little for what falls due soon (policy.plan_patience_seconds)."""
        if self.selection.leaves_out(self.lane.location):
            return LanePlan(explanation=f"This run is only for {self.selection.only_location}.")
        patience_ends = time.monotonic() + self.topology.policy.plan_patience_seconds
        ended = self._ended_runs()
        while True:
            listened_to = self.is_listened_to()
            with Session(self.engine) as session, session.begin():
                plan, pause = self._plan_once(session, ended=ended, listened_to=listened_to)
            if pause is None or time.monotonic() + pause > patience_ends:
                return plan
            time.sleep(max(pause, 0.05))

    def _plan_once(self, session: Session, *, ended: list[str], listened_to: bool) -> tuple[LanePlan, float | None]:
        """Plan, in one transaction; also the seconds until something falls due that it would be worth waiting for."""
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
                run_id=self.run_id,
            )
        )
        session.flush()
        self._take_back(session, values=values, ended=ended)
        if self.lane.kind in RANK:
            session.execute(RANK[self.lane.kind], values | {"urgent_priority": URGENT_PRIORITY})
        nobody = (
            f"It waits: no worker listens to queue {self.lane.name}; start the worker on"
            f" {' or '.join(self.lane.location.hosts)}."
        )
        if not listened_to:
            session.execute(NOBODY_LISTENS, values | {"nobody": nobody})
            return LanePlan(explanation=nobody), None
        plan, pause = self._propose(session, values=values)
        session.execute(SOMEBODY_LISTENS, values | {"nobody": nobody, "queue": self.lane.name})
        return plan, pause

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
        session.execute(
            TAKE_BACK_EXPIRED,
            values | {"attempts_max": self.topology.policy.attempts_max, "slow_seconds": SLOW_PAUSE_SECONDS},
        )
        session.execute(TAKE_BACK_SLOW, values)
        if self.retry_failed_for is not None:
            session.execute(RETRY_OWN_FAILED, values | {"person": self.retry_failed_for})

    def _propose(self, session: Session, *, values: dict[str, object]) -> tuple[LanePlan, float | None]:
        policy = self.topology.policy
        in_flight = session.execute(IN_FLIGHT, values).one()
        free = self.lane.slots * BATCHES_PER_SLOT - in_flight.batches
        if free <= 0 or in_flight.runs >= RUNS_PER_LANE:
            full = f"{in_flight.batches} batches are in work or waiting at {self.lane.name}: it is full for now."
            return LanePlan(explanation=full), None
        rows = session.execute(DUE, values | self._packages() | {"most": free * policy.batch_operations})
        batches = into_batches([(row.id, row.size_bytes) for row in rows], policy=policy)[:free]
        if not batches:
            pause = session.execute(NEXT_DUE, values | self._packages()).scalar()
            return LanePlan(explanation=f"Nothing is due at {self.lane.name}."), None if pause is None else float(pause)
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
        told = f"{counted(count, 'operation')} in {counted(len(batches), 'batch')} for {self.lane.name}."
        return LanePlan(batches, told), None


def into_batches(operations: Sequence[tuple[int, int]], *, policy: Policy) -> list[list[int]]:
    """Share operations (id, size in bytes) among batches, in order; one larger than a batch has one to itself."""
    batches: list[list[int]] = []
    filled = 0
    for operation_id, size_bytes in operations:
        fits = batches and len(batches[-1]) < policy.batch_operations and filled + size_bytes <= policy.batch_bytes
        if fits:
            batches[-1].append(operation_id)
            filled += size_bytes
        else:
            batches.append([operation_id])
            filled = size_bytes
    return batches
