"""Recording what came of an attempt: one transaction, guarded by the lease token."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from include.errors import BadInputError, LeaseLostError
from include.operations.decide import Decision, storable
from include.operations.lease import Lease
from include.ops_db.states import AttemptOutcome, WorkStatus

# One statement, so one round trip: settle the operation if the lease is still ours, and close its attempt.
SETTLE = text(
    """
    with settled as (
      update operation set
        status = cast(:status as text),
        explanation = :explanation,
        not_before = :not_before,
        failure_count = :failure_count,
        finished_at = case when cast(:status as text) in ('completed', 'cancelled') then clock_timestamp() end,
        lease_owner = null, lease_try = null, lease_expires_at = null,
        planned_run_id = case when cast(:status as text) = 'pending' then null else planned_run_id end,
        planned_batch = case when cast(:status as text) = 'pending' then null else planned_batch end
      where id = :operation_id and lease_token = :lease_token and status = 'in_progress'
      returning id
    ), closed as (
      update operation_attempt a set
        finished_at = clock_timestamp(), outcome = :outcome, size_bytes = :size_bytes, explanation = :explanation,
        error_class = :error_class, error_text = :error_text
      from settled
      where a.operation_id = settled.id and a.number = :number and a.outcome is null
    )
    select count(*) from settled
    """
)

# In the order of ids, so that two resets, or a reset and a plan, do not meet head on.
RESET = text(
    """
    with reset as (
      update operation set
        status = 'pending', not_before = null, failure_count = 0, attempt_count = attempt_count + 1,
        planned_run_id = null, planned_batch = null,
        explanation = 'Reset by ' || :person || '; the next plan of its lane proposes it again.'
      where id in (
        select id from operation
        where id = any(:operation_ids) and (status = 'failed' or (status = 'pending' and not_before > now()))
        order by id for update)
      returning id, attempt_count
    ), noted as (
      insert into operation_attempt (operation_id, number, started_at, finished_at, outcome, person, explanation)
      select id, attempt_count, now(), now(), 'reset', :person, :reason from reset
    )
    select id from reset order by id
    """
)


def complete(
    engine: Engine, *, lease: Lease, explanation: str, size_bytes: int, record: Callable[[Session], None]
) -> None:
    """Write the result and complete the operation, or write nothing.

    `record` writes the stage's own rows (locks: package, copies by id; the operation comes last, here).

    Raises:
        LeaseLostError: somebody else has the operation; nothing was written.
    """
    _settle(
        engine,
        lease=lease,
        status=WorkStatus.COMPLETED,
        explanation=explanation,
        outcome=AttemptOutcome.COMPLETED,
        size_bytes=size_bytes,
        record=record,
    )


def hand_back(
    engine: Engine, *, lease: Lease, explanation: str, size_bytes: int, record: Callable[[Session], None] | None = None
) -> None:
    """Write what was done so far and give the unfinished operation back, to go on in a later task.

    Raises:
        LeaseLostError: somebody else has the operation; nothing was written.
    """
    _settle(
        engine,
        lease=lease,
        status=WorkStatus.PENDING,
        explanation=explanation,
        outcome=AttemptOutcome.YIELDED,
        size_bytes=size_bytes,
        record=record,
    )


def fail(
    engine: Engine,
    *,
    lease: Lease,
    decision: Decision,
    error: Exception,
    record: Callable[[Session], None] | None = None,
) -> None:
    """Write that the attempt did not complete, and when it is tried again.

    Raises:
        LeaseLostError: somebody else has the operation; nothing was written.
    """
    _settle(
        engine,
        lease=lease,
        status=decision.status,
        explanation=decision.explanation,
        outcome=decision.outcome,
        size_bytes=0,
        not_before=decision.not_before,
        failure_count=lease.failure_count + decision.counts_as_failure,
        error=error,
        record=record,
    )


def _settle(
    engine: Engine,
    *,
    lease: Lease,
    status: WorkStatus,
    explanation: str,
    outcome: AttemptOutcome,
    size_bytes: int,
    record: Callable[[Session], None] | None,
    not_before: datetime | None = None,
    failure_count: int = 0,
    error: Exception | None = None,
) -> None:
    values = {
        "status": status,
        "explanation": storable(explanation),
        "not_before": not_before,
        "failure_count": failure_count,
        "operation_id": lease.operation_id,
        "lease_token": lease.token,
        "number": lease.attempt_number,
        "outcome": outcome,
        "size_bytes": size_bytes,
        "error_class": type(error).__name__ if error else None,
        "error_text": storable(str(error))[:4000] if error else None,
    }
    with Session(engine) as session, session.begin():
        if record is not None:
            record(session)
        session.flush()
        if session.execute(SETTLE, values).scalar_one() != 1:
            raise LeaseLostError(
                f"Operation {lease.operation_id} was taken over by another worker; nothing was recorded."
            )


def reset(engine: Engine, *, operation_ids: list[int], person: str, reason: str) -> list[int]:
    """Make failed (or pausing) operations pending again, as an attempt by that person; return the ids that were reset.

    Raises:
        BadInputError: no person is named.
    """
    if not person:
        raise BadInputError("A reset needs the name of the person who asks for it.")
    with engine.begin() as connection:
        rows = connection.execute(RESET, {"operation_ids": operation_ids, "person": person, "reason": reason})
        return [row.id for row in rows]
