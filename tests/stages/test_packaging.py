"""Packaging makes one tar of the files that belong together, exactly once, and leaves nothing half done."""

import os
import tarfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from include.errors import BadInputError, LeaseLostError, PermanentError, TransientError
from include.integrity.verify import read_package
from include.operations.batch import BatchReport
from include.operations.record import reset
from include.operations.stage import Selection
from include.ops_db.manifests import load_manifest
from include.ops_db.states import CopyStatus, PackageState, WorkStatus
from include.ops_db.tables import PhysicalCopy, RawDataFile, RawDataPackage
from include.sandbox.sftp import Implementation, Sftp
from include.stages import packaging
from include.storage.disk import DiskStorage
from include.storage.interface import Chunk, Space
from include.storage.sftp import SftpStorage
from include.topology import OperationKind
from tests.observatory import Observatory
from tests.stages.filed import add_location, file_observation, files_below, finish_observation, packages
from tests.storage.conftest import sftp_address

HERE = "ccat_source"
ODD_FILES = {
    "a b/with space.g3": b"space",
    "-rf": b"leading dash",
    "ünï/çödé/日本語 🔭.g3": b"unicode",
    "empty": b"",
    "/".join(["deep"] * 40) + "/file": b"deep",
    "long/" + "n" * 250: b"long name",
    "new\nline": b"line",
    "512": b"x" * 512,
    "513": b"x" * 513,
    ".hidden/..double": b"dots",
}


class Restless(DiskStorage):
    """A buffer at which something happens while a package is written into it."""

    def __init__(self, root: Path, happening: Callable[[int], None]) -> None:
        super().__init__(root)
        self._happening = happening

    def write(self, path: str, chunks: Iterable[Chunk], *, size_bytes: int | None = None) -> None:
        def watched() -> Iterable[Chunk]:
            for number, chunk in enumerate(chunks):
                self._happening(number)
                yield chunk

        super().write(path, watched(), size_bytes=size_bytes)


class DiesAfterWriting(DiskStorage):
    """The package is in its place, and then the power goes."""

    def write(self, path: str, chunks: Iterable[Chunk], *, size_bytes: int | None = None) -> None:
        super().write(path, chunks, size_bytes=size_bytes)
        raise TransientError("the power went")


class Small(DiskStorage):
    """A disk with little room."""

    def space(self) -> Space:
        return Space(total_bytes=1000, free_bytes=10)


def package_files(observatory: Observatory) -> BatchReport:
    return observatory.run(packaging, HERE)


def tar_content(observatory: Observatory, package: RawDataPackage, buffer: str = "ccat_buffer") -> dict[str, bytes]:
    with tarfile.open(observatory.folder(buffer) / package.path) as tar:
        return {member.name: _read(tar, member) for member in tar}


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = tar.extractfile(member)
    assert content is not None
    return content.read()


def buffered(observatory: Observatory, buffer: str = "ccat_buffer") -> list[str]:
    return files_below(observatory.folder(buffer))


def the_operation_says(observatory: Observatory) -> str:
    (operation,) = observatory.operations(OperationKind.PACKAGING)
    return operation.explanation


def retry(observatory: Observatory) -> BatchReport:
    """As `dts retry` does, and the run after it."""
    ids = [operation.id for operation in observatory.operations(OperationKind.PACKAGING)]
    assert reset(observatory.engine, operation_ids=ids, person="ada", reason="mended")
    return package_files(observatory)


def new_buffer(observatory: Observatory, *, priority: int) -> None:
    """Another buffer at the same site: ccat_spare."""
    add_location(observatory, like="ccat_buffer", name="spare", priority=priority)


# What is made


