"""Pulling over SFTP, as the destination does."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from include.errors import TransientError
from include.sandbox.sftp import Implementation, RunningSftp, Sftp, default_implementation
from include.storage.sftp import SftpStorage
from include.storage.sftp_connection import SftpAddress
from include.transfer.pull import DamagedOriginError, Origin, Progress, Pulled, pull
from tests.transfer.samples import item_of, put, some_bytes

BLOCK = 3_000_000
SIZE = 5 * BLOCK + 12_345


@pytest.fixture(scope="module", params=sorted({Implementation.ASYNCSSH, default_implementation()}))
def server(request, tmp_path_factory) -> Iterator[RunningSftp]:
    with Sftp.running(tmp_path_factory.mktemp("sftp"), implementation=request.param) as server:
        yield server


@pytest.fixture
def there(server: RunningSftp, tmp_path: Path) -> Iterator[SftpStorage]:
    (tmp_path / "origin").mkdir()
    address = SftpAddress(
        host=server.host,
        port=server.port,
        username=server.user,
        private_key_path=str(server.client_key.private),
        host_key=server.host_key.public,
        root=str(tmp_path / "origin"),
    )
    with closing(SftpStorage(address)) as storage:
        yield storage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "destination").mkdir()
    return tmp_path / "destination"


def test_a_file_arrives_in_several_sittings_and_no_block_twice(there, root, tmp_path):
    item = put(some_bytes(SIZE), at=tmp_path / "origin", block_bytes=BLOCK)
    sittings = []
    while not sittings or not sittings[-1].finished:
        sittings.append(pull([item], origin=Origin("ccat_buffer", there), root=root, yield_after_seconds=0))
    assert [sitting.bytes_sent for sitting in sittings] == [BLOCK] * 5 + [12_345]
    assert (root / item.path).read_bytes() == (tmp_path / "origin" / item.path).read_bytes()


def test_a_connection_that_breaks_costs_no_verified_block_and_is_made_anew(there, root, tmp_path):
    size = 60 * 1000 * 1000  # twice what is under way at once
    item = put(some_bytes(size), at=tmp_path / "origin", block_bytes=BLOCK)
    steps: list[Progress] = []

    def break_once(step: Progress) -> None:
        steps.append(step)
        if len(steps) == 1:
            there._connection.start(cut(there))

    origin = Origin("ccat_buffer", there)
    with pytest.raises(TransientError):
        pull([item], origin=origin, root=root, on_progress=break_once)
    kept = steps[-1].bytes_sent
    assert BLOCK <= kept < size
    assert pull([item], origin=origin, root=root) == Pulled(size - kept, kept, finished=True)
    assert (root / item.path).read_bytes() == (tmp_path / "origin" / item.path).read_bytes()


async def cut(storage: SftpStorage) -> None:
    storage._connection._connection.abort()


def test_wrong_bytes_at_the_origin_are_named_and_do_not_arrive(there, root, tmp_path):
    content = some_bytes(SIZE)
    item = item_of(content, block_bytes=BLOCK)
    put(content[: 2 * BLOCK] + b"?" + content[2 * BLOCK + 1 :], at=tmp_path / "origin")
    with pytest.raises(DamagedOriginError, match="block 2 .* came from ccat_buffer"):
        pull([item], origin=Origin("ccat_buffer", there), root=root)
    assert not (root / item.path).exists()
