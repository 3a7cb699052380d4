"""The destination pulls a bundle's packages, says what it did, and names the copy that is damaged."""

import os
import time
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from include.errors import NoSpaceError, PermanentError
from include.lifecycle.room import RESERVE_BYTES
from include.ops_db.states import CopyStatus, WorkStatus
from include.ops_db.tables import DataTransfer, OperationAttempt
from include.stages import transfer, unpacking
from include.storage.disk import DiskStorage
from include.storage.interface import Space
from include.topology import OperationKind
from tests.observatory import Observatory
from tests.stages.filed import files_below
from tests.stages.moved import (
    DESTINATION,
    ORIGIN,
    bundled,
    copy_at,
    newest,
    packaged,
    set_status,
    spoil,
    transfer_row,
    unpacked,
)

KIND = OperationKind.TRANSFER


class Full(DiskStorage):
    """A buffer with a given number of free bytes."""

    free_bytes = 0

    def space(self) -> Space:
        return Space(total_bytes=10**12, free_bytes=self.free_bytes)


def attempts(observatory: Observatory) -> list[OperationAttempt]:
    with Session(observatory.engine) as session:
        return list(session.query(OperationAttempt).order_by(OperationAttempt.operation_id, OperationAttempt.number))


def test_a_bundle_is_pulled_whole_and_waits_for_unpacking(observatory):
    made = packaged(observatory, count=3)
    way = bundled(observatory, made)
    assert observatory.run(transfer, DESTINATION).completed == 1
    assert files_below(observatory.folder(DESTINATION)) == sorted(package.path for package in made)
    for package in made:
        sent, arrived = (observatory.folder(place) / package.path for place in (ORIGIN, DESTINATION))
        assert sent.read_bytes() == arrived.read_bytes()
        assert copy_at(observatory, package, DESTINATION) is None, "a copy counts only once it is verified"
    row = transfer_row(observatory, way)
    assert (row.transfer_status, row.unpacking_status) == (WorkStatus.COMPLETED, WorkStatus.PENDING)
    assert row.transferred_at is not None


def test_the_explanation_has_bytes_seconds_rate_and_what_comes_next(observatory):
    made = packaged(observatory, count=2)
    bundled(observatory, made)
    observatory.run(transfer, DESTINATION)
    done = newest(observatory, KIND)
    size = sum(package.size_bytes for package in made)
    assert f"{size:,} bytes came from ccat_buffer in" in done.explanation
    assert "MB/s" in done.explanation
    assert "not sent again" not in done.explanation
    assert "Unpacking verifies them next" in done.explanation
    assert attempts(observatory)[-1].size_bytes == size


def test_planning_again_wants_nothing_twice_and_sizes_are_known(observatory):
    made = packaged(observatory, count=2)
    bundled(observatory, made)
    observatory.plan(transfer, DESTINATION)
    observatory.plan(transfer, DESTINATION)
    (wanted,) = observatory.operations(KIND)
    assert wanted.size_bytes == sum(package.size_bytes for package in made)
    assert observatory.plan(transfer, "us_buffer").batches == []


def test_a_finished_transfer_is_not_planned_again(observatory):
    bundled(observatory, packaged(observatory))
    observatory.run(transfer, DESTINATION)
    assert observatory.plan(transfer, DESTINATION).batches == []


def test_after_a_crash_only_the_rest_is_sent(observatory):
    first, second = packaged(observatory, count=2)
    bundled(observatory, [first, second])
    target = observatory.folder(DESTINATION) / first.path
    target.parent.mkdir(parents=True)
    target.write_bytes((observatory.folder(ORIGIN) / first.path).read_bytes())
    observatory.run(transfer, DESTINATION)
    explanation = newest(observatory, KIND).explanation
    assert f"{second.size_bytes:,} bytes came" in explanation
    assert f"{first.size_bytes:,} bytes were here already and not sent again" in explanation


def test_it_hands_back_when_time_is_up_and_goes_on(observatory, monkeypatch):
    monkeypatch.setattr(transfer, "YIELD_SECONDS", 0.0)
    made = packaged(observatory, count=3)
    way = bundled(observatory, made)
    for _ in range(2):
        assert observatory.run(transfer, DESTINATION).later == 1
        assert newest(observatory, KIND).status is WorkStatus.PENDING
        assert "The rest comes next." in newest(observatory, KIND).explanation
        assert transfer_row(observatory, way).transfer_status is WorkStatus.PENDING
    assert observatory.run(transfer, DESTINATION).completed == 1
    assert len(files_below(observatory.folder(DESTINATION))) == 3
    assert newest(observatory, KIND).failure_count == 0


