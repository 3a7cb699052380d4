"""Real servers, started once; every test gets a root of its own in them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import count
from pathlib import Path

import boto3
import pytest

from include.sandbox.programs import sshd
from include.sandbox.s3 import S3
from include.sandbox.sftp import Implementation, RunningSftp, Sftp
from include.storage.disk import DiskStorage
from include.storage.interface import Storage
from include.storage.s3 import S3Storage
from include.storage.s3_client import S3Address
from include.storage.sftp import SftpStorage
from include.storage.sftp_connection import SftpAddress
from tests.storage.fake import FakeStorage

BACKENDS = ("disk", "fake", "openssh", "asyncssh", "s3")
SMALLEST_PART_BYTES = 5 * 1024 * 1024

_numbers = count()


@pytest.fixture(scope="session")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Implementation], RunningSftp]]:
    started: dict[Implementation, RunningSftp] = {}
    with ExitStack() as stack:

        def server(implementation: Implementation) -> RunningSftp:
            if implementation is Implementation.OPENSSH and sshd() is None:
                pytest.skip("no sshd is installed here; the asyncssh server stands for it")
            if implementation not in started:
                folder = tmp_path_factory.mktemp(implementation.value)
                started[implementation] = stack.enter_context(Sftp.running(folder, implementation=implementation))
            return started[implementation]

        yield server


@pytest.fixture(scope="session")
def s3_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Address]:
    with S3.running(tmp_path_factory.mktemp("s3"), bucket="archive") as store:
        yield S3Address(endpoint_url=store.endpoint, bucket=store.bucket, key=store.key, secret=store.secret)


@pytest.fixture
def s3_address(s3_store: S3Address) -> S3Address:
    """A new bucket in the one store."""
    address = replace(s3_store, bucket=f"bucket-{next(_numbers)}")
    boto3_client(address).create_bucket(Bucket=address.bucket)
    return address


def boto3_client(address: S3Address):
    return boto3.client(
        "s3",
        endpoint_url=address.endpoint_url,
        aws_access_key_id=address.key,
        aws_secret_access_key=address.secret,
        region_name="us-east-1",
    )


def sftp_address(server: RunningSftp, root: Path) -> SftpAddress:
    return SftpAddress(
        host=server.host,
        port=server.port,
        username=server.user,
        private_key_path=str(server.client_key.private),
        host_key=server.host_key.public,
        root=str(root),
    )


@pytest.fixture(params=BACKENDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    with closing(_opened(request.param, request, tmp_path)) as opened:
        yield opened


def _opened(backend: str, request: pytest.FixtureRequest, root: Path) -> Storage:
    match backend:
        case "disk":
            return DiskStorage(root)
        case "fake":
            return FakeStorage()
        case "s3":
            address = replace(request.getfixturevalue("s3_address"), prefix="some/where")
            return S3Storage(address, part_bytes=SMALLEST_PART_BYTES)
        case _:
            server = request.getfixturevalue("sftp_server")(Implementation(backend))
            return SftpStorage(sftp_address(server, root))
