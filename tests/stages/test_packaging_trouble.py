"""Packaging when workers or buffers are not as they should be: each package is made once."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from include.errors import LeaseLostError
from include.integrity.verify import read_package
from include.ops_db.manifests import load_manifest
from include.ops_db.states import PackageState, WorkStatus
from include.ops_db.tables import PhysicalCopy
from include.sandbox.sftp import Implementation, Sftp
from include.stages import packaging
from include.storage.disk import DiskStorage
from include.storage.interface import Space
from include.storage.sftp import SftpStorage
from include.topology import OperationKind
from tests.observatory import Observatory
from tests.stages.filed import add_location, file_observation, packages
from tests.stages.packed import (
    HERE,
    DiesAfterWriting,
    Restless,
    buffered,
    package_files,
    retry,
    tar_content,
    the_operation_says,
)
from tests.storage.conftest import sftp_address


class Small(DiskStorage):
    """A disk with little room."""

    def space(self) -> Space:
        return Space(total_bytes=1000, free_bytes=10)


def new_buffer(observatory: Observatory, *, priority: int) -> None:
    """Another buffer at the same site: ccat_spare."""
    add_location(observatory, like="ccat_buffer", name="spare", priority=priority)


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
