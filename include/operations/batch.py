"""Working through a batch: lease each operation just before its work, do it, record it; no failure stops the rest."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from sqlalchemy import Engine
from sqlalchemy.orm import Session
from structlog.contextvars import bound_contextvars

from include.errors import LeaseLostError, PermanentError, WrongHostError
from include.operations import record
from include.operations.decide import Decision, after_error, sentence
from include.operations.identity import Worker
from include.operations.lease import Lease, LeaseKeeper, take_lease
from include.operations.patience import ask_again
from include.operations.stage import ContinuingStage, Done, FailedWith, Stage, Work
from include.ops_db.places import require_applied
from include.storage.interface import Storage
from include.topology import DataLocation, Topology

logger = logging.getLogger(__name__)

GO_ON_SECONDS = 600.0
"""A task that is younger than this goes on with what waits, where its stage says what that is."""


@dataclass
class BatchReport:
    """What came of a batch."""

    completed: int = 0
    passed_over: int = 0
    later: int = 0
    """Waiting, handed back, or to be tried again by themselves."""
    failed: list[str] = field(default_factory=list)
    """Sentences of those that need a person."""

    def summary(self) -> str:
        """One line for the log and the task's result."""
        return (
            f"{self.completed} completed, {self.later} later, {self.passed_over} passed over, {len(self.failed)} failed"
        )


class BatchFailedError(PermanentError):
    """Operations of this batch need a person; the message has their sentences."""

    def __init__(self, message: str, *, report: BatchReport) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True, kw_only=True)
