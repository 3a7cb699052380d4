"""The servers of the sandbox, each started for real."""

import asyncio
from pathlib import Path

import asyncssh
import boto3
import psutil
import psycopg
import pytest
import redis
from botocore.exceptions import ClientError
from sqlalchemy import create_engine, text

from include.errors import SandboxError
from include.sandbox.ports import free_port
from include.sandbox.postgres import Postgres
from include.sandbox.redis import Redis
from include.sandbox.s3 import S3
from include.sandbox.sftp import Implementation, RunningSftp, Sftp


def test_postgres_answers_at_its_url_and_is_gone_afterwards(tmp_path: Path) -> None:
    with Postgres.running(tmp_path) as server:
        engine = create_engine(server.create_database("ops_db"))
        with engine.connect() as connection:
            assert connection.execute(text("select 6 * 7")).scalar_one() == 42
            assert connection.execute(text("show server_encoding")).scalar_one() == "UTF8"
        engine.dispose()
        pid = server.daemon.pid
    assert not psutil.pid_exists(pid)


def test_postgres_asks_for_the_password(tmp_path: Path) -> None:
    with Postgres.running(tmp_path) as server:
        url = server.url("postgres", password="wrong").replace("+psycopg", "")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(url)


def test_postgres_copies_a_database_from_a_template(tmp_path: Path) -> None:
    with Postgres.running(tmp_path) as server:
        with psycopg.connect(server.create_database("one").replace("+psycopg", "")) as connection:
            connection.execute("create table told (word text)")
        with psycopg.connect(server.create_database("two", template="one").replace("+psycopg", "")) as connection:
            assert connection.execute("select count(*) from told").fetchone() == (0,)


def test_redis_answers_only_with_its_password(tmp_path: Path) -> None:
    with Redis.running(tmp_path) as server:
        with redis.Redis.from_url(server.url(3)) as client:
            client.set("word", "kept")
            assert client.get("word") == b"kept"
        with redis.Redis(port=server.port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_s3_keeps_objects_for_its_key_only(tmp_path: Path) -> None:
    with S3.running(tmp_path, bucket="archive") as store:
        client = boto3.client(
            "s3",
            endpoint_url=store.endpoint,
            aws_access_key_id=store.key,
            aws_secret_access_key=store.secret,
            region_name="us-east-1",
        )
        client.put_object(Bucket="archive", Key="a/b", Body=b"bytes")
        assert client.get_object(Bucket="archive", Key="a/b")["Body"].read() == b"bytes"
        stranger = boto3.client(
            "s3",
            endpoint_url=store.endpoint,
            aws_access_key_id=store.key,
            aws_secret_access_key="wrong",
            region_name="us-east-1",
        )
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            stranger.list_objects_v2(Bucket="archive")


@pytest.mark.parametrize("implementation", list(Implementation))
def test_sftp_serves_absolute_paths_to_its_key_and_proves_who_it_is(
    tmp_path: Path, implementation: Implementation
) -> None:
    file = tmp_path / "a file"
    file.write_bytes(b"from the telescope")
    with Sftp.running(tmp_path / "server", implementation=implementation) as server:
        assert asyncio.run(_read(server, file)) == b"from the telescope"
        server.known_hosts.write_text(server.known_hosts_line.replace(server.host_key.public, server.client_key.public))
        with pytest.raises(asyncssh.HostKeyNotVerifiable):
            asyncio.run(_read(server, file))


def test_sftp_turns_an_unknown_key_away(tmp_path: Path) -> None:
    with Sftp.running(tmp_path / "one") as one, Sftp.running(tmp_path / "two") as two:
        one.client_key = two.client_key
        with pytest.raises(asyncssh.PermissionDenied):
            asyncio.run(_read(one, tmp_path / "any"))


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    with (
        Redis.running(tmp_path / "first") as first,
        pytest.raises(SandboxError, match=rf"Port {first.port} for Redis is taken.*DTS_SANDBOX_PORT_REDIS"),
    ):
        Redis(folder=tmp_path / "second", port=first.port, setting="DTS_SANDBOX_PORT_REDIS")


def test_a_server_that_dies_at_start_shows_its_last_lines(tmp_path: Path) -> None:
    server = Postgres(folder=tmp_path, port=free_port())
    (tmp_path / "data").mkdir()
    with pytest.raises(
        SandboxError, match=r"(?s)PostgreSQL ended with exit code 1.*postgres\.log.*(root|postgresql\.conf)"
    ):
        server.start()


async def _read(server: RunningSftp, path: Path) -> bytes:
    async with (
        asyncssh.connect(
            server.host,
            server.port,
            username=server.user,
            client_keys=[str(server.client_key.private)],
            known_hosts=str(server.known_hosts),
            config=None,
        ) as connection,
        connection.start_sftp_client() as client,
        client.open(str(path), "rb") as file,
    ):
        content = await file.read()
        assert isinstance(content, bytes)
        return content