def test_a_finished_observation_becomes_one_package_in_the_buffer(observatory: Observatory) -> None:
    files = {"12345/rfsoc01/12345_000.g3": b"first", "12345/rfsoc01/12345_001.g3": b"second"}
    observation = file_observation(observatory, files)
    report = package_files(observatory)
    assert (report.completed, report.failed) == (1, [])
    (package,) = packages(observatory.engine)
    assert package.name == f"primecam_mod280_20260401T032000_{str(observation)[:8]}_0001"
    assert package.path == f"primecam/20260401/{package.name}.tar"
    assert (package.state, package.file_count, package.content_bytes) == (PackageState.WAITING, 2, 11)
    assert package.packaged_at is not None
    assert tar_content(observatory, package) == files
    assert buffered(observatory) == [package.path]


def test_what_is_recorded_is_what_lies_in_the_buffer(observatory: Observatory) -> None:
    file_observation(observatory, ODD_FILES | {"large": b"0123456789" * 100_000}, with_checksums=True)
    package_files(observatory)
    (package,) = packages(observatory.engine)
    content = (observatory.folder("ccat_buffer") / package.path).read_bytes()
    with Session(observatory.engine) as session:
        manifest = load_manifest(session, package.id)
        copy = session.scalars(select(PhysicalCopy).where(PhysicalCopy.raw_data_package_id == package.id)).one()
    read_package([content], manifest=manifest)
    for member in manifest.members:
        assert content[member.offset_bytes : member.end_bytes] == (observatory.folder(HERE) / member.path).read_bytes()
    assert (copy.status, copy.size_bytes, copy.path) == (CopyStatus.PRESENT, len(content), package.path)
    assert copy.checksum == package.checksum == manifest.checksum
    assert copy.verified_at is None  # written, not read back


def test_odd_names_survive(observatory: Observatory) -> None:
    file_observation(observatory, ODD_FILES)
    package_files(observatory)
    (package,) = packages(observatory.engine)
    assert tar_content(observatory, package) == ODD_FILES


def test_the_same_files_give_the_same_bytes_whenever_they_are_packaged(observatory: Observatory) -> None:
    file_observation(observatory, ODD_FILES)
    observatory.storages["ccat_buffer"] = DiesAfterWriting(observatory.folder("ccat_buffer"))
    package_files(observatory)
    (path,) = buffered(observatory)
    first = (observatory.folder("ccat_buffer") / path).read_bytes()
    (observatory.folder("ccat_buffer") / path).unlink()
    for name in ODD_FILES:
        (observatory.folder(HERE) / name).touch()
    observatory.storages["ccat_buffer"] = DiskStorage(observatory.folder("ccat_buffer"))
    assert retry(observatory).completed == 1
    assert buffered(observatory) == [path]
    assert (observatory.folder("ccat_buffer") / path).read_bytes() == first


def test_modules_of_one_observation_are_packaged_apart(observatory: Observatory) -> None:
    observation = file_observation(observatory, {"280": b"a"})
    file_observation(observatory, {"350": b"b"}, observation=observation, module="mod350")
    package_files(observatory)
    made = packages(observatory.engine)
    assert sorted(package.name.split("_")[1] for package in made) == ["mod280", "mod350"]
    assert [package.number for package in made] == [1, 1]


def test_a_file_that_was_not_filed_is_not_packed(observatory: Observatory) -> None:
    file_observation(observatory, {"night/1.g3": b"filed"})
    observatory.put_files({"night/2.g3": b"still being written"})
    package_files(observatory)
    (package,) = packages(observatory.engine)
    assert tar_content(observatory, package) == {"night/1.g3": b"filed"}


def test_observations_that_share_second_and_beginning_get_names_of_their_own(observatory: Observatory) -> None:
    first = file_observation(observatory, {"1": b"a"}, observation=UUID("aaaaaaaa-0000-0000-0000-000000000001"))
    package_files(observatory)
    second = file_observation(observatory, {"2": b"b"}, observation=UUID("aaaaaaaa-0000-0000-0000-000000000002"))
    package_files(observatory)
    names = [package.name for package in packages(observatory.engine)]
    assert names == [
        f"primecam_mod280_20260401T032000_{str(first)[:8]}_0001",
        f"primecam_mod280_20260401T032000_{second}_0001",
    ]
    assert len(buffered(observatory)) == 2


