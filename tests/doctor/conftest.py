"""Real servers, one of each for the session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.sandbox.redis import Redis
from include.sandbox.s3 import S3
from include.sandbox.sftp import RunningSftp, Sftp
from include.storage.s3_client import S3Address
from include.storage.sftp_connection import SftpAddress


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSftp]:
    with Sftp.running(tmp_path_factory.mktemp("sftp")) as server:
        yield server


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Address]:
    with S3.running(tmp_path_factory.mktemp("s3"), bucket="cologne-archive") as store:
        yield S3Address(endpoint_url=store.endpoint, bucket=store.bucket, key=store.key, secret=store.secret)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with Redis.running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def peer(server: RunningSftp, tmp_path: Path) -> SftpAddress:
    """A folder of a peer, empty."""
    root = tmp_path / "peer"
    root.mkdir()
    return SftpAddress(
        host=server.host,
        port=server.port,
        username=server.user,
        private_key_path=str(server.client_key.private),
        host_key=server.host_key.public,
        root=str(root),
    )
