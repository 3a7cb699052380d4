"""Where a route says push, the lane of the origin does the transfer, and everything after it is as ever."""

import os
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from include.lanes import lanes_of_kind
from include.ops_db.states import CopyStatus, WorkStatus
from include.ops_db.tables import DataTransfer, Operation
from include.sandbox.sftp import Sftp
from include.stages import transfer, unpacking
from include.storage.disk import DiskStorage
from include.storage.interface import Space
from include.storage.sftp import SftpStorage
from include.storage.sftp_connection import SftpAddress
from include.topology import MovedBy, OperationKind, Route
from include.transfer.pool import close_connections
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
    with_routes,
)

KIND = OperationKind.TRANSFER


def moved_by(observatory: Observatory, way: MovedBy) -> None:
    with_routes(observatory, Route(from_location=ORIGIN, to_location=DESTINATION, moved_by=way))


@pytest.fixture
def pushing(observatory: Observatory) -> Observatory:
    moved_by(observatory, MovedBy.PUSH)
    return observatory


@pytest.fixture
def over_sftp(pushing: Observatory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observatory]:
    """The destination as the origin's host sees it."""
    with Sftp.running(tmp_path_factory.mktemp("sftp")) as server:
        address = SftpAddress(
            host=server.host,
            port=server.port,
            username=server.user,
            private_key_path=str(server.client_key.private),
            host_key=server.host_key.public,
            root=str(pushing.folder(DESTINATION)),
        )
        with closing(SftpStorage(address)) as storage:
            pushing.storages[DESTINATION] = storage
            yield pushing
            close_connections()


def test_a_buffer_that_pushes_has_a_lane_for_it(pushing):
    names = [lane.location.full_name for lane in lanes_of_kind(pushing.topology, KIND)]
    assert names == [ORIGIN, DESTINATION, "us_buffer"]
    assert ORIGIN not in [lane.location.full_name for lane in lanes_of_kind(pushing.topology, OperationKind.UNPACKING)]


def test_the_origin_pushes_a_bundle_over_sftp_and_the_destination_unpacks_it(over_sftp):
    made = packaged(over_sftp, count=3)
    way = bundled(over_sftp, made)
    assert over_sftp.plan(transfer, DESTINATION).batches == [], "the destination does not pull it, too"
    assert over_sftp.run(transfer, ORIGIN).completed == 1
    assert files_below(over_sftp.folder(DESTINATION)) == sorted(package.path for package in made)
    done = newest(over_sftp, KIND)
    assert done.status is WorkStatus.COMPLETED
    assert over_sftp.plan(transfer, ORIGIN).batches == []
    over_sftp.storages[DESTINATION] = DiskStorage(over_sftp.folder(DESTINATION))
    assert over_sftp.run(unpacking, DESTINATION).completed == 1
    assert all(copy_at(over_sftp, package, DESTINATION).verified_at is not None for package in made)
    assert transfer_row(over_sftp, way).unpacking_status is WorkStatus.COMPLETED


def test_a_damaged_copy_at_the_origin_is_marked_and_everything_else_arrives(over_sftp):
    bad, good = packaged(over_sftp, count=2)
    way = bundled(over_sftp, [bad, good])
    spoil(over_sftp, bad, ORIGIN)
    over_sftp.run(transfer, ORIGIN)
    assert copy_at(over_sftp, bad, ORIGIN).status is CopyStatus.CORRUPT
    assert files_below(over_sftp.folder(DESTINATION)) == [good.path]
    assert transfer_row(over_sftp, way).transfer_status is WorkStatus.COMPLETED


def _watched(monkeypatch) -> tuple[list[str], list[str]]:
    """What is read and written as a whole file over SFTP from now on."""
    read: list[str] = []
    written: list[str] = []
    real_read, real_write = SftpStorage.read, SftpStorage.write
    monkeypatch.setattr(SftpStorage, "read", lambda s, path, **k: read.append(path) or real_read(s, path, **k))
    monkeypatch.setattr(
        SftpStorage, "write", lambda s, path, *a, **k: written.append(path) or real_write(s, path, *a, **k)
    )
    return read, written