def test_five_thousand_small_files_are_one_package_within_seconds(observatory: Observatory) -> None:
    file_observation(observatory, {f"{index // 100:02}/{index:04}.g3": b"%d" % index for index in range(5000)})
    begun = time.monotonic()
    assert package_files(observatory).completed == 1
    assert time.monotonic() - begun < 30  # 2.8 on two idle cores
    (package,) = packages(observatory.engine)
    with Session(observatory.engine) as session:
        manifest = load_manifest(session, package.id)
    assert len(manifest.members) == 5000
    read_package([(observatory.folder("ccat_buffer") / package.path).read_bytes()], manifest=manifest)


# When it is made


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"package_max_files": 2}, [["1", "2"], ["3", "4"], ["5"]]),
        ({"package_max_bytes": 20}, [["1", "2"], ["3", "4"], ["5"]]),
        ({"package_max_bytes": 25}, [["1", "2"], ["3", "4"], ["5"]]),
        ({"package_max_bytes": 5}, [["1"], ["2"], ["3"], ["4"], ["5"]]),
        ({"package_max_bytes": 50}, [["1", "2", "3", "4", "5"]]),
    ],
)
def test_a_large_observation_becomes_numbered_packages_in_order_of_path(
    engine: Engine, tmp_path: Path, policy: dict[str, object], expected: list[list[str]]
) -> None:
    observatory = Observatory.build(engine, tmp_path / "observatory", **policy)
    file_observation(observatory, dict.fromkeys("35142", b"ten bytes!"))
    assert package_files(observatory).completed == len(expected)
    made = packages(engine)
    assert [package.number for package in made] == list(range(1, len(expected) + 1))
    assert [list(tar_content(observatory, package)) for package in made] == expected


def test_files_of_an_unfinished_observation_wait(observatory: Observatory) -> None:
    observation = file_observation(observatory, {"1": b"a"}, finished=False)
    package_files(observatory)
    assert observatory.operations(OperationKind.PACKAGING) == []
    finish_observation(observatory, observation)
    package_files(observatory)
    assert len(buffered(observatory)) == 1


def test_an_operation_says_why_its_package_is_made_now(observatory: Observatory) -> None:
    file_observation(observatory, {"1": b"a"})
    observatory.plan(packaging, HERE, selection=Selection(packages=("another",)))
    assert "its observation is finished" in the_operation_says(observatory)


def test_files_of_an_unfinished_observation_wait_only_so_long(observatory: Observatory) -> None:
    age = observatory.topology.policy.package_max_age_seconds
    file_observation(observatory, {"young": b"a"}, finished=False, filed_ago_seconds=age - 10)
    file_observation(observatory, {"old": b"a"}, finished=False, filed_ago_seconds=age + 1)
    package_files(observatory)
    (package,) = packages(observatory.engine)
    assert list(tar_content(observatory, package)) == ["old"]


def test_full_packages_of_an_unfinished_observation_go_and_the_rest_waits(engine: Engine, tmp_path: Path) -> None:
    observatory = Observatory.build(engine, tmp_path / "observatory", package_max_files=2)
    observation = file_observation(observatory, {"1": b"", "2": b"", "3": b""}, finished=False)
    package_files(observatory)
    assert len(packages(engine)) == 1
    file_observation(observatory, {"4": b"", "5": b""}, observation=observation)
    package_files(observatory)
    assert [list(tar_content(observatory, package)) for package in packages(engine)] == [["1", "2"], ["3", "4"], ["5"]]
    assert [package.number for package in packages(engine)] == [1, 2, 3]


def test_files_filed_after_the_end_become_a_further_package(observatory: Observatory) -> None:
    observation = file_observation(observatory, {"1": b"a"})
    package_files(observatory)
    before = (observatory.folder("ccat_buffer") / packages(observatory.engine)[0].path).read_bytes()
    file_observation(observatory, {"0": b"late"}, observation=observation)
    package_files(observatory)
    first, second = packages(observatory.engine)
    assert (second.number, tar_content(observatory, second)) == (2, {"0": b"late"})
    assert (observatory.folder("ccat_buffer") / first.path).read_bytes() == before


