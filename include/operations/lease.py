"""Leases: who may work on an operation now, and the token without which nothing is recorded."""

import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from include.errors import LeaseLostError
from include.operations.identity import Worker
from include.topology import OperationKind

logger = logging.getLogger(__name__)

# One statement: close the attempt that was left open by whoever had the lease before, take the lease, open an attempt.
TAKE_LEASE = text(
    """
    with taken as (
      update operation set
        status = 'in_progress',
        lease_token = lease_token + 1,
        lease_owner = :owner,
        lease_try = :try_number,
        lease_expires_at = now() + make_interval(secs => :lease_seconds),
        attempt_count = attempt_count + 1,
        -- A takeover means that somebody died over it; a person's try begins with a whole budget, as a reset does.
        failure_count = case when :manual then 0 else failure_count + cast(status = 'in_progress' as int) end,
        planned_run_id = :run_id,
        not_before = null,
        explanation = 'It is being worked on at ' || :host || '.'
      where id = :operation_id
        and (status in ('pending', 'scheduled')
          or (status = 'in_progress' and lease_expires_at < now())
          or (status = 'in_progress' and lease_owner = :owner and lease_try < :try_number)
          or (status = 'failed' and :manual))
      returning *
    ), lost as (
      update operation_attempt a set
        finished_at = now(), outcome = 'lost',
        explanation = 'Its worker died, was cut off or was overtaken; the operation was taken over.'
      from taken
      where a.operation_id = taken.id and a.outcome is null
    ), opened as (
      insert into operation_attempt (operation_id, number, started_at,
        host, pid, worker_pid, queue, dag_id, run_id, task_id, map_index, try_number)
      select id, attempt_count, now(),
        :host, :pid, :worker_pid, :queue, :dag_id, :run_id, :task_id, :map_index, :try_number
      from taken
    )
    select id, kind, data_location_id, filing_id, raw_data_package_id, data_transfer_package_id, data_transfer_id,
      physical_copy_id, lease_token, attempt_count, failure_count, size_bytes, planned_run_id, created_at,
      clock_timestamp() as taken_at
    from taken
    """
)

RENEW_LEASE = text(
    """
    update operation set lease_expires_at = now() + make_interval(secs => :lease_seconds)
    where id = :operation_id and lease_token = :lease_token and status = 'in_progress'
    """
)

WHY_NOT = text("select status, lease_owner, explanation from operation where id = :operation_id")


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to work on one operation, as long as its token is the newest."""

    operation_id: int
    kind: OperationKind
    data_location_id: int
    filing_id: int | None
    raw_data_package_id: int | None
    data_transfer_package_id: int | None
    data_transfer_id: int | None
    physical_copy_id: int | None
    token: int
    attempt_number: int
    failure_count: int
    size_bytes: int
    planned_run_id: str | None
    created_at: datetime
    taken_at: datetime
    """By the clock of ops-db."""
    taken_monotonic: float
    """The same moment by this process's own."""

    def now(self) -> datetime:
        """Return the time by the clock of ops-db, whatever this host's says; nobody is asked."""
        return self.taken_at + timedelta(seconds=time.monotonic() - self.taken_monotonic)


def take_lease(engine: Engine, *, operation_id: int, worker: Worker, lease_seconds: int, manual: bool) -> Lease | None:
    """Lease an operation just before its work; None (and a line in the log) if it is not ours to do."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:  # one round trip, not three
        row = connection.execute(
            TAKE_LEASE,
            {
                "operation_id": operation_id,
                "owner": worker.lease_owner,
                "lease_seconds": lease_seconds,
                "manual": manual,
                "host": worker.host,
                "pid": worker.pid,
                "worker_pid": worker.worker_pid,
                "queue": worker.queue,
                "dag_id": worker.dag_id,
                "run_id": worker.run_id,
                "task_id": worker.task_id,
                "map_index": worker.map_index,
                "try_number": worker.try_number,
            },
        ).one_or_none()
        if row is None:
            _log_why_not(connection.execute(WHY_NOT, {"operation_id": operation_id}).one_or_none(), operation_id)
            return None
    return Lease(
        operation_id=row.id,
        kind=OperationKind(row.kind),
        data_location_id=row.data_location_id,
        filing_id=row.filing_id,
        raw_data_package_id=row.raw_data_package_id,
        data_transfer_package_id=row.data_transfer_package_id,
        data_transfer_id=row.data_transfer_id,
        physical_copy_id=row.physical_copy_id,
        token=row.lease_token,
        attempt_number=row.attempt_count,
        failure_count=row.failure_count,
        size_bytes=row.size_bytes,
        planned_run_id=row.planned_run_id,
        created_at=row.created_at,
        taken_at=row.taken_at,
        taken_monotonic=time.monotonic(),
    )


def _log_why_not(row: object, operation_id: int) -> None:
    if row is None:
        logger.warning("Operation %s is passed over: there is no such operation.", operation_id)
    else:
        logger.info(
            "Operation %s is passed over: it is %s (%s).",
            operation_id,
            getattr(row, "status", "?"),
            getattr(row, "explanation", ""),
        )


class LeaseKeeper:
    """Renews a lease at a quarter of its life, in a thread with a connection of its own, while the work goes on.

    A failed renewal does not stop the work: the link may be back before the lease ends, and without the token nothing
    can be recorded anyway. `check` raises once somebody else is known to have the operation. Its caller may have been
    stopped for an hour, and this thread with it: so after a long silence it asks, before the work goes on.
    """

    def __init__(self, engine: Engine, lease: Lease, *, lease_seconds: int) -> None:
        self._engine = engine
        self._lease = lease
        self._lease_seconds = lease_seconds
        self._stopped = threading.Event()
        self._overtaken = threading.Event()
        self._checked_at = time.monotonic()
        self._thread = threading.Thread(
            target=self._renew_until_stopped, name=f"lease-{lease.operation_id}", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        # A renewal that hangs in a cut link must not hold the work back: it is a daemon, and the token guards the
        # record.
        self._thread.join(timeout=1)

    def check(self) -> None:
        """Raise LeaseLostError if somebody else has taken the operation over."""
        silent_since, self._checked_at = self._checked_at, time.monotonic()
        if self._checked_at - silent_since > self._lease_seconds:
            self._renew()
        if self._overtaken.is_set():
            raise LeaseLostError(f"Operation {self._lease.operation_id} was taken over by another worker.")

    def _renew_until_stopped(self) -> None:
        while not self._stopped.wait(self._lease_seconds / 4) and not self._overtaken.is_set():
            self._renew()

    def _renew(self) -> None:
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                renewed = connection.execute(
                    RENEW_LEASE,
                    {
                        "operation_id": self._lease.operation_id,
                        "lease_token": self._lease.token,
                        "lease_seconds": self._lease_seconds,
                    },
                ).rowcount
        except SQLAlchemyError as error:
            logger.warning("The lease of operation %s could not be renewed: %s", self._lease.operation_id, error)
            return
        if renewed == 0 and not self._stopped.is_set():
            self._overtaken.set()
