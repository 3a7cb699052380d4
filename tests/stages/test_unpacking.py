"""The destination verifies what arrived; what is wrong is kept as evidence and fetched again, but not for ever."""

import os
import re

import pytest

from include.operations.record import reset
from include.ops_db.states import CopyStatus, PackageState, WorkStatus
from include.stages import transfer, unpacking
from include.topology import OperationKind
from tests.observatory import Observatory
from tests.stages.filed import files_below, packages
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

KIND = OperationKind.UNPACKING


@pytest.fixture
def patient(engine, tmp_path) -> Observatory:
    """Calls a person after two rounds."""
    return Observatory.build(engine, tmp_path / "observatory", attempts_max=2)


def arrived(observatory: Observatory, *, count: int = 1):
    made = packaged(observatory, count=count)
    way = bundled(observatory, made)
    assert observatory.run(transfer, DESTINATION).completed == 1
    return made, way


def test_good_packages_get_a_verified_copy_and_the_transfer_is_done(observatory):
    made, way = arrived(observatory, count=3)
    assert observatory.run(unpacking, DESTINATION).completed == 1
    for package in made:
        copy = copy_at(observatory, package, DESTINATION)
        assert (copy.status, copy.checksum, copy.path) == (CopyStatus.PRESENT, package.checksum, package.path)
        assert copy.size_bytes == package.size_bytes
        assert copy.verified_at is not None
    row = transfer_row(observatory, way)
    assert (row.unpacking_status, row.unpacked_at is not None) == (WorkStatus.COMPLETED, True)
    assert "every file is what it should be" in newest(observatory, KIND).explanation
    assert observatory.plan(unpacking, DESTINATION).batches == []


def test_nothing_is_unpacked_before_it_is_transferred(observatory):
    bundled(observatory, packaged(observatory))
    assert observatory.plan(unpacking, DESTINATION).batches == []


@pytest.mark.parametrize("at", [700, 20, -3], ids=["a file's content", "a header", "the end"])
def test_a_flipped_byte_anywhere_is_found_quarantined_and_fetched_again(observatory, at):
    (package,), way = arrived(observatory)
    spoil(observatory, package, DESTINATION, at=at)
    damaged = (observatory.folder(DESTINATION) / package.path).read_bytes()
    assert observatory.run(unpacking, DESTINATION).completed == 1
    first = newest(observatory, KIND)
    (kept,) = files_below(observatory.folder(DESTINATION))
    assert re.fullmatch(rf"quarantine/\d{{8}}T\d{{6}}Z-operation-{first.id}-1/{re.escape(package.path)}", kept)
    assert (observatory.folder(DESTINATION) / kept).read_bytes() == damaged
    assert kept in first.explanation
    assert package.name in first.explanation
    assert "sent back" in first.explanation
    row = transfer_row(observatory, way)
    assert (row.transfer_status, row.unpacking_status) == (WorkStatus.PENDING, WorkStatus.PENDING)
    assert row.transferred_at is None
    assert copy_at(observatory, package, DESTINATION) is None

    assert observatory.run(transfer, DESTINATION).completed == 1
    assert observatory.run(unpacking, DESTINATION).completed == 1
    assert copy_at(observatory, package, DESTINATION).status is CopyStatus.PRESENT
    assert files_below(observatory.folder(DESTINATION)) == sorted([kept, package.path]), "evidence stays"


def test_a_byte_that_flips_in_a_journaled_block_is_found(observatory, monkeypatch):
    """A transfer that goes on trusts its journal; unpacking trusts nothing."""
    (package,) = packaged(observatory)
    bundled(observatory, [package])
    target = observatory.folder(DESTINATION) / package.path
    target.parent.mkdir(parents=True)
    content = bytearray((observatory.folder(ORIGIN) / package.path).read_bytes())
    content[700] ^= 0xFF
    target.with_name(f"{target.name}.part").write_bytes(content)
    line = f"{package.checksum} {package.block_bytes} 0 {package.block_checksums[0]}\n"
    target.with_name(f"{target.name}.journal").write_text(line)
    assert observatory.run(transfer, DESTINATION).completed == 1
    assert "0 bytes came" in newest(observatory, OperationKind.TRANSFER).explanation
    observatory.run(unpacking, DESTINATION)
    assert "sent back" in newest(observatory, KIND).explanation
    observatory.run(transfer, DESTINATION)
    observatory.run(unpacking, DESTINATION)
    assert copy_at(observatory, package, DESTINATION).status is CopyStatus.PRESENT