def test_what_one_plan_cannot_take_comes_with_the_next(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.stages.cutting.FILES_A_PLAN", 3)
    observatory = Observatory.build(engine, tmp_path / "observatory", package_max_files=2)
    file_observation(observatory, {str(number): b"" for number in range(7)})
    plans = 0
    while len(packages(engine)) < 4:
        observatory.plan(packaging, HERE)
        plans += 1
        assert plans < 10
    assert [package.file_count for package in packages(engine)] == [2, 2, 2, 1]


def test_a_second_plan_with_nothing_new_inserts_nothing(observatory: Observatory) -> None:
    file_observation(observatory, {"1": b"a"})
    observatory.plan(packaging, HERE)
    observatory.plan(packaging, HERE)
    package_files(observatory)
    observatory.plan(packaging, HERE)
    assert len(packages(observatory.engine)) == len(observatory.operations(OperationKind.PACKAGING)) == 1


def test_plans_at_the_same_moment_cut_each_file_once(engine: Engine, tmp_path: Path) -> None:
    observatory = Observatory.build(engine, tmp_path / "observatory", package_max_files=5)
    for _ in range(5):
        file_observation(observatory, {str(number): b"" for number in range(12)})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: observatory.plan(packaging, HERE), range(8)))
    assert sorted(package.file_count for package in packages(engine)) == [2] * 5 + [5] * 10
    with Session(engine) as session:
        assert session.scalars(select(RawDataFile.id).where(RawDataFile.raw_data_package_id.is_(None))).all() == []


def test_two_sources_of_one_observation_never_give_a_number_twice(engine: Engine, tmp_path: Path) -> None:
    observatory = Observatory.build(engine, tmp_path / "observatory", package_max_files=1)
    add_location(observatory, like=HERE, name="second")
    observation = file_observation(observatory, {str(number): b"" for number in range(20)}, finished=False)
    file_observation(
        observatory, {str(number): b"" for number in range(20, 40)}, observation=observation, source="ccat_second"
    )
    with ThreadPoolExecutor(2) as pool:
        while len(packages(engine)) < 40:
            list(pool.map(lambda name: observatory.plan(packaging, name), [HERE, "ccat_second"]))
    assert sorted(package.number for package in packages(engine)) == list(range(1, 41))


def test_a_package_whose_operation_was_cancelled_is_wanted_again(observatory: Observatory) -> None:
    file_observation(observatory, {"1": b"a"})
    observatory.plan(packaging, HERE)
    with observatory.engine.begin() as connection:
        connection.execute(text("update operation set status = 'cancelled'"))
    assert package_files(observatory).completed == 1


# When files are not as they were filed


def _remove(folder: Path) -> None:
    (folder / "night/2.g3").unlink()


def _grow(folder: Path) -> None:
    (folder / "night/2.g3").write_bytes(b"longer than it was")


def _shrink(folder: Path) -> None:
    (folder / "night/2.g3").write_bytes(b"")


def _alter(folder: Path) -> None:
    (folder / "night/2.g3").write_bytes(b"SECOND")


def _link(folder: Path) -> None:
    (folder / "night/2.g3").unlink()
    (folder / "night/2.g3").symlink_to(folder / "night/1.g3")


@pytest.mark.parametrize("happening", [_remove, _grow, _shrink, _alter, _link])
def test_a_file_that_is_not_as_filed_is_named_and_nothing_is_left_in_the_buffer(
    observatory: Observatory, happening: Callable[[Path], None]
) -> None:
    file_observation(observatory, {"night/1.g3": b"first!", "night/2.g3": b"second"}, with_checksums=True)
    happening(observatory.folder(HERE))
    (failure,) = package_files(observatory).failed
    assert "'night/2.g3'" in failure
    assert "'night/1.g3'" not in failure
    assert "put back" in failure
    assert "dts retry" in failure
    (package,) = packages(observatory.engine)
    assert (package.state, package.packaged_at, package.checksum) == (PackageState.FAILED, None, None)
    assert buffered(observatory) == []
    with Session(observatory.engine) as session:
        assert session.scalars(select(PhysicalCopy).where(PhysicalCopy.raw_data_package_id.is_not(None))).all() == []
        assert session.scalars(select(RawDataFile).where(RawDataFile.offset_bytes.is_not(None))).all() == []