@pytest.mark.parametrize("room", [0, -1])
def test_a_full_buffer_is_waited_for_and_named_with_its_numbers(observatory, room):
    (package,) = packaged(observatory)
    bundled(observatory, [package])
    buffer = Full(observatory.folder(DESTINATION))
    observatory.storages[DESTINATION] = buffer
    buffer.free_bytes = package.size_bytes + RESERVE_BYTES + room
    report = observatory.run(transfer, DESTINATION)
    if room == 0:
        assert report.completed == 1
        return
    assert report.later == 1
    assert attempts(observatory)[-1].error_class == NoSpaceError.__name__
    explanation = newest(observatory, KIND).explanation
    assert f"cologne_buffer has {buffer.free_bytes:,} of 1,000,000,000,000 bytes free" in explanation
    assert f"needs {package.size_bytes:,} more" in explanation
    assert files_below(observatory.folder(DESTINATION)) == []


def test_what_has_arrived_needs_no_room(observatory):
    (package,) = packaged(observatory)
    bundled(observatory, [package])
    observatory.storages[DESTINATION] = Full(observatory.folder(DESTINATION))
    target = observatory.folder(DESTINATION) / package.path
    target.parent.mkdir(parents=True)
    target.write_bytes((observatory.folder(ORIGIN) / package.path).read_bytes())
    assert observatory.run(transfer, DESTINATION).completed == 1


@pytest.mark.parametrize("found", [CopyStatus.CORRUPT, CopyStatus.MISSING])
def test_a_bad_copy_at_the_origin_is_marked_and_the_transfer_ends_without_it(observatory, found):
    bad, good = packaged(observatory, count=2)
    way = bundled(observatory, [bad, good])
    if found is CopyStatus.CORRUPT:
        spoil(observatory, bad, ORIGIN)
    else:
        (observatory.folder(ORIGIN) / bad.path).unlink()
    assert observatory.run(transfer, DESTINATION).completed == 1
    done = newest(observatory, KIND)
    named = f"{bad.name}: block 0" if found is CopyStatus.CORRUPT else f"{bad.name} is not at ccat_buffer"
    assert named in done.explanation
    assert f"marked {found}" in done.explanation
    assert f"Without {bad.name}: no good copy is at ccat_buffer now" in done.explanation
    assert copy_at(observatory, bad, ORIGIN).status is found
    assert copy_at(observatory, good, ORIGIN).status is CopyStatus.PRESENT
    assert (observatory.folder(DESTINATION) / good.path).exists()
    assert not (observatory.folder(DESTINATION) / bad.path).exists()

    assert observatory.run(unpacking, DESTINATION).completed == 1
    assert f"Without {bad.name}" in newest(observatory, OperationKind.UNPACKING).explanation
    assert copy_at(observatory, good, DESTINATION).status is CopyStatus.PRESENT
    assert copy_at(observatory, bad, DESTINATION) is None
    assert transfer_row(observatory, way).unpacking_status is WorkStatus.COMPLETED


def test_an_origin_whose_disk_is_away_has_lost_nothing(observatory):
    (package,) = packaged(observatory)
    way = bundled(observatory, [package])
    folder = observatory.folder(ORIGIN)
    folder.rename(folder.with_name("away"))
    assert observatory.run(transfer, DESTINATION).later == 1
    assert "is its disk mounted" in newest(observatory, KIND).explanation
    assert copy_at(observatory, package, ORIGIN).status is CopyStatus.PRESENT
    assert transfer_row(observatory, way).transfer_status is WorkStatus.PENDING


@pytest.mark.parametrize("status", [CopyStatus.CORRUPT, CopyStatus.MISSING])
def test_what_is_known_to_be_bad_at_the_origin_is_not_fetched(observatory, status):
    bad, good = packaged(observatory, count=2)
    bundled(observatory, [bad, good])
    set_status(observatory, copy_at(observatory, bad, ORIGIN), status)
    assert observatory.run(transfer, DESTINATION).completed == 1
    assert files_below(observatory.folder(DESTINATION)) == [good.path]
    assert f"Without {bad.name}" in newest(observatory, KIND).explanation