def test_a_corrupt_copy_at_the_destination_makes_room_for_a_good_one(over_sftp, monkeypatch):
    (package,) = packaged(over_sftp)
    bundled(over_sftp, [package])
    over_sftp.run(transfer, ORIGIN)
    there, over_sftp.storages[DESTINATION] = (
        over_sftp.storages[DESTINATION],
        DiskStorage(over_sftp.folder(DESTINATION)),
    )
    over_sftp.run(unpacking, DESTINATION)
    spoil(over_sftp, package, DESTINATION)
    set_status(over_sftp, copy_at(over_sftp, package, DESTINATION), CopyStatus.CORRUPT)
    over_sftp.storages[DESTINATION] = there
    bundled(over_sftp, [package])
    read, written = _watched(monkeypatch)
    assert over_sftp.run(transfer, ORIGIN).completed == 1
    assert package.path not in read, "it was renamed at the far side"
    assert not any(path.startswith("quarantine/") for path in written)
    sent, arrived = (over_sftp.folder(place) / package.path for place in (ORIGIN, DESTINATION))
    assert sent.read_bytes() == arrived.read_bytes()
    assert any(path.startswith("quarantine/") for path in files_below(over_sftp.folder(DESTINATION)))


def test_what_dead_pushes_left_at_the_destination_is_swept_away_after_a_day(over_sftp):
    cancelled, package = packaged(over_sftp, count=2)
    gone = bundled(over_sftp, [cancelled])
    with Session(over_sftp.engine) as session, session.begin():
        session.get_one(DataTransfer, gone).transfer_status = WorkStatus.CANCELLED
    folder = over_sftp.folder(DESTINATION)
    left = [f"{cancelled.path}.part", f"{cancelled.path}.journal"]
    young = f"{cancelled.path.split('/')[0]}/young/{cancelled.name}.tar.part"
    for path in (*left, young):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"some")
    long_ago = time.time() - 25 * 3600
    for path in left:
        os.utime(folder / path, (long_ago, long_ago))
    bundled(over_sftp, [package])
    assert over_sftp.run(transfer, ORIGIN).completed == 1
    assert files_below(folder) == sorted([package.path, young])


def test_a_destination_short_of_space_makes_it_wait(pushing):
    class Full(DiskStorage):
        def space(self) -> Space:
            return Space(total_bytes=10**12, free_bytes=1000)

    bundled(pushing, packaged(pushing))
    pushing.storages[DESTINATION] = Full(pushing.folder(DESTINATION))
    assert pushing.run(transfer, ORIGIN).later
    assert f"{DESTINATION} has 1,000 of" in newest(pushing, KIND).explanation
    assert files_below(pushing.folder(DESTINATION)) == []


def test_a_route_that_is_turned_round_is_done_by_the_other_lane(observatory):
    bundled(observatory, packaged(observatory))
    (batch,) = observatory.plan(transfer, DESTINATION).batches
    moved_by(observatory, MovedBy.PUSH)
    assert observatory.plan(transfer, ORIGIN).batches == [], "the other lane has it still"
    assert observatory.runner(transfer, DESTINATION).run(batch).completed == 1
    assert f"The route was turned round: {ORIGIN} goes on" in newest(observatory, KIND).explanation
    assert observatory.run(transfer, ORIGIN).completed == 1
    assert files_below(observatory.folder(DESTINATION)) != []


@pytest.mark.parametrize("status", [WorkStatus.PENDING, WorkStatus.FAILED])
def test_a_route_that_is_turned_round_does_not_wait_for_a_lane_that_nobody_works_in(observatory, status):
    way = bundled(observatory, packaged(observatory))
    observatory.plan(transfer, DESTINATION)
    with Session(observatory.engine) as session, session.begin():
        session.execute(update(Operation).where(Operation.kind == KIND).values(status=status))
    moved_by(observatory, MovedBy.PUSH)
    assert observatory.run(transfer, ORIGIN).completed == 1
    assert transfer_row(observatory, way).transfer_status is WorkStatus.COMPLETED
    assert observatory.plan(transfer, ORIGIN).batches == []
