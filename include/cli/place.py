"""Which ops-db and which topology a command is about: the environment's, else those of the sandbox that runs here."""

import os
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import URL, Connection, Engine, make_url, text
from sqlalchemy.exc import ArgumentError

from include.errors import BadInputError, TopologyError
from include.ops_db.engine import ops_db_engine
from include.sandbox.layout import CLONE
from include.sandbox.state import State
from include.settings import Settings
from include.topology import Topology, load_topology

APPLIED = text("select document from topology_version order by id desc limit 1")


def ops_db_url() -> str:
    """Return the SQLAlchemy URL of ops-db, with its password.

    Raises:
        BadInputError: none is named, or it is no URL of a PostgreSQL.
    """
    return ops_db_address().render_as_string(hide_password=False)


def ops_db_address() -> URL:
    """Return the same as an object that hides the password; raises alike."""
    settings = Settings()
    if settings.ops_db_url is None and (state := running_sandbox()) is not None:
        text = state.ops_db_url
    else:
        text = settings.required_ops_db_url()
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # Without its cause: that one may tell a part of the password.
        raise BadInputError(
            "DTS_OPS_DB_URL is not a URL; it looks like postgresql+psycopg://user:password@host:port/ops_db,"
            " and in a password @ is written %40, : %3A and / %2F."
        ) from None
    if not url.drivername.startswith("postgres"):
        raise BadInputError(
            f"DTS_OPS_DB_URL names a {url.drivername}, but ops-db is a PostgreSQL: postgresql+psycopg://…"
        )
    return url.set(drivername="postgresql+psycopg")


def ops_db() -> Engine:
    """Return the engine of ops-db; raises like `ops_db_url`."""
    return ops_db_engine(ops_db_url())


def topology_file(named: Path | None = None) -> Path:
    """Return the topology file: the named one, else DTS_TOPOLOGY, else the running sandbox's, else the default."""
    if named is not None:
        return named
    if "DTS_TOPOLOGY" not in os.environ and (state := running_sandbox()) is not None:
        return state.topology
    return Settings().topology


def the_topology(named: Path | None = None) -> Topology:
    """Read the topology file.

    Raises:
        TopologyError: it cannot be read, or every mistake in it.
    """
    return load_topology(topology_file(named))


def applied_topology(connection: Connection) -> Topology:
    """Return the topology that ops-db holds.

    Raises:
        TopologyError: none was applied yet.
    """
    document = connection.execute(APPLIED).scalar()
    if document is None:
        raise TopologyError("No topology was applied to ops-db yet: run `dts topology apply`.")
    return Topology.model_validate(document)


def running_sandbox() -> State | None:
    """Return the state of the sandbox of the current folder or of this checkout; None where none can be read."""
    for folder in (Path.cwd(), CLONE):
        path = folder / ".sandbox" / "state.json"
        try:
            return State.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            continue  # none runs, it is another user's, or it was written by another version
    return None
