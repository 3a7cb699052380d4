"""Compression as a choice of a route: twins are made when a bundle is closed, read instead of packages, and swept."""

import os
import random
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from include.lifecycle.leftovers import LEFT_BEHIND_AFTER
from include.lifecycle.removal import DoomedCopy, DoomedFile
from include.operations.batch import BatchReport
from include.ops_db.apply import apply_topology
from include.ops_db.places import location_id
from include.ops_db.states import CopyStatus, WorkStatus
from include.ops_db.tables import DataTransfer, DataTransferPackageMember, Operation, RawDataPackage
from include.sandbox.sftp import RunningSftp, Sftp
from include.stages import bundling, deletion, packaging, transfer, unpacking
from include.storage.part_names import part_name
from include.storage.sftp import SftpStorage
from include.storage.sftp_connection import SftpAddress
from include.topology import Compression, MovedBy, OperationKind, Route
from include.transfer.compressed_twin import twin_path
from include.transfer.pool import close_connections
from tests.observatory import Observatory
from tests.stages.filed import file_observation, packages
from tests.stages.moved import DESTINATION, ORIGIN, copy_at, newest

SIZE = 400_000


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[RunningSftp]:
    with Sftp.running(tmp_path_factory.mktemp("sftp")) as server:
        yield server
        close_connections()


def with_routes(observatory: Observatory, *, compression: Compression, moved_by: MovedBy = MovedBy.PULL) -> Observatory:
    routes = tuple(
        Route(from_location=ORIGIN, to_location=to, compression=compression, moved_by=moved_by)
        for to in (DESTINATION, "us_buffer")
    )
    observatory.topology = observatory.topology.model_copy(update={"routes": routes})
    with Session(observatory.engine) as session, session.begin():
        apply_topology(session, observatory.topology, applied_by="tests")
    return observatory


@pytest.fixture
def compressing(engine: Engine, tmp_path: Path) -> Observatory:
    """Bundles leave for one site after the other, as soon as they can, compressed."""
    return with_routes(Observatory.build(engine, tmp_path / "observatory"), compression=Compression.ZSTD)


def packaged(observatory: Observatory, *contents: bytes) -> list[RawDataPackage]:
    for number, content in enumerate(contents):
        file_observation(observatory, {f"{random.getrandbits(60)}/{number}.g3": content})
    assert observatory.run(packaging, "ccat_source").failed == []
    return packages(observatory.engine)


