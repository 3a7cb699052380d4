"""Room is reserved before a byte is written; nothing is locked while somebody looks at the disk."""

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from include.errors import NoSpaceError, TransientError
from include.lifecycle.room import RESERVE_BYTES, release_room, reserve_in_archive, reserve_room
from include.operations.lease import Lease, take_lease
from include.operations.stage import Work
from include.ops_db.places import location_id
from include.ops_db.reservations import LOCK
from include.ops_db.tables import Operation
from include.stages import deletion
from include.storage.interface import Space
from include.topology import OperationKind, S3Storage
from tests.lifecycle.test_measuring import night_of, with_watermarks
from tests.observatory import Observatory
from tests.stages import bundled

BUFFER = "cologne_buffer"
TB = 10**12


def space(free: int = TB, *, total: int = 2 * TB, is_read_only: bool = False) -> Space:
    return Space(total_bytes=total, free_bytes=free, is_read_only=is_read_only)


def working(observatory: Observatory) -> Work:
    """An operation under way."""
    package = bundled.add_package(observatory)
    with Session(observatory.engine) as session, session.begin():
        operation = Operation(
            kind=OperationKind.ARCHIVING,
            data_location_id=location_id(session, "cologne_archive"),
            raw_data_package_id=package,
            explanation="It works.",
        )
        session.add(operation)
        session.flush()
        operation_id = operation.id
    runner = observatory.runner(deletion, BUFFER)
    lease = take_lease(
        observatory.engine, operation_id=operation_id, worker=runner.worker, lease_seconds=60, manual=False
    )
    assert isinstance(lease, Lease)
    return Work(
        lease=lease,
        engine=observatory.engine,
        topology=observatory.topology,
        location=observatory.topology.location(BUFFER),
        host="cologne",
        run_id="test",
        storage_of=observatory.storage_of,
        check=lambda: None,
    )


def reserved(observatory: Observatory) -> list[int]:
    with observatory.engine.connect() as connection:
        return list(connection.execute(text("select size_bytes from space_reservation order by 1")).scalars())


def test_nothing_is_locked_and_no_transaction_is_open_while_the_disk_is_looked_at(observatory: Observatory) -> None:
    work = working(observatory)
    seen = []

    def look() -> Space:
        with Session(observatory.engine) as session, session.begin():
            session.execute(text("set local lock_timeout = '1s'"))
            session.execute(LOCK, {"here": location_id(session, BUFFER)})
            seen.append(
                session.execute(
                    text(
                        "select count(*) from pg_stat_activity where datname = current_database()"
                        " and state like 'idle in transaction%' and pid <> pg_backend_pid()"
                    )
                ).scalar_one()
            )
        return space()

    reserve_room(work, needed_bytes=5, what="it", space=look)
    assert (seen, reserved(observatory)) == ([0], [5])


def test_what_ends_while_the_disk_is_looked_at_still_counts(observatory: Observatory) -> None:
    """Its bytes came after the look, and its reservation is gone: without that, the same room is promised twice."""
    first, second = working(observatory), working(observatory)
    reserve_room(first, needed_bytes=TB - 2 * RESERVE_BYTES, what="the first", space=space)

    def look() -> Space:
        before = space()
        with observatory.engine.begin() as connection:
            connection.execute(
                text("update operation set status = 'completed' where id = :id"), {"id": first.lease.operation_id}
            )
        return before

    with pytest.raises(NoSpaceError, match="reserved for what 1 other operation will still write"):
        reserve_room(second, needed_bytes=2 * RESERVE_BYTES, what="the second", space=look)


def test_what_is_reserved_while_the_disk_is_looked_at_counts_even_if_it_has_ended(observatory: Observatory) -> None:
    first, second = working(observatory), working(observatory)

    def look() -> Space:
        before = space()
        reserve_room(first, needed_bytes=TB - 2 * RESERVE_BYTES, what="the first", space=space)
        with observatory.engine.begin() as connection:
            connection.execute(
                text("update operation set status = 'completed' where id = :id"), {"id": first.lease.operation_id}
            )
        return before

    with pytest.raises(NoSpaceError, match="reserved for what 1 other operation"):
        reserve_room(second, needed_bytes=2 * RESERVE_BYTES, what="the second", space=look)