def test_every_file_that_is_wrong_at_first_sight_is_told_at_once(observatory: Observatory) -> None:
    file_observation(observatory, {str(number): b"content" for number in range(9)})
    for number in range(2):
        (observatory.folder(HERE) / str(number)).unlink()
    for number in range(2, 9):
        (observatory.folder(HERE) / str(number)).write_bytes(b"grown since")
    (failure,) = package_files(observatory).failed
    assert "2 of 9 files are missing: '0', '1'." in failure
    assert "'2' (7 bytes filed, 11 there)" in failure
    assert "and 2 more" in failure


def test_a_file_that_changes_while_it_is_read_fails_the_package(observatory: Observatory) -> None:
    content = b"x" * 3_000_000
    file_observation(observatory, {"steady": b"", "written": content})
    target = observatory.folder(HERE) / "written"

    def rewrite(number: int) -> None:
        if number == 4:
            target.write_bytes(b"y" * len(content))

    observatory.storages["ccat_buffer"] = Restless(observatory.folder("ccat_buffer"), rewrite)
    (failure,) = package_files(observatory).failed
    assert "'written' changed while it was read" in failure
    assert buffered(observatory) == []
    assert packages(observatory.engine)[0].state == PackageState.FAILED


def test_a_failed_package_is_made_once_its_file_is_restored_and_a_person_retries(observatory: Observatory) -> None:
    file_observation(observatory, {"1": b"one", "2": b"two"}, with_checksums=True)
    (observatory.folder(HERE) / "2").unlink()
    package_files(observatory)
    assert package_files(observatory).failed == []  # nothing plans it anew by itself
    observatory.put_files({"2": b"two"})
    assert retry(observatory).completed == 1
    (package,) = packages(observatory.engine)
    assert package.state == PackageState.WAITING
    assert tar_content(observatory, package) == {"1": b"one", "2": b"two"}


def test_a_failed_package_does_not_keep_others_from_being_made(observatory: Observatory) -> None:
    file_observation(observatory, {"broken": b"1"})
    (observatory.folder(HERE) / "broken").unlink()
    file_observation(observatory, {"whole": b"2"})
    report = package_files(observatory)
    assert len(report.failed) == 1
    assert len(buffered(observatory)) == 1


def test_a_package_that_is_not_made_has_no_manifest(observatory: Observatory) -> None:
    file_observation(observatory, {"1": b"one"})
    observatory.plan(packaging, HERE)
    (package,) = packages(observatory.engine)
    with Session(observatory.engine) as session:
        with pytest.raises(BadInputError, match="is not made yet"):
            load_manifest(session, package.id)
        with pytest.raises(BadInputError, match="no raw_data_package 999"):
            load_manifest(session, 999)


def test_a_manifest_with_a_member_missing_in_ops_db_is_refused(observatory: Observatory) -> None:
    file_observation(observatory, {"1": b"one", "2": b"two"})
    package_files(observatory)
    (package,) = packages(observatory.engine)
    with Session(observatory.engine) as session:
        session.execute(text("update raw_data_file set raw_data_package_id = null where path = '2'"))
        with pytest.raises(PermanentError, match="1 of 2 files"):
            load_manifest(session, package.id)


# When workers or buffers are not as they should be


