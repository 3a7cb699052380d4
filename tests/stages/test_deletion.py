"""Deletion on real files: what goes, what stays, what is said about it, and that it ends whatever happens."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from include.errors import PermanentError, TransientError
from include.lifecycle import lease_watch
from include.lifecycle.preview import sentences
from include.operations.batch import BatchFailedError
from include.ops_db.states import CopyStatus, PackageState, WorkStatus
from include.stages import deletion
from include.storage.disk import DiskStorage
from include.storage.interface import FileStat
from include.topology import OperationKind
from tests.lifecycle.archived import ARCHIVES, BUFFERS, FILES, Archived, archived_package
from tests.observatory import Observatory

EVERYWHERE = ("ccat_source", *BUFFERS, "cologne_processing")
FIRST, SECOND = sorted(FILES)


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    package = archived_package(observatory)
    package.stage()
    return package


def files_at(observatory: Observatory, location: str) -> set[str]:
    folder = observatory.folder(location)
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def explanation(observatory: Observatory) -> str:
    return observatory.operations(OperationKind.DELETION)[-1].explanation


@pytest.mark.parametrize("location", EVERYWHERE)
def test_what_may_go_goes_and_is_on_record(observatory, package, location):
    report = observatory.run(deletion, location)

    assert (report.completed, report.failed) == (1, [])
    assert files_at(observatory, location) == set()
    assert set(package.statuses(location)) == {CopyStatus.DELETED}
    assert [record.data_location_id for record in package.records()] != []
    assert "2 verified archive copies at 2 sites" in explanation(observatory)


def test_only_this_location_and_only_catalogued_files_are_touched(observatory, package):
    observatory.put_files({"16123/rfsoc01/notes.txt": b"an observer's", "16123/rfsoc01/a_000.g3.md5": b"x"})
    observatory.run(deletion, "ccat_source")

    assert files_at(observatory, "ccat_source") == {
        "16123",
        "16123/rfsoc01",
        "16123/rfsoc01/notes.txt",
        "16123/rfsoc01/a_000.g3.md5",
    }
    for location in (*BUFFERS, *ARCHIVES):
        assert package.statuses(location) == [CopyStatus.PRESENT]
        assert package.path in files_at(observatory, location)


def test_another_package_of_the_observation_keeps_its_staged_files(observatory, package):
    other = archived_package(observatory, {"16123/rfsoc01/b.g3": b"other"}, observation=package.observation)
    other.stage()
    other.staging_job(until=datetime.now(UTC) + timedelta(hours=1))
    observatory.run(deletion, "cologne_processing")

    assert package.statuses("cologne_processing") == [CopyStatus.DELETED]
    assert other.statuses("cologne_processing") == [CopyStatus.STAGED]
    left = observatory.folder("cologne_processing") / other.staged_folder
    assert [path.name for path in left.rglob("*.g3")] == ["b.g3"]


def test_old_leftovers_of_killed_extractions_go_with_the_staged_files(observatory, package):
    folder = observatory.folder("cologne_processing") / package.staged_folder / "16123/rfsoc01"
    old, young = folder / f"a_000.g3.{'0' * 32}.part", folder / f"a_000.g3.{'1' * 32}.part"
    old.touch()
    young.touch()
    two_hours_ago = datetime.now(UTC).timestamp() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))
    observatory.run(deletion, "cologne_processing")

    assert [path.name for path in folder.iterdir()] == [young.name]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda package: package.change(state=PackageState.TRANSFERRING),
        lambda package: package.change(archived_at=datetime.now(UTC) + timedelta(hours=1)),
        lambda package: package.change_copy("us_archive", status=CopyStatus.CORRUPT),
        lambda package: package.change_copy("us_archive", verified_at=None),
        lambda package: package.change_copy("us_archive", checksum="xxh3-128:0"),
    ],
    ids=["not archived", "within its grace period", "one copy corrupt", "one not verified", "one other bytes"],
)
@pytest.mark.parametrize("location", EVERYWHERE)
def test_no_operation_is_planned_in_vain(observatory, package, location, spoil):
    spoil(package)
    observatory.plan(deletion, location)
    assert observatory.operations(OperationKind.DELETION) == []


def test_nothing_is_planned_for_staged_files_until_the_job_is_over(observatory, package):
    package.staging_job(until=datetime.now(UTC) + timedelta(hours=1))
    observatory.plan(deletion, "cologne_processing")
    assert observatory.operations(OperationKind.DELETION) == []


def test_what_is_deleted_is_not_planned_again(observatory, package):
    observatory.run(deletion, "ccat_source")
    observatory.plan(deletion, "ccat_source")
    assert len(observatory.operations(OperationKind.DELETION)) == 1


def test_a_refusal_waits_with_the_gates_sentence_and_nothing_goes(observatory, package):
    (batch,) = observatory.plan(deletion, "ccat_source").batches
    package.change_copy("us_archive", status=CopyStatus.MISSING)
    report = observatory.runner(deletion, "ccat_source").run(batch)

    assert report.later == 1
    (operation,) = observatory.operations(OperationKind.DELETION)
    assert operation.status is WorkStatus.PENDING
    assert operation.not_before is not None
    assert "has 1 verified archive copy at 1 site, and 2 at 2 are needed" in operation.explanation
    assert set(FILES) <= files_at(observatory, "ccat_source")
    assert package.statuses("ccat_source") == [CopyStatus.DELETION_POSSIBLE] * 2
    assert package.records() == []


@pytest.mark.parametrize(
    ("location", "path"),
    [("ccat_source", FIRST), ("cologne_processing", FIRST), ("cologne_buffer", "")],
)
def test_a_file_of_another_size_is_not_what_was_archived_and_stays(observatory, package, location, path):
    changed = file_of(package, location, path)
    changed.write_bytes(b"changed")
    report = observatory.run(deletion, location)

    assert changed.read_bytes() == b"changed"
    assert "Not what was archived, and left alone" in report.failed[0]
    assert changed.name in report.failed[0]
    assert "has 7 bytes instead of" in report.failed[0]
    assert CopyStatus.CORRUPT in package.statuses(location)
    assert CopyStatus.DELETION_IN_PROGRESS not in package.statuses(location)


def test_the_other_files_of_the_package_go(observatory, package):
    file_of(package, "ccat_source", FIRST).write_bytes(b"changed")
    report = observatory.run(deletion, "ccat_source")

    assert package.statuses("ccat_source") == [CopyStatus.CORRUPT, CopyStatus.DELETED]
    assert not file_of(package, "ccat_source", SECOND).exists()
    assert "1 file of" in report.failed[0]


def test_a_file_of_the_same_size_that_was_changed_since_stays(observatory, package):
    changed = file_of(package, "ccat_source", SECOND)
    changed.write_bytes(b"SECOND")
    in_future(changed)
    report = observatory.run(deletion, "ccat_source")

    assert changed.read_bytes() == b"SECOND"
    assert "has checksum" in report.failed[0]
    assert package.statuses("ccat_source") == [CopyStatus.DELETED, CopyStatus.CORRUPT]


def test_a_file_changed_after_packaging_had_read_it_and_before_that_was_recorded_stays(observatory, package):
    changed = file_of(package, "ccat_source", SECOND)
    changed.write_bytes(b"SECOND")
    package.change(created_at=datetime.now(UTC) - timedelta(hours=2), packaged_at=datetime.now(UTC))
    an_hour_ago = time.time() - 3600
    os.utime(changed, (an_hour_ago, an_hour_ago))
    report = observatory.run(deletion, "ccat_source")

    assert changed.read_bytes() == b"SECOND"
    assert "has checksum" in report.failed[0]


@pytest.mark.parametrize("location", ["ccat_source", "cologne_processing"])
def test_another_file_of_the_same_size_that_was_given_the_old_ones_time_stays(observatory, package, location):
    """As `cp -p`, rsync and tar do."""
    changed = file_of(package, location, SECOND)
    before = changed.stat()
    changed.write_bytes(b"SECOND")
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    report = observatory.run(deletion, location)

    assert changed.read_bytes() == b"SECOND"
    assert "has checksum" in report.failed[0]


def test_a_file_changed_by_a_host_whose_clock_is_behind_stays(observatory, package, monkeypatch):
    """It looks older than the package by ops-db's clock; but the host's, whose time it has, is an hour behind."""

    class Behind(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) - timedelta(hours=1)

    changed = file_of(package, "ccat_source", SECOND)
    changed.write_bytes(b"SECOND")
    package.change(created_at=datetime.now(UTC))
    monkeypatch.setattr(deletion, "datetime", Behind)
    report = observatory.run(deletion, "ccat_source")

    assert "has checksum" in report.failed[0]
    assert changed.read_bytes() == b"SECOND"
    assert package.statuses("ccat_source") == [CopyStatus.DELETED, CopyStatus.CORRUPT]


@pytest.mark.parametrize("location", EVERYWHERE)
def test_a_file_that_was_only_touched_goes(observatory, package, location):
    in_future(file_of(package, location, FIRST))
    assert observatory.run(deletion, location).completed == 1
    assert files_at(observatory, location) == set()


@pytest.mark.parametrize("mend", ["moved away", "put back"])
def test_once_a_person_has_seen_to_it_a_retry_ends_the_deletion(observatory, package, mend):
    changed = file_of(package, "ccat_source", FIRST)
    changed.write_bytes(b"changed")
    observatory.run(deletion, "ccat_source")
    (operation,) = observatory.operations(OperationKind.DELETION)
    with pytest.raises(BatchFailedError, match="has 7 bytes"):  # nobody has seen to it
        observatory.runner(deletion, "ccat_source", manual=True).run([operation.id])
    if mend == "moved away":
        changed.rename(observatory.root / "evidence.g3")
    else:
        changed.write_bytes(FILES[FIRST])
    report = observatory.runner(deletion, "ccat_source", manual=True).run([operation.id])

    assert report.completed == 1
    expected = CopyStatus.MISSING if mend == "moved away" else CopyStatus.DELETED
    assert package.statuses("ccat_source") == [expected, CopyStatus.DELETED]
    assert not changed.exists()


@pytest.mark.parametrize(
    ("location", "path"), [("ccat_source", FIRST), ("cologne_processing", FIRST), ("cologne_buffer", "")]
)
def test_a_file_that_is_gone_before_its_time_is_reported(observatory, package, location, path):
    gone = file_of(package, location, path)
    gone.unlink()
    report = observatory.run(deletion, location)

    assert (report.completed, report.failed) == (1, [])
    assert "1 had gone before their time, by somebody else's hand" in explanation(observatory)
    assert gone.name in explanation(observatory)
    if location != "cologne_processing":
        assert CopyStatus.MISSING in package.statuses(location)


def test_a_file_that_cannot_be_deleted_fails_with_the_reason_and_goes_once_it_can(observatory, package):
    storage = observatory.storages["ccat_source"]
    observatory.storages["ccat_source"] = Broken(storage, at=SECOND, error=PermanentError("no permission for it"))
    report = observatory.run(deletion, "ccat_source")

    assert "no permission for it" in report.failed[0]
    assert package.statuses("ccat_source") == [CopyStatus.DELETED, CopyStatus.DELETION_FAILED]

    observatory.storages["ccat_source"] = storage
    (operation,) = observatory.operations(OperationKind.DELETION)
    assert observatory.runner(deletion, "ccat_source", manual=True).run([operation.id]).completed == 1
    assert package.statuses("ccat_source") == [CopyStatus.DELETED] * 2


def test_what_was_found_out_before_a_passing_trouble_is_not_forgotten(observatory, package):
    file_of(package, "ccat_source", FIRST).unlink()
    observatory.storages["ccat_source"] = Broken(
        observatory.storages["ccat_source"], at=SECOND, error=TransientError("the disk is busy")
    )
    assert observatory.run(deletion, "ccat_source").later == 1
    assert package.statuses("ccat_source") == [CopyStatus.MISSING, CopyStatus.DELETION_IN_PROGRESS]


def test_nor_is_it_when_ops_db_is_cut_off_in_the_middle(observatory, package, monkeypatch):
    file_of(package, "ccat_source", FIRST).unlink()
    clock, confirm = [0.0], lease_watch.LeaseWatch.confirm
    monkeypatch.setattr(lease_watch, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def cut(watch: lease_watch.LeaseWatch, session: Session) -> None:
        if clock[0]:
            raise OperationalError("update operation", {}, Exception("the connection is gone"))
        confirm(watch, session)

    class Slow(DiskStorage):
        def stat(self, path: str) -> FileStat | None:
            clock[0] += 3600
            return super().stat(path)

    monkeypatch.setattr(lease_watch.LeaseWatch, "confirm", cut)
    observatory.storages["ccat_source"] = Slow(observatory.folder("ccat_source"))
    assert observatory.run(deletion, "ccat_source").later == 1
    assert package.statuses("ccat_source") == [CopyStatus.MISSING, CopyStatus.DELETION_IN_PROGRESS]
    assert "nothing more is deleted" in observatory.operations(OperationKind.DELETION)[0].explanation


class Killed(BaseException):
    """The worker ends here; nothing catches this."""


class Broken:
    """A storage whose delete of one path raises; everything else goes through."""

    def __init__(self, storage: DiskStorage, *, at: str, error: Exception) -> None:
        self._storage, self._at, self._error = storage, at, error

    def delete(self, path: str) -> bool:
        if path.endswith(self._at):
            raise self._error
        return self._storage.delete(path)

    def __getattr__(self, name: str):
        return getattr(self._storage, name)


class Mortal(DiskStorage):
    """A folder whose user is killed before its n-th step, a look or a deletion."""

    def __init__(self, root: Path, *, steps: int) -> None:
        super().__init__(root)
        self.steps_left = steps

    def _step(self) -> None:
        if not self.steps_left:
            raise Killed
        self.steps_left -= 1

    def stat(self, path: str):
        self._step()
        return super().stat(path)

    def delete(self, path: str) -> bool:
        self._step()
        return super().delete(path)


@pytest.mark.parametrize("location", ["ccat_source", "cologne_processing", "cologne_buffer"])
@pytest.mark.parametrize("steps", range(5))
def test_killed_between_any_two_steps_it_ends_at_the_next_try(observatory, package, location, steps):
    storage = observatory.storages[location]
    observatory.storages[location] = Mortal(observatory.folder(location), steps=steps)
    try:
        observatory.run(deletion, location)
    except Killed:
        assert CopyStatus.DELETION_IN_PROGRESS in package.statuses(location)
    observatory.storages[location] = storage
    let_leases_run_out(observatory.engine)
    observatory.run(deletion, location)

    assert files_at(observatory, location) == set()
    assert set(package.statuses(location)) == {CopyStatus.DELETED}
    assert {record.copy_count for record in package.records()} <= {1, 2}


def test_killed_before_it_is_recorded_it_ends_at_the_next_try(observatory, package, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(deletion, "_what_went", raising(Killed()))
        with pytest.raises(Killed):
            observatory.run(deletion, "ccat_source")
    assert files_at(observatory, "ccat_source") == set()
    assert package.statuses("ccat_source") == [CopyStatus.DELETION_IN_PROGRESS] * 2
    let_leases_run_out(observatory.engine)
    observatory.run(deletion, "ccat_source")

    assert package.statuses("ccat_source") == [CopyStatus.DELETED] * 2
    assert "gone before" not in explanation(observatory)


def test_killed_before_the_gates_answer_is_committed_nothing_has_happened(observatory, package, monkeypatch):
    monkeypatch.setattr(deletion, "doomed_copies", raising(Killed()))
    with pytest.raises(Killed):
        observatory.run(deletion, "ccat_source")

    assert package.statuses("ccat_source") == [CopyStatus.DELETION_POSSIBLE] * 2
    assert package.records() == []


def test_a_worker_killed_by_sigkill_loses_nothing(observatory, package):
    deletes = 1
    (batch,) = observatory.plan(deletion, "ccat_source").batches
    url = observatory.engine.url.render_as_string(hide_password=False)
    arguments = [url, str(observatory.root), str(batch[0]), str(deletes)]
    killed = subprocess.run([sys.executable, "-m", "tests.stages.killed_deletion", *arguments], check=False, timeout=60)
    assert killed.returncode == -9
    assert package.statuses("ccat_source") == [CopyStatus.DELETION_IN_PROGRESS] * 2
    assert len(set(FILES) & files_at(observatory, "ccat_source")) == 2 - deletes
    let_leases_run_out(observatory.engine)
    observatory.run(deletion, "ccat_source")

    assert files_at(observatory, "ccat_source") == set()
    assert package.statuses("ccat_source") == [CopyStatus.DELETED] * 2


@pytest.mark.parametrize("location", EVERYWHERE)
def test_what_is_recorded_as_deleted_is_gone_after_a_power_cut_too(observatory, package, location, monkeypatch):
    """Once the last file is gone, what is left of its folders is on the disk before ops-db hears of it."""
    root = observatory.folder(location)
    flushed: list[tuple[Path, bool, set[CopyStatus]]] = []

    def fsync(descriptor: int) -> None:
        folder = Path(f"/proc/self/fd/{descriptor}").readlink()
        is_empty = not any(path.is_file() for path in root.rglob("*"))
        flushed.append((folder, is_empty, set(package.statuses(location))))

    monkeypatch.setattr("include.storage.disk.os.fsync", fsync)
    assert observatory.run(deletion, location).completed == 1
    assert flushed == [(root.resolve(), True, {CopyStatus.DELETION_IN_PROGRESS})]


def test_a_deletion_whose_operation_is_gone_is_planned_again(observatory, package):
    observatory.storages["ccat_source"] = Mortal(observatory.folder("ccat_source"), steps=2)
    with pytest.raises(Killed):
        observatory.run(deletion, "ccat_source")
    with observatory.engine.begin() as connection:
        connection.execute(text("update operation set status = 'cancelled'"))
    observatory.storages["ccat_source"] = DiskStorage(observatory.folder("ccat_source"))
    observatory.run(deletion, "ccat_source")

    assert package.statuses("ccat_source") == [CopyStatus.DELETED] * 2


@pytest.mark.parametrize(("location", "whole"), [("ccat_source", "present"), ("cologne_buffer", "present")])
def test_if_the_gate_says_no_in_the_middle_what_is_left_is_given_back(observatory, package, location, whole):
    observatory.storages[location] = Mortal(observatory.folder(location), steps=2 if location == "ccat_source" else 1)
    with pytest.raises(Killed):
        observatory.run(deletion, location)
    package.change_copy("us_archive", status=CopyStatus.CORRUPT)
    let_leases_run_out(observatory.engine)
    observatory.storages[location] = DiskStorage(observatory.folder(location))
    assert observatory.run(deletion, location).later == 1

    expected = [CopyStatus.DELETED, CopyStatus(whole)] if location == "ccat_source" else [CopyStatus(whole)]
    assert package.statuses(location) == expected
    assert "us_archive (corrupt)" in explanation(observatory)


def test_staged_files_that_are_whole_are_given_back_when_somebody_wants_them_again(observatory, package):
    observatory.storages["cologne_processing"] = Mortal(observatory.folder("cologne_processing"), steps=0)
    with pytest.raises(Killed):
        observatory.run(deletion, "cologne_processing")
    package.staging_job(until=datetime.now(UTC) + timedelta(hours=1))
    let_leases_run_out(observatory.engine)
    observatory.storages["cologne_processing"] = DiskStorage(observatory.folder("cologne_processing"))
    assert observatory.run(deletion, "cologne_processing").later == 1

    assert package.statuses("cologne_processing") == [CopyStatus.STAGED]


def test_a_worker_that_was_overtaken_deletes_nothing_more(observatory, package, monkeypatch):
    """It was stopped in the middle, for longer than its lease: the clock jumps, and somebody else has the operation."""
    clock = [0.0]
    monkeypatch.setattr(lease_watch, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    class Stopped(DiskStorage):
        def delete(self, path: str) -> bool:
            done = super().delete(path)
            clock[0] += 3600
            with observatory.engine.begin() as connection:
                connection.execute(text("update operation set lease_token = lease_token + 1"))
            return done

    observatory.storages["ccat_source"] = Stopped(observatory.folder("ccat_source"))
    report = observatory.run(deletion, "ccat_source")

    assert report.passed_over == 1
    assert not file_of(package, "ccat_source", FIRST).exists()
    assert file_of(package, "ccat_source", SECOND).exists()


def test_a_worker_that_was_overtaken_before_the_gate_writes_nothing(observatory, package, monkeypatch):
    ask = deletion.allow_deletion

    def overtaken(session: Session, **values):
        with observatory.engine.begin() as connection:
            connection.execute(text("update operation set lease_token = lease_token + 1"))
        return ask(session, **values)

    monkeypatch.setattr(deletion, "allow_deletion", overtaken)
    assert observatory.run(deletion, "ccat_source").passed_over == 1
    assert package.records() == []
    assert package.statuses("ccat_source") == [CopyStatus.DELETION_POSSIBLE] * 2


def test_two_workers_with_the_same_deletion_end_it_together(observatory, package):
    """The second takes over in the middle of the first, which goes on without knowing."""

    class Overtaken(DiskStorage):
        taken = False

        def delete(self, path: str) -> bool:
            if not self.taken:
                self.taken = True
                let_leases_run_out(observatory.engine)
                (operation,) = observatory.operations(OperationKind.DELETION)
                assert observatory.runner(deletion, "ccat_source").run([operation.id]).completed == 1
            return super().delete(path)

    observatory.storages["ccat_source"] = Overtaken(observatory.folder("ccat_source"))
    report = observatory.run(deletion, "ccat_source")

    assert report.passed_over == 1
    assert files_at(observatory, "ccat_source") == set()
    assert package.statuses("ccat_source") == [CopyStatus.DELETED] * 2
    assert "gone before" not in explanation(observatory)


@pytest.mark.parametrize("location", EVERYWHERE)
def test_a_preview_says_what_the_gate_would_say_and_changes_nothing(observatory, package, location, engine: Engine):
    with Session(engine) as session, session.begin():
        (may_go,) = preview(session, observatory, location)
    package.change_copy("us_archive", status=CopyStatus.CORRUPT)
    with Session(engine) as session, session.begin():
        (stays,) = preview(session, observatory, location)

    assert (may_go.package, may_go.location, may_go.may_go) == (package.name, location, True)
    assert may_go.size_bytes == (
        len(package.content) if location in BUFFERS else sum(len(content) for content in FILES.values())
    )
    assert (stays.may_go, stays.reason) == (False, package.refusal(location))
    assert package.records() == []
    assert not set(package.statuses(location)) & {CopyStatus.DELETION_IN_PROGRESS}


def test_a_preview_says_when_it_did_not_look_at_everything(observatory, package):
    with Session(observatory.engine) as session:
        place = observatory.topology.location("ccat_buffer")
        answers = deletion.preview(session, topology=observatory.topology, location=place, most=1)
    assert [line.split(":")[0] for line in sentences(answers)] == [package.name]
    assert "would go" in sentences(answers)[0]
    assert "Only the first 1 packages" in sentences(answers, most=1)[-1]


def test_a_preview_can_be_about_some_packages_only(observatory, package, engine: Engine):
    other = archived_package(observatory, {"other.g3": b"other"})
    with Session(engine) as session:
        assert [row.package for row in preview(session, observatory, "us_buffer", [other.name])] == [other.name]
        assert [row.package for row in preview(session, observatory, "us_buffer")] == [package.name, other.name]


def preview(session: Session, observatory: Observatory, location: str, packages: list[str] | None = None):
    place = observatory.topology.location(location)
    return deletion.preview(session, topology=observatory.topology, location=place, packages=packages or [])


def file_of(package: Archived, location: str, path: str) -> Path:
    """Where a raw file of the package is at the source and when staged; its tar elsewhere."""
    folder = package.observatory.folder(location)
    if location in BUFFERS:
        return folder / package.path
    return folder / (f"{package.staged_folder}/{path}" if location == "cologne_processing" else path)


def in_future(path: Path) -> None:
    """As if it was touched after everything that ops-db knows of it."""
    later = datetime.now(UTC).timestamp() + 60
    os.utime(path, (later, later))


def let_leases_run_out(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("update operation set lease_expires_at = now() - interval '1 second'"))


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail
