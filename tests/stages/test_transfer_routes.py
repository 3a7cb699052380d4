"""What transfers of a route share: room at the destination, a task, connections, a timetable, and decisions."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from include.errors import NoSpaceError, TransientError
from include.lifecycle.room import RESERVE_BYTES
from include.operations import batch
from include.ops_db.apply import apply_topology
from include.ops_db.states import WorkStatus
from include.ops_db.tables import DataTransferRoute, Operation, OperationAttempt, SpaceReservation, TransferDecision
from include.stages import transfer, under_way, ways
from include.storage.disk import DiskStorage
from include.storage.interface import Space
from include.topology import OperationKind
from include.transfer.adapt import Decision
from include.transfer.blocks import Item
from include.transfer.pulled import Progress, Pulled
from tests.observatory import Observatory
from tests.ops_db.drawing import route
from tests.stages.moved import DESTINATION, bundled, newest, packaged

KIND = OperationKind.TRANSFER


class Shrinking(DiskStorage):
    """A buffer with as much room as it is given, less what lies in it."""

    room_bytes = 0

    def space(self) -> Space:
        used = sum(path.stat().st_size for path in self.root.rglob("*") if path.is_file())
        return Space(total_bytes=10**12, free_bytes=self.room_bytes - used)


def reservations(observatory: Observatory) -> list[SpaceReservation]:
    with Session(observatory.engine) as session:
        return list(session.scalars(select(SpaceReservation)))


def attempts(observatory: Observatory) -> list[OperationAttempt]:
    with Session(observatory.engine) as session:
        return list(session.scalars(select(OperationAttempt).order_by(OperationAttempt.started_at)))


@pytest.fixture
def two_at_once(observatory, monkeypatch):
    """Two transfers of one package each: the first is held up just before its first byte, until `go` is set."""
    monkeypatch.setattr(batch, "GO_ON_SECONDS", 0.0)
    made = packaged(observatory, count=2)
    for package in made:
        bundled(observatory, [package])
    observatory.topology = observatory.topology.model_copy(
        update={"policy": observatory.topology.policy.model_copy(update={"batch_operations": 1})}
    )
    with Session(observatory.engine) as session, session.begin():
        apply_topology(session, observatory.topology, applied_by="tests")
    buffer = Shrinking(observatory.folder(DESTINATION))
    observatory.storages[DESTINATION] = buffer
    first, second = observatory.plan(transfer, DESTINATION).batches
    held, go = threading.Event(), threading.Event()
    pull = ways.pull

    def pull_slowly(*args, **keys):
        if not held.is_set():
            held.set()
            assert go.wait(20)
        return pull(*args, **keys)

    monkeypatch.setattr(ways, "pull", pull_slowly)
    running = threading.Thread(target=lambda: observatory.runner(transfer, DESTINATION).run(first))
    buffer.room_bytes = RESERVE_BYTES + made[0].size_bytes + made[1].size_bytes - 1
    running.start()
    assert held.wait(20)

    def end_first() -> None:
        go.set()
        running.join(20)

    yield made, buffer, second, end_first
    end_first()


def test_two_that_would_fit_alone_but_not_together_do_not_both_begin(observatory, two_at_once):
    made, buffer, second, end_first = two_at_once
    report = observatory.runner(transfer, DESTINATION).run(second)
    assert report.later == 1
    waiting = newest(observatory, KIND)
    assert waiting.status is WorkStatus.PENDING
    assert waiting.failure_count == 0
    assert (
        f"{made[0].size_bytes:,} of them are reserved for what 1 other operation will still write"
        in waiting.explanation
    )
    assert f"needs {made[1].size_bytes:,} more, and {RESERVE_BYTES:,} must stay free" in waiting.explanation
    assert attempts(observatory)[-1].error_class == NoSpaceError.__name__

    end_first()
    assert observatory.operations(KIND)[0].status is WorkStatus.COMPLETED
    buffer.room_bytes += 1  # what the first one wrote is in the buffer now, and counts once
    assert observatory.runner(transfer, DESTINATION).run(second).completed == 1


def test_what_a_dead_worker_had_reserved_is_free_again(observatory, two_at_once):
    _, _, second, _ = two_at_once
    with observatory.engine.begin() as connection:
        first = observatory.operations(KIND)[0].id
        connection.execute(
            text("update operation set lease_expires_at = now() - interval '1 second' where id = :id"), {"id": first}
        )
    assert observatory.runner(transfer, DESTINATION).run(second).completed == 1


def test_a_reservation_under_an_older_lease_does_not_count(observatory, two_at_once):
    _, _, second, _ = two_at_once
    with Session(observatory.engine) as session, session.begin():
        first = observatory.operations(KIND)[0].id
        session.execute(update(Operation).where(Operation.id == first).values(lease_token=Operation.lease_token + 1))
    assert observatory.runner(transfer, DESTINATION).run(second).completed == 1


def test_the_next_plan_sweeps_what_does_not_count_any_more(observatory):
    bundled(observatory, packaged(observatory))
    assert observatory.run(transfer, DESTINATION).completed == 1
    assert len(reservations(observatory)) == 1
    observatory.plan(transfer, DESTINATION)
    assert reservations(observatory) == []


def progress(package, sent: int) -> Progress:
    return Progress(Item(package.path, package), sent, 0)


def test_a_reservation_shrinks_as_bytes_arrive_and_decisions_are_kept(observatory, monkeypatch):
    monkeypatch.setattr(under_way, "EVERY_SECONDS", 0.05)
    (package,) = packaged(observatory)
    bundled(observatory, [package])
    seen = []

    def pull(items, *, terms, **_):
        on_progress, on_decision = terms.on_progress, terms.on_decision
        assert (terms.remembered_streams, terms.pace) == (None, None)
        assert [one.size_bytes for one in reservations(observatory)] == [package.size_bytes]
        on_decision(Decision(6, "6 connections: 250 ms at 1 Gbit/s hold 31 MB."))
        for rate in range(20):
            on_decision(Decision(9, f"{rate}.5 MB/s with 9 connections: as many as are known to be of use."))
        on_progress(progress(package, 1000))
        until = time.monotonic() + 10
        while time.monotonic() < until and reservations(observatory)[0].size_bytes != package.size_bytes - 1000:
            time.sleep(0.02)
        seen.extend(one.size_bytes for one in reservations(observatory))
        return Pulled(package.size_bytes, 0, finished=True)

    monkeypatch.setattr(ways, "pull", pull)
    assert observatory.run(transfer, DESTINATION).completed == 1
    assert seen == [package.size_bytes - 1000]
    with Session(observatory.engine) as session:
        kept = list(session.scalars(select(TransferDecision).order_by(TransferDecision.id)))
        assert [one.streams for one in kept] == [6, 9]
        assert kept[1].why == "0.5 MB/s with 9 connections: as many as are known to be of use."
        assert {one.operation_id for one in kept} == {newest(observatory, KIND).id}
        assert session.scalars(select(DataTransferRoute.streams)).one() == 9


def test_the_next_transfer_begins_with_as_many_connections(observatory, monkeypatch):
    begun = []

    def pull(items, *, terms, **_):
        begun.append(terms.remembered_streams)
        terms.on_decision(Decision(12, "12 connections."))
        terms.on_decision(Decision(18, "18 are tried, and the transfer ends before anything is known.", is_a_try=True))
        return Pulled(0, 0, finished=True)

    monkeypatch.setattr(ways, "pull", pull)
    for package in packaged(observatory, count=2):
        bundled(observatory, [package])
        observatory.run(transfer, DESTINATION)
    assert begun == [None, 12]


def test_a_timetable_is_handed_on_as_a_pace_and_one_that_begins_later_too(observatory, monkeypatch):
    monkeypatch.setattr(under_way, "EVERY_SECONDS", 0.05)
    (package,) = packaged(observatory)
    bundled(observatory, [package])
    paced = observatory.topology.model_copy(update={"routes": (route(400),)})
    paces = []

    def pull(items, *, terms, **_):
        paces.append(terms.pace)
        if terms.pace is None:
            terms.on_progress(progress(package, 700))
            with Session(observatory.engine) as session, session.begin():
                apply_topology(session, paced, applied_by="tests")
            until = time.monotonic() + 10
            while time.monotonic() < until:
                terms.check()
                time.sleep(0.02)
        return Pulled(package.size_bytes - 700, 700, finished=True)

    monkeypatch.setattr(ways, "pull", pull)
    assert observatory.run(transfer, DESTINATION).completed == 1
    assert len(paces) == 2
    assert paces[0] is None
    assert paces[1] is not None
    assert f"{package.size_bytes:,} bytes came from" in newest(observatory, KIND).explanation


@pytest.fixture
def three_in_three_bundles(observatory):
    for package in packaged(observatory, count=3):
        bundled(observatory, [package])
    return observatory.plan(transfer, DESTINATION)


def one_of_many(observatory: Observatory) -> int:
    """A first operation that is proposed while the others are pending."""
    operations = observatory.operations(KIND)
    with Session(observatory.engine) as session, session.begin():
        session.execute(update(Operation).where(Operation.kind == KIND).values(status=WorkStatus.PENDING))
    return operations[0].id


def test_one_task_takes_what_is_due_for_a_route(observatory, three_in_three_bundles):
    first = one_of_many(observatory)
    report = observatory.runner(transfer, DESTINATION).run([first])
    assert report.completed == 3
    assert {one.status for one in observatory.operations(KIND)} == {WorkStatus.COMPLETED}


def test_it_takes_up_nothing_new_once_its_time_is_over(observatory, three_in_three_bundles, monkeypatch):
    monkeypatch.setattr(batch, "GO_ON_SECONDS", 0.0)
    assert observatory.runner(transfer, DESTINATION).run([one_of_many(observatory)]).completed == 1


def test_it_leaves_what_must_wait_and_what_others_have_and_takes_the_urgent_first(observatory, three_in_three_bundles):
    for _ in range(2):
        bundled(observatory, [packaged(observatory)[-1]])
    observatory.plan(transfer, DESTINATION)
    first = one_of_many(observatory)
    _, paused, scheduled, usual, urgent = (one.id for one in observatory.operations(KIND))
    with Session(observatory.engine) as session, session.begin():
        later = datetime.now(UTC) + timedelta(hours=1)
        session.execute(update(Operation).where(Operation.id == paused).values(not_before=later))
        session.execute(update(Operation).where(Operation.id == scheduled).values(status=WorkStatus.SCHEDULED))
        session.execute(update(Operation).where(Operation.id == urgent).values(priority=100))
    assert observatory.runner(transfer, DESTINATION).run([first]).completed == 3
    done = [one.operation_id for one in attempts(observatory) if one.operation_id in {first, paused, usual, urgent}]
    assert done == [first, urgent, usual]


def test_another_route_is_another_task(observatory):
    made = packaged(observatory, count=2)
    bundled(observatory, [made[0]])
    bundled(observatory, [made[1]], origin="us_buffer")
    observatory.plan(transfer, DESTINATION)
    assert observatory.runner(transfer, DESTINATION).run([one_of_many(observatory)]).completed == 1


def test_after_trouble_a_task_ends(observatory, three_in_three_bundles, monkeypatch):
    def pull(*_, **__):
        raise TransientError("the link is cut")

    monkeypatch.setattr(ways, "pull", pull)
    report = observatory.runner(transfer, DESTINATION).run([one_of_many(observatory)])
    assert (report.completed, report.later) == (0, 1)
