"""Leases: one holder at a time, and no record without the newest token."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from include.errors import LeaseLostError, MissingFileError
from include.operations import record
from include.operations.decide import after_error
from include.operations.lease import LeaseKeeper
from include.ops_db.states import WorkStatus
from include.topology import Policy
from tests.observatory import now
from tests.operations.laboratory import Laboratory


def test_of_thirty_threads_exactly_one_gets_the_lease(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    gate = threading.Barrier(30)

    def compete(number: int):
        gate.wait()
        return lab.take(operation, map_index=number)

    with ThreadPoolExecutor(30) as pool:
        leases = [lease for lease in pool.map(compete, range(30)) if lease]
    assert len(leases) == 1
    assert lab.operation(operation).lease_token == leases[0].token == 1
    assert lab.attempts(operation) == [None]


def test_of_thirty_threads_exactly_one_takes_an_expired_lease_over(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    lab.taken(operation)
    lab.expire(operation)
    gate = threading.Barrier(30)

    def compete(number: int):
        gate.wait()
        return lab.take(operation, map_index=number + 1)

    with ThreadPoolExecutor(30) as pool:
        assert sum(lease is not None for lease in pool.map(compete, range(30))) == 1
    assert lab.attempts(operation) == ["lost", None]


def test_who_was_stopped_for_longer_than_its_lease_asks_before_it_goes_on(lab: Laboratory) -> None:
    """As SIGSTOP does it: neither the work nor the thread that renews gets any time, so it is never started here."""
    (operation,) = lab.operations(1)
    keeper = LeaseKeeper(lab.engine, lab.taken(operation), lease_seconds=0)
    lab.expire(operation)
    lab.taken(operation, map_index=1)
    with pytest.raises(LeaseLostError, match="taken over"):
        keeper.check()


def test_who_was_stopped_and_not_taken_over_has_its_lease_again(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    keeper = LeaseKeeper(lab.engine, lab.taken(operation), lease_seconds=0)
    lab.expire(operation)
    expired_at = lab.operation(operation).lease_expires_at
    keeper.check()
    assert lab.operation(operation).lease_expires_at > expired_at


def test_who_was_not_silent_asks_nobody(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    keeper = LeaseKeeper(lab.engine, lab.taken(operation), lease_seconds=3600)
    lab.expire(operation)
    lab.taken(operation, map_index=1)
    keeper.check()


def test_everything_the_worker_reports_stands_in_the_attempt(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    lab.taken(operation, host="us", pid=11, worker_pid=7, queue="q", map_index=3, try_number=2)
    with lab.engine.connect() as connection:
        row = connection.execute(text("select * from operation_attempt")).one()
    assert (row.host, row.pid, row.worker_pid, row.queue) == ("us", 11, 7, "q")
    assert (row.dag_id, row.run_id, row.task_id, row.map_index, row.try_number) == ("d", "r", "run", 3, 2)
    assert row.number == 1
    assert row.finished_at is None


def test_a_worker_that_reports_nothing_of_celery_is_recorded_too(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    lab.taken(operation)
    with lab.engine.connect() as connection:
        assert connection.execute(text("select worker_pid, queue from operation_attempt")).one() == (None, None)


def test_an_operation_belongs_to_the_run_that_works_on_it(lab: Laboratory) -> None:
    # Else clearing that run would not find its failed operations.
    (operation,) = lab.operations(1)
    lab.change(operation, status="scheduled", planned_run_id="another")
    assert lab.taken(operation, run_id="this").planned_run_id == "this"


def test_there_is_no_lease_of_what_is_not_there(lab: Laboratory) -> None:
    assert lab.take(12345) is None


@pytest.mark.parametrize("status", ["completed", "cancelled", "failed"])
def test_what_is_finished_is_not_leased(lab: Laboratory, status: str) -> None:
    (operation,) = lab.operations(1)
    lab.change(operation, status=status)
    assert lab.take(operation) is None
    assert lab.attempts(operation) == []


def test_a_persons_try_leases_what_failed_with_a_whole_budget(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    lab.change(operation, status="failed", failure_count=8)
    lease = lab.taken(operation, manual=True)
    assert lease.failure_count == 0


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_persons_try_does_not_lease_what_is_completed(lab: Laboratory, status: str) -> None:
    (operation,) = lab.operations(1)
    lab.change(operation, status=status)
    assert lab.take(operation, manual=True) is None


def test_a_persons_try_respects_a_live_lease(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    lab.taken(operation)
    assert lab.take(operation, manual=True, map_index=1) is None


def test_a_later_try_of_the_same_task_instance_takes_its_own_live_lease(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    first = lab.taken(operation, try_number=1)
    second = lab.taken(operation, try_number=2)
    assert second.token == first.token + 1
    assert second.failure_count == 1, "somebody died over it"
    assert lab.attempts(operation) == ["lost", None]


@pytest.mark.parametrize(
    "other",
    [{"map_index": 1}, {"run_id": "other"}, {"dag_id": "other"}, {"task_id": "other"}, {"try_number": 1}],
    ids=lambda other: next(iter(other)),
)
def test_nobody_else_takes_a_live_lease(lab: Laboratory, other: dict) -> None:
    (operation,) = lab.operations(1)
    lab.taken(operation, try_number=1)
    assert lab.take(operation, **({"try_number": 2} | other)) is None


def test_an_earlier_try_does_not_take_the_lease_back(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    lab.taken(operation, try_number=2)
    assert lab.take(operation, try_number=1) is None


@pytest.fixture(params=["complete", "fail", "hand_back"])
def write(request, lab: Laboratory):
    """One of the three ways to record an attempt, which also renames the package."""

    def rename(session: Session) -> None:
        session.execute(text("update raw_data_package set path = 'renamed'"))

    def act(lease):
        if request.param == "complete":
            record.complete(lab.engine, lease=lease, explanation="Done.", size_bytes=5, record=rename)
        elif request.param == "hand_back":
            record.hand_back(lab.engine, lease=lease, explanation="Later.", size_bytes=5, record=rename)
        else:
            error = MissingFileError("gone")
            decision = after_error(error, failure_count=0, policy=Policy(), now=now(), jitter=0)
            record.fail(lab.engine, lease=lease, decision=decision, error=error, record=rename)

    return act


def written(lab: Laboratory) -> bool:
    with lab.engine.connect() as connection:
        return connection.execute(text("select path from raw_data_package")).scalar_one() == "renamed"


def test_the_holder_records(lab: Laboratory, write) -> None:
    (operation,) = lab.operations(1)
    write(lab.taken(operation))
    assert written(lab)
    row = lab.operation(operation)
    assert row.status is not WorkStatus.IN_PROGRESS
    assert (row.lease_owner, row.lease_try, row.lease_expires_at) == (None, None, None)
    assert None not in lab.attempts(operation)


def test_who_was_overtaken_records_nothing(lab: Laboratory, write) -> None:
    (operation,) = lab.operations(1)
    old = lab.taken(operation)
    lab.expire(operation)
    new = lab.taken(operation, map_index=1)
    with pytest.raises(LeaseLostError):
        write(old)
    assert not written(lab), "the stage's own rows go back too"
    assert lab.operation(operation).lease_token == new.token
    assert lab.attempts(operation) == ["lost", None]


def test_whose_operation_was_taken_back_records_nothing(lab: Laboratory, write) -> None:
    (operation,) = lab.operations(1)
    old = lab.taken(operation)
    lab.expire(operation)
    lab.plan(is_listened_to=lambda: False)
    assert lab.operation(operation).status is WorkStatus.PENDING
    with pytest.raises(LeaseLostError):
        write(old)
    assert not written(lab)


def test_nobody_records_twice(lab: Laboratory, write) -> None:
    (operation,) = lab.operations(1)
    lease = lab.taken(operation)
    write(lease)
    before = lab.operation(operation)
    with pytest.raises(LeaseLostError):
        write(lease)
    assert lab.operation(operation).status == before.status


def test_an_expired_lease_that_nobody_took_still_records(lab: Laboratory, write) -> None:
    (operation,) = lab.operations(1)
    lease = lab.taken(operation)
    lab.expire(operation)
    write(lease)
    assert written(lab)


def wait_until(condition, *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def test_a_keeper_keeps_a_lease_beyond_its_life(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    lease = lab.taken(operation, lease_seconds=1)
    first_end = lab.operation(operation).lease_expires_at
    with LeaseKeeper(lab.engine, lease, lease_seconds=1) as keeper:
        wait_until(lambda: now() > first_end and lab.operation(operation).lease_expires_at > now())
        assert lab.take(operation, map_index=1) is None
        keeper.check()
    wait_until(lambda: lab.operation(operation).lease_expires_at < now())
    assert lab.take(operation, map_index=1) is not None, "once the keeper is gone, so is the lease"


def test_a_keeper_notices_that_it_was_overtaken(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    lease = lab.taken(operation, lease_seconds=1)
    with LeaseKeeper(lab.engine, lease, lease_seconds=1) as keeper:
        lab.expire(operation)
        new = lab.take(operation, map_index=1, lease_seconds=60)
        if new is None:  # it had renewed between the two lines
            pytest.skip("the keeper was quicker than the clock that this test turned back")
        ends_at = lab.operation(operation).lease_expires_at

        def overtaken() -> bool:
            try:
                keeper.check()
            except LeaseLostError:
                return True
            return False

        wait_until(overtaken)
    assert lab.operation(operation).lease_expires_at == ends_at, "it never prolongs another's lease"


def test_a_keeper_goes_on_after_its_connection_was_cut(lab: Laboratory, engine: Engine, ops_db_url: str) -> None:
    (operation,) = lab.operations(1)
    lease = lab.taken(operation, lease_seconds=1)
    keepers = create_engine(ops_db_url, pool_size=1)
    with LeaseKeeper(keepers, lease, lease_seconds=1):
        first_end = lab.operation(operation).lease_expires_at
        wait_until(lambda: lab.operation(operation).lease_expires_at != first_end)
        engine.dispose()
        cut_all_others(ops_db_url)
        cut_at = now()
        wait_until(lambda: (lab.operation(operation).lease_expires_at - cut_at).total_seconds() > 1.2)
    keepers.dispose()


def cut_all_others(url: str) -> None:
    """Cut every connection to this database, as a broken link does; they are noticed when they are used next."""
    control = create_engine(url)
    with control.connect() as connection:
        connection.execute(
            text(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        )
    control.dispose()
