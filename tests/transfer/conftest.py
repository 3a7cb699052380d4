"""An SFTP server behind a cable, and two folders that it shows."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from include.sandbox.sftp import Implementation, RunningSftp, Sftp, default_implementation
from include.storage.sftp import SftpStorage
from include.storage.sftp_connection import SftpAddress
from include.transfer.pool import close_connections
from include.transfer.pulled import Progress
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
def arrived_root(tmp_path: Path) -> Path:
    (tmp_path / "arrived").mkdir()
    return tmp_path / "arrived"


def shown(server: RunningSftp, cable: Cable, root: Path) -> SftpStorage:
    """A folder, through the cable."""
    return SftpStorage(
        SftpAddress(
            host=server.host,
            port=cable.port,
            username=server.user,
            private_key_path=str(server.client_key.private),
            host_key=server.host_key.public,
            root=str(root),
        )
    )


@pytest.fixture
def root(arrived_root: Path) -> Path:
    """Where nothing else is meant."""
    return arrived_root


@pytest.fixture
def served(server: RunningSftp, cable: Cable, origin_root: Path) -> Iterator[SftpStorage]:
    """The folder `origin_root`, through the cable."""
    with closing(shown(server, cable, origin_root)) as storage:
        yield storage


@pytest.fixture
def there(server: RunningSftp, cable: Cable, arrived_root: Path) -> Iterator[SftpStorage]:
    """The folder `arrived_root`, through the cable."""
    with closing(shown(server, cable, arrived_root)) as storage:
        yield storage


@pytest.fixture
def break_twice(cable: Cable) -> Callable[[Progress], None]:
    """As `on_progress`: after the first and after the fifth block every connection is cut."""
    steps: list[Progress] = []

    def step(progress: Progress) -> None:
        steps.append(progress)
        if len(steps) in (1, 5):
            cable.break_all()

    return step