def shrinking(seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(1000) * (SIZE // 1000)


def noise(seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(SIZE)


def frames(observatory: Observatory) -> list[list[int] | None]:
    with Session(observatory.engine) as session:
        return list(
            session.scalars(
                select(DataTransferPackageMember.frame_bytes).order_by(DataTransferPackageMember.raw_data_package_id)
            )
        )


def twins(observatory: Observatory) -> list[Path]:
    return sorted((observatory.folder(ORIGIN) / "compressed").rglob("*.zst"))


def only_transfer(observatory: Observatory) -> DataTransfer:
    with Session(observatory.engine) as session:
        return session.scalars(select(DataTransfer)).one()


def destination(observatory: Observatory) -> str:
    """The first bundle's: one of the two archive sites."""
    landing = only_transfer(observatory).destination_location_id
    with Session(observatory.engine) as session:
        return DESTINATION if location_id(session, DESTINATION) == landing else "us_buffer"


@contextmanager
def over_sftp(observatory: Observatory, server: RunningSftp) -> Iterator[None]:
    """The origin as the destination's host reaches it."""
    address = SftpAddress(
        host=server.host, port=server.port, username=server.user, private_key_path=str(server.client_key.private),
        host_key=server.host_key.public, root=str(observatory.folder(ORIGIN)),
    )  # fmt: skip
    disk = observatory.storages[ORIGIN]
    with closing(SftpStorage(address)) as storage:
        observatory.storages[ORIGIN] = storage
        yield
    observatory.storages[ORIGIN] = disk


def moved(observatory: Observatory, server: RunningSftp) -> BatchReport:
    with over_sftp(observatory, server):
        return observatory.run(transfer, destination(observatory))


def test_a_package_goes_compressed_arrives_as_it_was_and_its_twin_is_swept_by_the_next_bundling(compressing, server):
    [package] = packaged(compressing, shrinking())
    assert compressing.run(bundling, ORIGIN).completed == 1
    [twin] = twins(compressing)
    assert twin == compressing.folder(ORIGIN) / twin_path(package.path)
    [lengths] = frames(compressing)
    assert lengths is not None
    assert sum(lengths) < SIZE / 10
    assert "1 package compressed" in newest(compressing, OperationKind.BUNDLING).explanation
    assert moved(compressing, server).completed == 1
    assert "Over the link they were" in newest(compressing, OperationKind.TRANSFER).explanation
    there = destination(compressing)
    assert compressing.run(unpacking, there).completed == 1
    assert copy_at(compressing, package, there).status is CopyStatus.PRESENT
    assert twins(compressing) == [twin]
    packaged(compressing, noise())
    assert compressing.run(bundling, ORIGIN).completed == 1
    assert twins(compressing) == []
    with_routes(compressing, compression=Compression.NONE)
    packaged(compressing, noise())
    compressing.run(bundling, ORIGIN)
    assert not (compressing.folder(ORIGIN) / "compressed").exists()


def test_a_twin_lost_meanwhile_fails_nothing(compressing, server):
    [package] = packaged(compressing, shrinking())
    compressing.run(bundling, ORIGIN)
    twins(compressing)[0].unlink()
    assert moved(compressing, server).completed == 1
    assert compressing.run(unpacking, destination(compressing)).completed == 1
    assert "compressed" not in newest(compressing, OperationKind.TRANSFER).explanation
    assert copy_at(compressing, package, destination(compressing)).status is CopyStatus.PRESENT


def test_what_does_not_shrink_goes_as_it_is_beside_what_does(compressing, server):
    packaged(compressing, noise(1), shrinking(2))
    assert compressing.run(bundling, ORIGIN).completed == 1
    found = frames(compressing)
    assert [lengths is None for lengths in found] in ([True, False], [False, True])
    explanation = newest(compressing, OperationKind.BUNDLING).explanation
    assert "1 package compressed" in explanation
    assert "1 go as they are: " in explanation
    assert "does not shrink by 10%" in explanation
    assert moved(compressing, server).completed == 1
    assert compressing.run(unpacking, destination(compressing)).completed == 1


@pytest.mark.parametrize(
    "route",
    [
        {"compression": Compression.NONE},
        {"compression": Compression.ZSTD, "moved_by": MovedBy.PUSH},
    ],
)
def test_other_routes_make_no_twins(compressing, route):
    with_routes(compressing, **route)
    packaged(compressing, shrinking())
    assert compressing.run(bundling, ORIGIN).completed == 1
    assert twins(compressing) == []
    assert frames(compressing) == [None]


def test_without_room_for_twins_the_bundle_is_closed_all_the_same(compressing, monkeypatch):
    monkeypatch.setattr("include.transfer.compressed_twin.RESERVE_BYTES", 2**60)
    packaged(compressing, shrinking())
    assert compressing.run(bundling, ORIGIN).completed == 1
    assert frames(compressing) == [None]
    assert "has no room" in newest(compressing, OperationKind.BUNDLING).explanation


def test_a_package_that_is_damaged_at_the_origin_makes_no_twin_and_closes_the_bundle(compressing):
    [package] = packaged(compressing, shrinking())
    path = compressing.folder(ORIGIN) / package.path
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert compressing.run(bundling, ORIGIN).completed == 1
    assert frames(compressing) == [None]
    path.unlink()


def test_a_bundling_that_was_killed_finds_the_twins_that_it_had_made(compressing, monkeypatch):
    packaged(compressing, shrinking())
    remember = bundling.Compressed.remember
    monkeypatch.setattr(bundling.Compressed, "remember", lambda *_, **__: 1 / 0)
    assert compressing.run(bundling, ORIGIN).completed == 0
    monkeypatch.setattr(bundling.Compressed, "remember", remember)
    [before] = [twin.stat().st_ino for twin in twins(compressing)]
    assert frames(compressing) == [None]
    with Session(compressing.engine) as session, session.begin():
        session.execute(update(Operation).values(not_before=None))
    assert compressing.run(bundling, ORIGIN).completed == 1
    assert [twin.stat().st_ino for twin in twins(compressing)] == [before]
    assert frames(compressing) != [None]


def test_only_twins_that_no_transfer_waits_for_are_swept_and_what_a_killed_one_left(compressing):
    packaged(compressing, shrinking(1))
    compressing.run(bundling, ORIGIN)
    [needed] = twins(compressing)
    orphan = needed.with_name("orphan.tar.zst")
    orphan.write_bytes(b"?")
    left, young = (needed.with_name(part_name("torn.tar.zst")) for _ in range(2))
    left.write_bytes(b"?")
    young.write_bytes(b"?")
    long_ago = time.time() - LEFT_BEHIND_AFTER.total_seconds() - 60
    os.utime(left, (long_ago, long_ago))
    packaged(compressing, noise())
    compressing.run(bundling, ORIGIN)
    assert sorted(path.name for path in needed.parent.iterdir()) == sorted([needed.name, young.name])


@pytest.mark.parametrize("status", [WorkStatus.FAILED, WorkStatus.CANCELLED])
def test_the_twin_of_a_transfer_that_has_ended_in_vain_is_swept(compressing, status):
    packaged(compressing, shrinking())
    compressing.run(bundling, ORIGIN)
    with Session(compressing.engine) as session, session.begin():
        session.scalars(select(DataTransfer)).one().transfer_status = status
    with_routes(compressing, compression=Compression.NONE)
    assert compressing.run(bundling, ORIGIN).completed == 1  # it goes once more, as it is
    packaged(compressing, noise())
    assert compressing.run(bundling, ORIGIN).completed == 1
    assert twins(compressing) == []


def test_a_twin_goes_with_the_package_that_is_deleted(compressing):
    """Whatever the reason that it is still there."""
    [package] = packaged(compressing, shrinking())
    compressing.run(bundling, ORIGIN)
    file = DoomedFile(path=package.path, size_bytes=SIZE, checksum=package.checksum, known_at=datetime.now(UTC))
    doomed = DoomedCopy(id=1, begun=False, files=(file,))
    deletion._delete_twins(compressing.storages[ORIGIN], [doomed])
    assert twins(compressing) == []
    assert (compressing.folder(ORIGIN) / package.path).exists()