def test_good_packages_of_a_bad_bundle_go_on_and_are_not_read_again(observatory):
    (good, bad, also_good), way = arrived(observatory, count=3)
    spoil(observatory, bad, DESTINATION)
    observatory.run(unpacking, DESTINATION)
    assert copy_at(observatory, good, DESTINATION).verified_at is not None
    assert copy_at(observatory, also_good, DESTINATION).verified_at is not None
    assert copy_at(observatory, bad, DESTINATION) is None
    verified_at = copy_at(observatory, good, DESTINATION).verified_at
    observatory.run(transfer, DESTINATION)
    assert f"{bad.size_bytes:,} bytes came" in newest(observatory, OperationKind.TRANSFER).explanation
    observatory.run(unpacking, DESTINATION)
    assert copy_at(observatory, good, DESTINATION).verified_at == verified_at
    assert transfer_row(observatory, way).unpacking_status is WorkStatus.COMPLETED


def test_a_package_that_is_not_there_is_fetched_again(observatory):
    (package,), way = arrived(observatory)
    (observatory.folder(DESTINATION) / package.path).unlink()
    observatory.run(unpacking, DESTINATION)
    assert f"{package.path} is not in cologne_buffer" in newest(observatory, KIND).explanation
    assert transfer_row(observatory, way).transfer_status is WorkStatus.PENDING


@pytest.mark.parametrize("change", [-1, 1], ids=["too short", "too long"])
def test_a_wrong_size_is_found(observatory, change):
    (package,), way = arrived(observatory)
    path = observatory.folder(DESTINATION) / package.path
    os.truncate(path, package.size_bytes + change)
    observatory.run(unpacking, DESTINATION)
    assert transfer_row(observatory, way).transfer_status is WorkStatus.PENDING
    assert not path.exists()


def test_a_copy_that_was_thought_good_and_is_put_aside_is_marked_missing(observatory):
    (package,) = unpacked(observatory)
    bundled(observatory, [package])
    spoil(observatory, package, DESTINATION)
    observatory.run(transfer, DESTINATION)
    observatory.run(unpacking, DESTINATION)
    assert copy_at(observatory, package, DESTINATION).status is CopyStatus.MISSING
    observatory.run(transfer, DESTINATION)
    observatory.run(unpacking, DESTINATION)
    assert copy_at(observatory, package, DESTINATION).status is CopyStatus.PRESENT


def test_after_attempts_max_rounds_a_person_is_called_and_a_retry_gives_one_more_round(patient):
    (package,), way = arrived(patient)
    spoil(patient, package, DESTINATION)
    assert patient.run(unpacking, DESTINATION).failed == []
    patient.run(transfer, DESTINATION)
    spoil(patient, package, DESTINATION)
    report = patient.run(unpacking, DESTINATION)
    assert len(report.failed) == 1
    failed = newest(patient, KIND)
    assert failed.status is WorkStatus.FAILED
    assert "round 2 of 2" in failed.explanation
    assert len([path for path in files_below(patient.folder(DESTINATION)) if path.startswith("quarantine/")]) == 2
    assert transfer_row(patient, way).transfer_status is WorkStatus.PENDING

    assert patient.run(transfer, DESTINATION).completed == 1
    assert patient.plan(unpacking, DESTINATION).batches == [], "nothing happens before a person has looked"
    reset(patient.engine, operation_ids=[failed.id], person="somebody", reason="the disk was exchanged")
    assert patient.run(unpacking, DESTINATION).completed == 1
    assert copy_at(patient, package, DESTINATION).status is CopyStatus.PRESENT
    assert transfer_row(patient, way).unpacking_status is WorkStatus.COMPLETED


def test_a_retry_before_the_packages_are_there_again_waits(patient):
    (package,), _ = arrived(patient)
    for _ in range(2):
        spoil(patient, package, DESTINATION)
        patient.run(unpacking, DESTINATION)
        if newest(patient, KIND).status is not WorkStatus.FAILED:
            patient.run(transfer, DESTINATION)
    reset(patient.engine, operation_ids=[newest(patient, KIND).id], person="somebody", reason="in a hurry")
    assert patient.run(unpacking, DESTINATION).later == 1
    assert "what is missing has to come first" in newest(patient, KIND).explanation


def test_a_copy_that_is_being_deleted_is_not_brought_back_behind_the_deletions_back(observatory):
    (package,) = unpacked(observatory)
    bundled(observatory, [package])
    observatory.run(transfer, DESTINATION)
    set_status(observatory, copy_at(observatory, package, DESTINATION), CopyStatus.DELETION_IN_PROGRESS)
    assert observatory.run(unpacking, DESTINATION).later == 1
    assert copy_at(observatory, package, DESTINATION).status is CopyStatus.DELETION_IN_PROGRESS


def test_unpacking_does_not_archive(observatory):
    unpacked(observatory)
    assert packages(observatory.engine)[0].state is not PackageState.ARCHIVED