def test_what_came_before_its_copy_at_the_origin_went_bad_is_verified_all_the_same(observatory):
    (package,) = packaged(observatory)
    way = bundled(observatory, [package])
    observatory.run(transfer, DESTINATION)
    set_status(observatory, copy_at(observatory, package, ORIGIN), CopyStatus.CORRUPT)
    assert observatory.run(unpacking, DESTINATION).completed == 1
    assert copy_at(observatory, package, DESTINATION).status is CopyStatus.PRESENT
    assert "Without" not in newest(observatory, OperationKind.UNPACKING).explanation
    assert transfer_row(observatory, way).unpacking_status is WorkStatus.COMPLETED


def test_what_came_damaged_and_cannot_come_again_from_there_is_not_waited_for(observatory):
    (package,) = packaged(observatory)
    way = bundled(observatory, [package])
    observatory.run(transfer, DESTINATION)
    spoil(observatory, package, DESTINATION)
    set_status(observatory, copy_at(observatory, package, ORIGIN), CopyStatus.MISSING)
    assert observatory.run(unpacking, DESTINATION).completed == 1
    assert copy_at(observatory, package, DESTINATION) is None
    assert transfer_row(observatory, way).unpacking_status is WorkStatus.COMPLETED
    (kept,) = files_below(observatory.folder(DESTINATION))
    assert kept.startswith("quarantine/")


def test_a_corrupt_copy_here_is_put_aside_before_a_good_one_comes(observatory, monkeypatch):
    (package,) = unpacked(observatory)
    spoil(observatory, package, DESTINATION)
    damaged = (observatory.folder(DESTINATION) / package.path).read_bytes()
    set_status(observatory, copy_at(observatory, package, DESTINATION), CopyStatus.CORRUPT)
    way = bundled(observatory, [package])
    assert observatory.run(transfer, DESTINATION).completed == 1
    kept = next(path for path in files_below(observatory.folder(DESTINATION)) if path.startswith("quarantine/"))
    assert kept.endswith(f"-operation-{newest(observatory, KIND).id}-1/{package.path}")
    assert (observatory.folder(DESTINATION) / kept).read_bytes() == damaged
    assert (
        f"The damaged copy of {package.name} that was here is kept as {kept}" in newest(observatory, KIND).explanation
    )
    assert copy_at(observatory, package, DESTINATION).status is CopyStatus.MISSING
    assert observatory.run(unpacking, DESTINATION).completed == 1
    assert copy_at(observatory, package, DESTINATION).status is CopyStatus.PRESENT
    assert transfer_row(observatory, way).unpacking_status is WorkStatus.COMPLETED


def test_a_good_copy_that_came_is_not_taken_for_the_corrupt_one_by_the_next_try(observatory, monkeypatch):
    first, second = unpacked(observatory, count=2)
    for package in (first, second):
        spoil(observatory, package, DESTINATION)
        set_status(observatory, copy_at(observatory, package, DESTINATION), CopyStatus.CORRUPT)
    bundled(observatory, [first, second])
    monkeypatch.setattr(transfer, "YIELD_SECONDS", 0.0)
    assert observatory.run(transfer, DESTINATION).later == 1
    assert observatory.run(transfer, DESTINATION).completed == 1
    assert newest(observatory, KIND).explanation.startswith("2 ")
    here = files_below(observatory.folder(DESTINATION))
    assert len([path for path in here if path.startswith("quarantine/")]) == 2
    assert {first.path, second.path} < set(here)
    assert observatory.run(unpacking, DESTINATION).completed == 1


def test_what_was_here_before_says_nothing_about_the_origin(observatory):
    (package,) = packaged(observatory)
    bundled(observatory, [package])
    here, there = observatory.folder(DESTINATION) / package.path, observatory.folder(ORIGIN) / package.path
    here.parent.mkdir(parents=True)
    here.write_bytes(there.read_bytes())
    set_status(observatory, copy_at(observatory, package, ORIGIN), CopyStatus.CORRUPT)
    assert observatory.run(transfer, DESTINATION).completed == 1
    assert copy_at(observatory, package, ORIGIN).status is CopyStatus.CORRUPT


def test_a_transfer_cancelled_by_a_person_moves_nothing(observatory):
    way = bundled(observatory, packaged(observatory))
    plan = observatory.plan(transfer, DESTINATION)
    with Session(observatory.engine) as session, session.begin():
        session.execute(update(DataTransfer).values(transfer_status=WorkStatus.CANCELLED))
    observatory.runner(transfer, DESTINATION).run(plan.batches[0])
    assert files_below(observatory.folder(DESTINATION)) == []
    assert transfer_row(observatory, way).transfer_status is WorkStatus.CANCELLED