def test_a_package_that_was_written_but_not_recorded_is_written_again(observatory: Observatory) -> None:
    file_observation(observatory, {"1": b"one"})
    observatory.storages["ccat_buffer"] = DiesAfterWriting(observatory.folder("ccat_buffer"))
    assert package_files(observatory).later == 1
    (package,) = packages(observatory.engine)
    assert (package.packaged_at, package.state) == (None, PackageState.WAITING)
    assert buffered(observatory) == [package.path]
    observatory.storages["ccat_buffer"] = DiskStorage(observatory.folder("ccat_buffer"))
    assert retry(observatory).completed == 1
    assert tar_content(observatory, package) == {"1": b"one"}


def test_what_a_killed_worker_left_in_the_buffer_is_swept_away_and_what_is_in_work_is_not(
    observatory: Observatory,
) -> None:
    file_observation(observatory, {"a": b"a"})
    batches = observatory.plan(packaging, HERE).batches
    (package,) = packages(observatory.engine)
    made = observatory.folder("ccat_buffer") / package.path
    made.parent.mkdir(parents=True)
    old, young = (made.with_name(f"{made.name}.{digit * 32}.part") for digit in "01")
    old.touch()
    young.touch()
    two_hours_ago = time.time() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))
    observatory.runner(packaging, HERE).run(batches[0])

    assert {path.name for path in made.parent.iterdir()} == {made.name, young.name}


def test_two_workers_with_the_same_batch_make_each_package_once(engine: Engine, tmp_path: Path) -> None:
    observatory = Observatory.build(engine, tmp_path / "observatory", package_max_files=1)
    file_observation(observatory, {str(number): b"x" * number for number in range(10)})
    ids = [operation for batch in observatory.plan(packaging, HERE).batches for operation in batch]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda _: observatory.runner(packaging, HERE).run(ids), range(2)))
    assert sum(report.completed for report in reports) == 10
    assert sum(report.passed_over for report in reports) == 10
    assert len(buffered(observatory)) == 10


def test_a_worker_that_was_overtaken_while_it_wrote_records_nothing_and_spoils_nothing(
    observatory: Observatory,
) -> None:
    file_observation(observatory, {"1": b"one" * 1000})
    (batch,) = observatory.plan(packaging, HERE).batches
    writing, go_on = threading.Event(), threading.Event()

    def hang(number: int) -> None:
        if number == 0:
            writing.set()
            assert go_on.wait(30)

    slow = observatory.runner(packaging, HERE, run_id="slow")
    folder = observatory.folder("ccat_buffer")
    with ThreadPoolExecutor(1) as pool:
        observatory.storages["ccat_buffer"] = Restless(folder, hang)
        overtaken = pool.submit(slow.run, batch)
        assert writing.wait(30)
        with observatory.engine.begin() as connection:
            connection.execute(text("update operation set lease_expires_at = now() - interval '1 second'"))
        observatory.storages["ccat_buffer"] = DiskStorage(folder)
        assert observatory.runner(packaging, HERE, run_id="quick").run(batch).completed == 1
        go_on.set()
        assert overtaken.result(30).passed_over == 1
    (package,) = packages(observatory.engine)
    assert buffered(observatory) == [package.path]
    with Session(observatory.engine) as session:
        manifest = load_manifest(session, package.id)
        read_package([(folder / package.path).read_bytes()], manifest=manifest)
        assert (
            len(session.scalars(select(PhysicalCopy).where(PhysicalCopy.raw_data_package_id == package.id)).all()) == 1
        )


