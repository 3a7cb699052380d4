"""What Airflow's connections say, as typed values: ops-db, folders, SFTP and S3.

A location's connection has its full name as id. A far host fetches each once and keeps it for the life of the task.
"""

import socket
from functools import cache
from pathlib import Path

from airflow.sdk import BaseHook, Connection
from sqlalchemy import Engine, make_url

from include.errors import BadInputError
from include.ops_db.engine import ops_db_engine
from include.ops_db.marks import MarksInOpsDb
from include.settings import settings
from include.storage.disk import DiskStorage
from include.storage.interface import Storage
from include.storage.mark import Mark
from include.storage.s3 import S3Storage
from include.storage.s3_client import S3Address
from include.storage.sftp import SftpStorage
from include.storage.sftp_connection import SftpAddress
from include.topology import Topology, load_topology


@cache
def topology() -> Topology:
    """Return the topology of this process's file, read once: parsing must give the same DAG each time."""
    return load_topology(settings().topology)


def this_host() -> str:
    """Return the name of this host in the topology."""
    return settings().host or socket.gethostname()


@cache
def engine() -> Engine:
    """Return the engine of ops-db, one kept connection a process."""
    return ops_db_engine(ops_db_address())


def ops_db_address() -> str:
    """Return the URL of ops-db, from the connection `ops_db` (type postgres; extras such as sslmode are kept)."""
    connection = BaseHook.get_connection("ops_db")
    url = make_url("postgresql+psycopg://").set(
        host=connection.host,
        port=connection.port,
        username=connection.login,
        password=connection.password,
        database=connection.schema,
        query={key: str(value) for key, value in connection.extra_dejson.items()},
    )
    return url.render_as_string(hide_password=False)


@cache
def open_storage(full_name: str) -> Storage:
    """Open a location as this host reaches it: a folder where it is mounted, else SFTP or S3 by its connection."""
    location = topology().location(full_name)
    if location.storage.type == "s3":
        return S3Storage(s3_address(BaseHook.get_connection(full_name), bucket=location.storage.bucket))
    mark = Mark(full_name, MarksInOpsDb(engine()))
    if location.is_disk_on(this_host()):
        return DiskStorage(Path(location.storage.root), mark=mark)
    return SftpStorage(sftp_address(BaseHook.get_connection(full_name), root=location.storage.root), mark=mark)


def s3_address(connection: Connection, *, bucket: str) -> S3Address:
    """Read an `aws` connection: login is the key, password the secret, extra `endpoint_url`."""
    return S3Address(
        endpoint_url=_extra(connection, "endpoint_url"),
        bucket=bucket,
        key=_needed(connection, "login", connection.login),
        secret=_needed(connection, "password", connection.password),
    )


def sftp_address(connection: Connection, *, root: str) -> SftpAddress:
    """Read an `sftp` connection: host, port, login, extras `key_file` and `host_key` (`ssh-ed25519 AAAA…`)."""
    return SftpAddress(
        host=_needed(connection, "host", connection.host),
        port=connection.port or 22,
        username=_needed(connection, "login", connection.login),
        private_key_path=_extra(connection, "key_file"),
        host_key=_extra(connection, "host_key"),
        root=root,
    )


def _extra(connection: Connection, name: str) -> str:
    return _needed(connection, f"extra {name}", connection.extra_dejson.get(name))


def _needed(connection: Connection, what: str, value: object) -> str:
    if not value:
        raise BadInputError(f"The Airflow connection {connection.conn_id} has no {what}: add it.")
    return str(value)