def test_of_many_at_once_only_those_that_fit_together_begin(observatory: Observatory) -> None:
    works = [working(observatory) for _ in range(6)]
    room = space(RESERVE_BYTES + 3 * 1000)
    refused: list[NoSpaceError] = []
    together = threading.Barrier(len(works))

    def look() -> Space:
        together.wait(20)
        return room

    def begin(work: Work) -> None:
        try:
            reserve_room(work, needed_bytes=1000, what="one of them", space=look)
        except NoSpaceError as error:
            refused.append(error)

    threads = [threading.Thread(target=begin, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (reserved(observatory), len(refused)) == ([1000] * 3, 3)


def test_what_is_given_back_is_free_again(observatory: Observatory) -> None:
    first, second = working(observatory), working(observatory)
    reserve_room(first, needed_bytes=TB - RESERVE_BYTES, what="the first", space=space)
    release_room(first)
    reserve_room(second, needed_bytes=TB - RESERVE_BYTES, what="the second", space=space)
    assert len(reserved(observatory)) == 1


def test_above_the_critical_mark_nothing_new_begins_and_the_hour_is_told(observatory: Observatory) -> None:
    with_watermarks(observatory)
    night_of(observatory, used=[88 * TB // 100, 94 * TB // 100], hours=1, total=TB)
    full_at = datetime.now(UTC).year
    work = working(observatory)
    reserve_room(work, needed_bytes=5, what="it", space=lambda: space(6 * TB // 100, total=TB))
    with pytest.raises(NoSpaceError) as error:
        reserve_room(work, needed_bytes=5, what="it", space=lambda: space(4 * TB // 100, total=TB))
    said = str(error.value)
    assert f"{BUFFER} has 40,000,000,000 of 1,000,000,000,000 bytes free" in said
    assert "It is above its critical mark (95%): nothing new goes there." in said
    assert f"At the present 16.7 MB/s it is full at {full_at}-" in said


def test_what_others_will_write_counts_towards_the_critical_mark(observatory: Observatory) -> None:
    with_watermarks(observatory)
    reserve_room(
        working(observatory), needed_bytes=2 * TB // 100, what="the first", space=lambda: space(6 * TB // 100, total=TB)
    )
    with pytest.raises(NoSpaceError, match="above its critical mark"):
        reserve_room(
            working(observatory), needed_bytes=5, what="the second", space=lambda: space(6 * TB // 100, total=TB)
        )


def test_a_disk_that_is_read_only_takes_nothing(observatory: Observatory) -> None:
    with pytest.raises(TransientError, match=f"{BUFFER} is mounted read-only"):
        reserve_room(working(observatory), needed_bytes=5, what="it", space=lambda: space(is_read_only=True))
    assert reserved(observatory) == []


def test_of_a_small_disk_a_twentieth_stays_free(observatory: Observatory) -> None:
    reserve_room(working(observatory), needed_bytes=400, what="it", space=lambda: space(450, total=1000))
    with pytest.raises(NoSpaceError, match="50 must stay free"):
        reserve_room(working(observatory), needed_bytes=10, what="it", space=lambda: space(450, total=1000))


@pytest.mark.parametrize(("stored", "fits"), [(940, True), (951, False)])
def test_an_archive_is_filled_up_to_its_quota(observatory: Observatory, stored: int, fits: bool) -> None:
    with_watermarks(observatory)
    archive = observatory.topology.location("cologne_archive")
    quota = archive.model_copy(update={"storage": S3Storage(type="s3", bucket="cologne-archive", capacity_bytes=1000)})
    night_of(observatory, used=[stored], hours=0, full_name="cologne_archive")
    work = replace(working(observatory), location=quota)
    if fits:
        reserve_in_archive(work, needed_bytes=5, what="it")
        assert reserved(observatory) == [5]
    else:
        with pytest.raises(NoSpaceError, match="cologne_archive has 49 of 1,000 bytes free"):
            reserve_in_archive(work, needed_bytes=5, what="it")


def test_an_archive_without_a_quota_takes_whatever_comes(observatory: Observatory) -> None:
    work = replace(working(observatory), location=observatory.topology.location("cologne_archive"))
    reserve_in_archive(work, needed_bytes=5 * TB, what="it")
    assert reserved(observatory) == []
