"""Airflow's connections without Airflow: read from the environment, `AIRFLOW_CONN_<ID>` as a URI or as JSON.

Importing Airflow takes seconds, and its connections cannot be asked for outside a task. Those that Airflow keeps in its
own database or in a secrets backend cannot be found this way: export them for the doctor.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from sqlalchemy import URL

from include.errors import BadInputError
from include.storage.s3_client import S3Address
from include.storage.sftp_connection import SftpAddress

PREFIX = "AIRFLOW_CONN_"
_WHOLE_EXTRA = "__extra__"
"""Airflow puts an extra that does not fit into a query there, as JSON."""


class Connection(BaseModel):
    """A connection as Airflow has it. Its text never shows the password."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    conn_type: str = ""
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = Field(default=None, repr=False)
    database: str | None = Field(default=None, alias="schema")
    extra: dict[str, object] = Field(default_factory=dict, repr=False)

    @field_validator("extra", mode="before")
    @classmethod
    def _is_read(cls, found: object) -> object:
        """Airflow takes the extra as an object or as its text."""
        return json.loads(found) if isinstance(found, str) and found else found or {}


@dataclass(frozen=True)
class Connections:
    """What the environment says. `environment` is its variables."""

    environment: Mapping[str, str] = field(repr=False)

    def find(self, connection_id: str) -> Connection | None:
        """Return a connection; None where the environment has none.

        Raises:
            BadInputError: its variable is neither a URI nor JSON.
        """
        text = self.environment.get(f"{PREFIX}{connection_id.upper()}", "").strip()
        return parse(text, connection_id=connection_id) if text else None

    def need(self, connection_id: str) -> Connection:
        """Return a connection.

        Raises:
            BadInputError: there is none, or it cannot be read.
        """
        found = self.find(connection_id)
        if found is None:
            raise BadInputError(
                f"no credentials: {PREFIX}{connection_id.upper()} is not set; export it as the worker has it"
            )
        return found


def parse(text: str, *, connection_id: str) -> Connection:
    """Read a variable's text.

    Raises:
        BadInputError: it is neither a URI nor JSON. The text is not shown: it holds a password.
    """
    try:
        return Connection.model_validate_json(text) if text.startswith("{") else _of_uri(text)
    except ValueError as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "it has no scheme or a strange port"
        raise BadInputError(
            f"{PREFIX}{connection_id.upper()} is no Airflow connection ({why}): give sftp://user@host:port/?key_file=…"
            " or JSON"
        ) from None  # the cause would show the password


def sftp_address(connection: Connection, *, connection_id: str, root: str) -> SftpAddress:
    """Read an `sftp` connection: host, port, login, extras `key_file` and `host_key` (`ssh-ed25519 AAAA…`).

    Raises:
        BadInputError: something is missing.
    """
    return SftpAddress(
        host=_needed(connection_id, "host", connection.host),
        port=connection.port or 22,
        username=_needed(connection_id, "login", connection.login),
        private_key_path=_needed(connection_id, "extra key_file", connection.extra.get("key_file")),
        host_key=_needed(connection_id, "extra host_key", connection.extra.get("host_key")),
        root=root,
    )


def s3_address(connection: Connection, *, connection_id: str, bucket: str) -> S3Address:
    """Read an `aws` connection: login is the key, password the secret, extra `endpoint_url`.

    Raises:
        BadInputError: something is missing.
    """
    return S3Address(
        endpoint_url=_needed(connection_id, "extra endpoint_url", connection.extra.get("endpoint_url")),
        bucket=bucket,
        key=_needed(connection_id, "login", connection.login),
        secret=_needed(connection_id, "password", connection.password),
    )


def ops_db_url(connection: Connection) -> str:
    """Read a `postgres` connection as a SQLAlchemy URL, extras such as sslmode included."""
    return URL.create(
        "postgresql+psycopg",
        username=connection.login,
        password=connection.password,
        host=connection.host,
        port=connection.port,
        database=connection.database,
        query={key: str(value) for key, value in connection.extra.items()},
    ).render_as_string(hide_password=False)


def _of_uri(text: str) -> Connection:
    parts = urlsplit(text)
    if not parts.scheme:
        raise ValueError(text)
    asked: dict[str, object] = dict(parse_qsl(parts.query, keep_blank_values=True))
    whole = asked.pop(_WHOLE_EXTRA, None)
    if isinstance(whole, str):
        asked = json.loads(whole)
    # The host as it is written, not in lower case; what stands before the last @ are login and password.
    host = parts.netloc.rpartition("@")[2].removesuffix(f":{parts.port}").strip("[]").removesuffix(":")
    return Connection(
        conn_type=parts.scheme,
        host=_plain(host),
        port=parts.port,
        login=_plain(parts.username),
        password=_plain(parts.password),
        schema=_plain(parts.path.removeprefix("/")),
        extra=asked,
    )


def _plain(text: str | None) -> str | None:
    return unquote(text) if text else None


def _needed(connection_id: str, what: str, value: object) -> str:
    if not value:
        raise BadInputError(f"the connection {connection_id} has no {what}: add it to {PREFIX}{connection_id.upper()}")
    return str(value)
