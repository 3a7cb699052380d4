"""An SFTP server behind a cable, and two folders."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from include.sandbox.sftp import Implementation, RunningSftp, Sftp, default_implementation
from include.storage.sftp import SftpStorage
from include.storage.sftp_connection import SftpAddress
from include.transfer.pool import close_connections
from tests.transfer.cable import Cable


@pytest.fixture(scope="module", params=sorted({Implementation.ASYNCSSH, default_implementation()}))
def server(request, tmp_path_factory) -> Iterator[RunningSftp]:
    with Sftp.running(tmp_path_factory.mktemp("sftp"), implementation=request.param) as server:
        yield server
        close_connections()


@pytest.fixture
def cable(server: RunningSftp) -> Iterator[Cable]:
    with closing(Cable(server.port)) as cable:
        yield cable


@pytest.fixture
def origin_root(tmp_path: Path) -> Path:
    (tmp_path / "origin").mkdir()
    return tmp_path / "origin"


@pytest.fixture
def served(server: RunningSftp, cable: Cable, origin_root: Path) -> Iterator[SftpStorage]:
    """The folder `origin_root`, through the cable."""
    address = SftpAddress(
        host=server.host,
        port=cable.port,
        username=server.user,
        private_key_path=str(server.client_key.private),
        host_key=server.host_key.public,
        root=str(origin_root),
    )
    with closing(SftpStorage(address)) as storage:
        yield storage


@pytest.fixture
def arrived_root(tmp_path: Path) -> Path:
    (tmp_path / "arrived").mkdir()
    return tmp_path / "arrived"