class BatchRunner:
    """Does operations of one stage at one location, on this host, for one try of a task instance."""

    engine: Engine
    topology: Topology
    location: DataLocation
    stage: Stage
    worker: Worker
    manual: bool
    """A person asked for this try: failed operations are done again."""
    storage_of: Callable[[str], Storage]

    def run(self, operation_ids: list[int]) -> BatchReport:
        """Do them all.

        Raises:
            WrongHostError: this host does not reach the location.
            TopologyError: this process has another topology than ops-db.
            BatchFailedError: some need a person; everything else was done.
        """
        self._check_place()
        report = BatchReport()
        began = time.monotonic()
        for operation_id in operation_ids:
            self._run_one(operation_id, report)
        if operation_ids:
            self._go_on(operation_ids[-1], report, until=began + GO_ON_SECONDS)
        logger.info("Batch done: %s.", report.summary())
        if report.failed:
            raise BatchFailedError(f"{report.summary()}. " + " | ".join(report.failed[:20]), report=report)
        return report

    def _check_place(self) -> None:
        if self.worker.host not in self.location.hosts:
            raise WrongHostError(
                f"This is {self.worker.host}, which does not work for {self.location.full_name}"
                f" ({', '.join(self.location.hosts)} do): its worker listens to a queue that is not its own."
                f" See `dts topology queues --host {self.worker.host}`."
            )
        ask_again(self._check_topology, seconds=self._lease_seconds)

    def _check_topology(self) -> None:
        with Session(self.engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
            require_applied(session, self.topology)

    @property
    def _lease_seconds(self) -> int:
        """How long a lease lives on this host; nobody waits longer than that for ops-db."""
        return self.topology.host(self.worker.host).lease_seconds

    def _go_on(self, last_id: int, report: BatchReport, *, until: float) -> None:
        """Lease what follows, one by one, as long as all goes well: trouble, or time that is up, ends the task."""
        seen = {last_id}
        while isinstance(self.stage, ContinuingStage) and time.monotonic() < until:
            if report.completed == 0 or report.later or report.failed:
                return
            following = ask_again(partial(self._following, last_id), seconds=self._lease_seconds)
            if following is None or following in seen:
                return
            logger.info("Operation %s waits for the same route: this task goes on with it.", following)
            seen.add(following)
            last_id = following
            self._run_one(following, report)

    def _following(self, operation_id: int) -> int | None:
        assert isinstance(self.stage, ContinuingStage)
        with Session(self.engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
            return self.stage.next_operation(session, operation_id)

    def _run_one(self, operation_id: int, report: BatchReport) -> None:
        lease = ask_again(lambda: self._take(operation_id), seconds=self._lease_seconds)
        if lease is None:
            report.passed_over += 1
            return
        # On every line that is logged meanwhile, whoever logs it: Airflow's own logs are made by structlog.
        with bound_contextvars(operation=operation_id, attempt=lease.attempt_number):
            self._do(lease, report)

    def _do(self, lease: Lease, report: BatchReport) -> None:
        logger.info("Operation %s: attempt %s begins.", lease.operation_id, lease.attempt_number)
        try:
            with LeaseKeeper(self.engine, lease, lease_seconds=self._lease_seconds) as keeper:
                done = self.stage.run(self._work(lease, keeper))
                self._record_done(lease, done, report)
        except LeaseLostError as error:
            logger.warning("%s", error)
            report.passed_over += 1
        except FailedWith as failure:
            self._record_failure(lease, failure.error, report, stage_record=failure.record)
        except Exception as error:  # noqa: BLE001 - every error has a place in the record; decide.py knows strangers too
            self._record_failure(lease, error, report)

    def _take(self, operation_id: int) -> Lease | None:
        return take_lease(
            self.engine,
            operation_id=operation_id,
            worker=self.worker,
            lease_seconds=self._lease_seconds,
            manual=self.manual,
        )

    def _work(self, lease: Lease, keeper: LeaseKeeper) -> Work:
        return Work(
            lease=lease,
            engine=self.engine,
            topology=self.topology,
            location=self.location,
            host=self.worker.host,
            run_id=self.worker.run_id,
            storage_of=self.storage_of,
            check=keeper.check,
        )

    def _record_done(self, lease: Lease, done: Done, report: BatchReport) -> None:
        ask_again(lambda: self._write_done(lease, done), seconds=self._lease_seconds)
        if done.unfinished:
            report.later += 1
        else:
            report.completed += 1
        logger.info("Operation %s: %s", lease.operation_id, done.explanation)

    def _write_done(self, lease: Lease, done: Done) -> None:
        write = record.hand_back if done.unfinished else record.complete
        write(self.engine, lease=lease, explanation=done.explanation, size_bytes=done.size_bytes, record=done.record)

    def _record_failure(
        self,
        lease: Lease,
        error: Exception,
        report: BatchReport,
        *,
        stage_record: Callable[[Session], None] | None = None,
    ) -> None:
        decision = after_error(
            error,
            failure_count=lease.failure_count,
            policy=self.topology.policy,
            now=lease.now(),
            jitter=random.random(),  # spreads retries; not a secret
        )
        logger.warning("Operation %s: %s", lease.operation_id, decision.explanation, exc_info=error)
        try:
            self._write_failure(lease, error, decision, stage_record)
        except LeaseLostError as lost:
            logger.warning("%s", lost)
            report.passed_over += 1
            return
        if decision.calls_a_person:
            report.failed.append(f"Operation {lease.operation_id}: {decision.explanation}")
        else:
            report.later += 1

    def _write_failure(
        self, lease: Lease, error: Exception, decision: Decision, stage_record: Callable[[Session], None] | None
    ) -> None:
        def write() -> None:
            record.fail(self.engine, lease=lease, decision=decision, error=error, record=stage_record)

        try:
            ask_again(write, seconds=self._lease_seconds)
        except LeaseLostError:
            raise
        except Exception as broken:
            if stage_record is None:
                raise
            # The failure itself must stand in the record, or the operation is seen as lost and the batch ends here.
            logger.exception("What operation %s wanted to record of its failure was refused.", lease.operation_id)
            told = f"{decision.explanation} (What it wanted to record of that was refused: {sentence(broken)})"
            self._write_failure(lease, error, replace(decision, explanation=told), None)
