"""Damaged packages in a buffer that nobody needs: out of the way, kept for a person, and reported no more."""

import os

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from include.lifecycle.deletion_requests import request_deletion
from include.operations.record import reset
from include.ops_db.states import CopyStatus, WorkStatus
from include.stages import deletion
from include.topology import OperationKind
from tests.lifecycle.archived import Archived, archived_package
from tests.observatory import Observatory
from tests.stages.filed import files_below

HERE = "cologne_buffer"
KIND = OperationKind.DELETION


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    return archived_package(observatory)


def rot(package: Archived, *, size: int | None = None) -> bytes:
    """Flip a bit, or cut; the file's time stays, as when a disk fails. Return what is left."""
    path = package.observatory.folder(HERE) / package.path
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[700] ^= 1
    path.write_bytes(content[:size])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return bytes(content[:size])


@pytest.mark.parametrize("size", [None, 1000])
def test_it_goes_into_quarantine_once_the_gate_lets_it_go(observatory, package, size):
    damaged = rot(package, size=size)
    package.change_copy(HERE, status=CopyStatus.CORRUPT)
    report = observatory.run(deletion, HERE)
    assert (report.completed, report.failed) == (1, [])
    (kept,) = files_below(observatory.folder(HERE))
    assert kept.startswith("quarantine/")
    assert (observatory.folder(HERE) / kept).read_bytes() == damaged
    assert package.statuses(HERE) == [CopyStatus.DELETED]
    (operation,) = observatory.operations(KIND)
    assert f"What was damaged is kept as {kept}" in operation.explanation
    assert "2 verified archive copies at 2 sites" in operation.explanation
    assert len(package.records()) == 1
    assert observatory.plan(deletion, HERE).batches == [], "nobody hears of it again"


def test_it_stays_where_it_is_while_the_archives_need_something(observatory, package):
    damaged = rot(package)
    package.change_copy(HERE, status=CopyStatus.CORRUPT)
    package.change_copy("us_archive", status=CopyStatus.MISSING)
    assert observatory.plan(deletion, HERE).batches == []
    assert (observatory.folder(HERE) / package.path).read_bytes() == damaged
    assert package.statuses(HERE) == [CopyStatus.CORRUPT]


def test_what_a_person_has_put_right_is_deleted_as_any_other(observatory, package):
    package.change_copy(HERE, status=CopyStatus.CORRUPT)
    assert observatory.run(deletion, HERE).completed == 1
    assert files_below(observatory.folder(HERE)) == []
    assert package.statuses(HERE) == [CopyStatus.DELETED]


def test_what_a_person_has_taken_away_is_asked_for_no_more(observatory, package):
    (observatory.folder(HERE) / package.path).unlink()
    package.change_copy(HERE, status=CopyStatus.CORRUPT)
    assert observatory.run(deletion, HERE).completed == 1
    assert package.statuses(HERE) == [CopyStatus.DELETED]
    assert "before their time" not in observatory.operations(KIND)[0].explanation


def test_damage_that_nobody_knew_of_calls_a_person_whose_retry_puts_it_aside(observatory, package):
    rot(package, size=1000)
    assert "Not what was archived, and left alone" in observatory.run(deletion, HERE).failed[0]
    (failed,) = observatory.operations(KIND)
    assert failed.status is WorkStatus.FAILED
    assert observatory.plan(deletion, HERE).batches == []
    reset(observatory.engine, operation_ids=[failed.id], person="somebody", reason="the disk is looked after")
    assert observatory.run(deletion, HERE).completed == 1
    assert package.statuses(HERE) == [CopyStatus.DELETED]
    (kept,) = files_below(observatory.folder(HERE))
    assert kept.startswith("quarantine/")


def test_killed_after_the_move_it_comes_to_its_end(observatory, package, monkeypatch):
    rot(package)
    package.change_copy(HERE, status=CopyStatus.CORRUPT)
    (batch,) = observatory.plan(deletion, HERE).batches
    real = deletion.put_unneeded_aside

    def killed(*args: object) -> None:
        real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(deletion, "put_unneeded_aside", killed)
    with pytest.raises(KeyboardInterrupt):
        observatory.runner(deletion, HERE).run(batch)
    monkeypatch.undo()
    assert package.statuses(HERE) == [CopyStatus.DELETION_IN_PROGRESS]
    assert observatory.runner(deletion, HERE, manual=True).run(batch).passed_over == 1, "its lease lives"
    with observatory.engine.begin() as connection:
        connection.execute(text("update operation set lease_expires_at = now() - interval '1 second'"))
    assert observatory.run(deletion, HERE).completed == 1
    assert package.statuses(HERE) == [CopyStatus.DELETED]
    assert len(files_below(observatory.folder(HERE))) == 1


def test_elsewhere_than_in_a_buffer_a_person_decides(observatory, package):
    path = observatory.folder("ccat_source") / min(package.files)
    path.write_bytes(b"changed")
    failed = observatory.run(deletion, "ccat_source").failed
    assert "left alone" in failed[0]
    operation = observatory.operations(KIND)[-1]
    reset(observatory.engine, operation_ids=[operation.id], person="somebody", reason="once more")
    assert "left alone" in observatory.run(deletion, "ccat_source").failed[0]
    assert path.read_bytes() == b"changed"


def test_a_dry_run_knows_of_it_too(observatory, package):
    rot(package)
    package.change_copy(HERE, status=CopyStatus.CORRUPT)
    with Session(observatory.engine) as session:
        place = observatory.topology.location(HERE)
        (answer,) = deletion.preview(session, topology=observatory.topology, location=place)
    assert (answer.package, answer.may_go) == (package.name, True)
    assert observatory.run(deletion, HERE).completed == 1


def test_what_failed_is_tried_again_when_a_person_asks_for_its_deletion(observatory, package):
    rot(package, size=1000)
    assert observatory.run(deletion, HERE).failed
    place = observatory.topology.location(HERE)
    with Session(observatory.engine) as session, session.begin():
        wished = deletion.preview(session, topology=observatory.topology, location=place)
        request_deletion(
            session, topology=observatory.topology, location=place, wished=wished, person="jane", reason="room"
        )
    assert observatory.run(deletion, HERE).completed == 1
    assert package.statuses(HERE) == [CopyStatus.DELETED]
    assert [record.requested_by for record in package.records()] == ["policy", "jane"]