def test_packages_that_were_verified_here_by_this_transfer_are_not_sent_again_wherever_they_are(observatory):
    """Sent back because of another package, it must not fetch what has been archived and deleted since."""
    good, bad = packaged(observatory, count=2)
    bundled(observatory, [good, bad])
    observatory.run(transfer, DESTINATION)
    spoil(observatory, bad, DESTINATION)
    observatory.run(unpacking, DESTINATION)
    set_status(observatory, copy_at(observatory, good, DESTINATION), CopyStatus.DELETED)
    (observatory.folder(DESTINATION) / good.path).unlink()
    assert observatory.run(transfer, DESTINATION).completed == 1
    assert not (observatory.folder(DESTINATION) / good.path).exists()
    assert newest(observatory, KIND).size_bytes == bad.size_bytes
    assert observatory.run(unpacking, DESTINATION).completed == 1
    assert copy_at(observatory, good, DESTINATION).status is CopyStatus.DELETED
    assert copy_at(observatory, bad, DESTINATION).status is CopyStatus.PRESENT


def test_a_package_that_was_deleted_here_long_ago_comes_again_with_a_new_transfer(observatory):
    (package,) = unpacked(observatory)
    set_status(observatory, copy_at(observatory, package, DESTINATION), CopyStatus.DELETED)
    (observatory.folder(DESTINATION) / package.path).unlink()
    bundled(observatory, [package])
    assert observatory.run(transfer, DESTINATION).completed == 1
    assert observatory.run(unpacking, DESTINATION).completed == 1
    assert copy_at(observatory, package, DESTINATION).status is CopyStatus.PRESENT


def test_what_nobody_goes_on_with_is_swept_away_after_a_day_and_nothing_else(observatory):
    cancelled, waiting, coming = packaged(observatory, count=3)
    for package in (cancelled, waiting):
        bundled(observatory, [package])
    with Session(observatory.engine) as session, session.begin():
        first = session.query(DataTransfer).order_by(DataTransfer.id).first()
        first.transfer_status = WorkStatus.CANCELLED
    observatory.plan(transfer, DESTINATION)
    bundled(observatory, [coming])
    (batch,) = observatory.plan(transfer, DESTINATION).batches

    folder = observatory.folder(DESTINATION)
    kept = [f"quarantine/x/{cancelled.path}.part", f"{waiting.path}.part", f"{waiting.path}.journal", "notes.part"]
    swept = [f"{cancelled.path}.part", f"{cancelled.path}.journal"]
    young = f"young/{cancelled.name}.tar.part"
    observatory.put_files(dict.fromkeys([*kept, *swept, young], b"some"), location=DESTINATION)
    long_ago = time.time() - 25 * 3600
    for path in (*kept, *swept):
        os.utime(folder / path, (long_ago, long_ago))
    assert observatory.runner(transfer, DESTINATION).run(batch).completed == 1
    assert files_below(folder) == sorted([*kept, young, coming.path])


def test_a_buffer_is_looked_through_once_a_day(observatory, monkeypatch):
    looked = []
    real = DiskStorage.list
    monkeypatch.setattr(DiskStorage, "list", lambda self, prefix="": looked.append(prefix) or real(self, prefix))
    for package in packaged(observatory, count=3):
        bundled(observatory, [package])
        assert observatory.run(transfer, DESTINATION).completed == 1
    instruments = [instrument.name for instrument in observatory.topology.instruments]
    assert [prefix for prefix in looked if prefix in instruments] == instruments
    with Session(observatory.engine) as session, session.begin():
        for row in session.query(DataTransfer):
            row.transferred_at -= timedelta(days=1)
    looked.clear()
    bundled(observatory, packaged(observatory))
    assert observatory.run(transfer, DESTINATION).completed == 1
    assert [prefix for prefix in looked if prefix in instruments] == instruments


def test_a_folder_that_cannot_be_looked_into_keeps_nothing_from_coming(observatory, monkeypatch):
    def refused(*_):
        raise PermanentError("no permission")

    (package,) = packaged(observatory)
    bundled(observatory, [package])
    monkeypatch.setattr(DiskStorage, "list", refused)
    assert observatory.run(transfer, DESTINATION).completed == 1
