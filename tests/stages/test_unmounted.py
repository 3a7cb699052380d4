"""A disk that is not mounted leaves an empty folder behind: nothing there is lost, and everything waits for it."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from include.ops_db.marks import MarksInOpsDb
from include.ops_db.states import CopyStatus, PackageState, WorkStatus
from include.sandbox.sftp import Sftp, default_implementation
from include.stages import archiving, deletion, packaging, transfer, unpacking
from include.storage.disk import DiskStorage
from include.storage.mark import MARK, Mark
from include.storage.sftp import SftpStorage
from include.topology import OperationKind
from tests.lifecycle.archived import archived_package
from tests.observatory import Observatory
from tests.stages.filed import file_observation, files_below, packages
from tests.stages.moved import DESTINATION, ORIGIN, bundled, copy_at, newest, packaged, transfer_row, unpacked
from tests.storage.conftest import sftp_address

SOURCE = "ccat_source"


@pytest.fixture
def observatory(observatory: Observatory) -> Observatory:
    """With marks on its disks, as workers open them."""
    for location in observatory.topology.data_locations:
        if location.storage.type == "disk":
            name = location.full_name
            observatory.storages[name] = DiskStorage(observatory.folder(name), mark=mark(observatory, name))
    return observatory


def mark(observatory: Observatory, full_name: str) -> Mark:
    return Mark(full_name, MarksInOpsDb(observatory.engine))


def unmount(observatory: Observatory, place: str) -> Callable[[], None]:
    """Leave an empty mount point; return what mounts the disk again."""
    point = observatory.folder(place)
    away = point.with_name(f"{point.name} away")
    point.rename(away)
    point.mkdir()

    def mount() -> None:
        assert list(point.iterdir()) == [], "nothing was written to the mount point"
        point.rmdir()
        away.rename(point)
        with observatory.engine.begin() as connection:
            connection.execute(text("update operation set not_before = null"))

    return mount


def waits_for(observatory: Observatory, kind: OperationKind, place: str) -> bool:
    operation = newest(observatory, kind)
    assert operation.status is WorkStatus.PENDING, operation.explanation
    return f"the disk of {place} seems not to be mounted" in operation.explanation


def test_a_new_observatory_needs_no_step_by_hand(observatory):
    unpacked(observatory)
    marked = [place for place in (SOURCE, ORIGIN, DESTINATION) if (observatory.folder(place) / MARK).exists()]
    assert marked == [SOURCE, ORIGIN, DESTINATION]


def test_raw_files_on_a_disk_that_is_away_are_not_called_missing(observatory):
    packaged(observatory)
    file_observation(observatory, {"1/a.g3": b"a"})
    mount = unmount(observatory, SOURCE)
    assert observatory.run(packaging, SOURCE).later == 1
    assert waits_for(observatory, OperationKind.PACKAGING, SOURCE)
    assert packages(observatory.engine)[-1].state is PackageState.WAITING
    mount()
    assert observatory.run(packaging, SOURCE).completed == 1


def test_no_package_is_written_to_an_empty_mount_point(observatory):
    packaged(observatory)
    file_observation(observatory, {"1/a.g3": b"a"})
    mount = unmount(observatory, ORIGIN)
    assert observatory.run(packaging, SOURCE).later == 1
    assert waits_for(observatory, OperationKind.PACKAGING, ORIGIN)
    mount()
    assert observatory.run(packaging, SOURCE).completed == 1


@pytest.mark.parametrize("over_sftp", [False, True])
def test_a_copy_at_an_origin_whose_disk_is_away_is_not_called_missing(observatory, tmp_path, over_sftp):
    (package,) = packaged(observatory)
    way = bundled(observatory, [package])
    if not over_sftp:
        _transfer_waits(observatory, package, way)
        return
    with Sftp.running(tmp_path / "sftp", implementation=default_implementation()) as server:
        address = sftp_address(server, observatory.folder(ORIGIN))
        with closing(SftpStorage(address, mark=mark(observatory, ORIGIN))) as origin:
            observatory.storages[ORIGIN] = origin
            _transfer_waits(observatory, package, way)


def _transfer_waits(observatory: Observatory, package, way: int) -> None:
    mount = unmount(observatory, ORIGIN)
    assert observatory.run(transfer, DESTINATION).later == 1
    assert waits_for(observatory, OperationKind.TRANSFER, ORIGIN)
    assert copy_at(observatory, package, ORIGIN).status is CopyStatus.PRESENT
    assert transfer_row(observatory, way).transfer_status is WorkStatus.PENDING
    mount()
    assert observatory.run(transfer, DESTINATION).completed == 1


def test_what_has_arrived_on_a_disk_that_is_away_is_not_fetched_again(observatory):
    (package,) = packaged(observatory)
    way = bundled(observatory, [package])
    observatory.run(transfer, DESTINATION)
    mount = unmount(observatory, DESTINATION)
    assert observatory.run(unpacking, DESTINATION).later == 1
    assert waits_for(observatory, OperationKind.UNPACKING, DESTINATION)
    assert transfer_row(observatory, way).transfer_status is WorkStatus.COMPLETED
    mount()
    assert observatory.run(unpacking, DESTINATION).completed == 1


def test_a_copy_to_be_archived_from_a_disk_that_is_away_is_not_called_missing(observatory):
    (package,) = unpacked(observatory)
    mount = unmount(observatory, DESTINATION)
    assert observatory.run(archiving, "cologne_archive").later == 1
    assert waits_for(observatory, OperationKind.ARCHIVING, DESTINATION)
    assert copy_at(observatory, package, DESTINATION).status is CopyStatus.PRESENT
    mount()
    assert observatory.run(archiving, "cologne_archive").completed == 1


@pytest.mark.parametrize("place", [SOURCE, DESTINATION, "cologne_processing"])
def test_what_may_go_is_not_called_gone_while_its_disk_is_away(observatory, place):
    package = archived_package(observatory)
    package.stage()
    mount = unmount(observatory, place)
    assert observatory.run(deletion, place).later == 1
    assert waits_for(observatory, OperationKind.DELETION, place)
    assert not {CopyStatus.DELETED, CopyStatus.MISSING} & set(package.statuses(place))
    mount()
    assert observatory.run(deletion, place).completed == 1
    assert set(package.statuses(place)) == {CopyStatus.DELETED}
    assert files_below(observatory.folder(place)) == [MARK]


def test_an_emptied_location_is_not_new(observatory):
    """Everything was deleted, so nothing is there that could tell; but it was in use."""
    package = archived_package(observatory)
    package.stage()
    assert observatory.run(deletion, DESTINATION).completed == 1
    mount = unmount(observatory, DESTINATION)
    bundled(observatory, packaged(observatory))
    assert observatory.run(transfer, DESTINATION).later == 1
    mount()
    assert observatory.run(transfer, DESTINATION).completed == 1


def test_a_disk_without_a_mark_is_known_by_what_lies_there(observatory):
    """As after an upgrade; also where the newest copies are really gone."""
    first, second = packaged(observatory, count=2)
    root: Path = observatory.folder(ORIGIN)
    (root / MARK).unlink()
    (root / second.path).unlink()
    way = bundled(observatory, [first, second])
    assert observatory.run(transfer, DESTINATION).completed == 1
    assert copy_at(observatory, second, ORIGIN).status is CopyStatus.MISSING
    assert copy_at(observatory, first, ORIGIN).status is CopyStatus.PRESENT
    assert transfer_row(observatory, way).transfer_status is WorkStatus.COMPLETED
    assert (root / MARK).read_text() == f"{ORIGIN}\n"