def test_a_worker_that_hears_of_being_overtaken_stops_and_leaves_nothing(
    observatory: Observatory, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_observation(observatory, {"1": b"x" * 3_000_000})
    heard = iter([None, None, None])

    def check(_: object) -> None:
        if next(heard, "overtaken"):
            raise LeaseLostError("taken over")

    monkeypatch.setattr("include.operations.lease.LeaseKeeper.check", check)
    assert package_files(observatory).passed_over == 1
    assert buffered(observatory) == []


def test_a_full_buffer_makes_it_wait_and_says_how_much_is_missing(observatory: Observatory) -> None:
    file_observation(observatory, {"1": b"x" * 100})
    observatory.storages["ccat_buffer"] = Small(observatory.folder("ccat_buffer"))
    report = package_files(observatory)
    assert (report.later, report.failed) == (1, [])
    (operation,) = observatory.operations(OperationKind.PACKAGING)
    assert operation.status == WorkStatus.PENDING
    assert "ccat_buffer has 10 of 1,000 bytes free" in operation.explanation
    assert "needs 2,048" in operation.explanation  # header, content and two zero blocks
    assert packages(observatory.engine)[0].state == PackageState.WAITING
    assert buffered(observatory) == []


def test_the_first_buffer_by_priority_is_taken(observatory: Observatory) -> None:
    new_buffer(observatory, priority=1)
    file_observation(observatory, {"1": b"one"})
    package_files(observatory)
    assert len(buffered(observatory, "ccat_spare")) == 1
    assert buffered(observatory) == []


def test_a_full_buffer_fails_over_to_the_next_and_says_so(observatory: Observatory) -> None:
    new_buffer(observatory, priority=900)
    observatory.storages["ccat_buffer"] = Small(observatory.folder("ccat_buffer"))
    file_observation(observatory, {"1": b"one"})
    assert package_files(observatory).completed == 1
    assert len(buffered(observatory, "ccat_spare")) == 1
    assert "is in ccat_spare" in the_operation_says(observatory)
    assert "ccat_buffer has 10 of 1,000 bytes free" in the_operation_says(observatory)
    with Session(observatory.engine) as session:
        assert session.execute(
            text(
                "select l.full_name from physical_copy c join data_location l on l.id = c.data_location_id"
                " where raw_data_package_id is not null"
            )
        ).scalars().all() == ["ccat_spare"]


def test_a_buffer_whose_disk_is_gone_fails_over_to_the_next(observatory: Observatory) -> None:
    new_buffer(observatory, priority=900)
    observatory.folder("ccat_buffer").rmdir()
    file_observation(observatory, {"1": b"one"})
    assert package_files(observatory).completed == 1
    assert "is its disk mounted" in the_operation_says(observatory)


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_buffer_that_is_not_mounted_is_written_over_sftp(observatory: Observatory, is_whole: bool) -> None:
    content = b"x" * 3_000_000
    file_observation(observatory, {"1": content, "2": b"two"}, with_checksums=True)
    if not is_whole:
        (observatory.folder(HERE) / "2").write_bytes(b"TWO")
    with Sftp.running(observatory.root / "sftp", implementation=Implementation.ASYNCSSH) as server:
        buffer = SftpStorage(sftp_address(server, observatory.folder("ccat_buffer")))
        observatory.storages["ccat_buffer"] = buffer
        report = package_files(observatory)
        buffer.close()
    (package,) = packages(observatory.engine)
    if is_whole:
        assert tar_content(observatory, package) == {"1": content, "2": b"two"}
        assert buffered(observatory) == [package.path]
    else:
        assert "'2' was registered with checksum" in report.failed[0]
        assert buffered(observatory) == []


def test_with_every_buffer_gone_it_is_tried_again_by_itself(observatory: Observatory) -> None:
    new_buffer(observatory, priority=900)
    for name in ("ccat_buffer", "ccat_spare"):
        observatory.folder(name).rmdir()
    file_observation(observatory, {"1": b"one"})
    assert package_files(observatory).later == 1
    (operation,) = observatory.operations(OperationKind.PACKAGING)
    assert operation.not_before is not None
    assert packages(observatory.engine)[0].state == PackageState.WAITING


def test_a_source_whose_disk_is_gone_is_no_fault_of_its_files(observatory: Observatory) -> None:
    file_observation(observatory, {"1": b"one"})
    observatory.folder(HERE).rename(observatory.root / "unmounted")
    assert package_files(observatory).later == 1
    (package,) = packages(observatory.engine)
    assert package.state == PackageState.WAITING
    (observatory.root / "unmounted").rename(observatory.folder(HERE))
    assert retry(observatory).completed == 1
