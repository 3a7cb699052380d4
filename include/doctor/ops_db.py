"""Whether ops-db answers, has this version's schema, and knows this topology."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from include.doctor.clock import Offset, ops_db_clock
from include.doctor.finding import Area, Finding, Verdict
from include.errors import TransientError
from include.ops_db.engine import ops_db_engine
from include.ops_db.migrate import configuration
from include.ops_db.places import applied_topology
from include.topology import Topology


@dataclass(frozen=True, slots=True)
class OpsDbState:
    """`revision` is "" for a database without a schema, `applied` the hash of the applied topology, "" for none."""

    offset: Offset
    round_trip_seconds: float
    revision: str
    newest: str
    applied: str


def look_at_ops_db(url: str) -> OpsDbState:
    """Ask it.

    Raises:
        TransientError: it does not answer, or refuses.
    """
    engine = ops_db_engine(url)
    newest = ScriptDirectory.from_config(configuration(url)).get_current_head() or ""
    with _errors(engine), engine.connect() as connection:
        offset, round_trip = ops_db_clock(connection)
        revision = _revision(connection)
        applied = applied_topology(Session(connection)) if revision else None
    return OpsDbState(offset, round_trip, revision, newest, applied.sha256 if applied else "")


def judge_ops_db(found: OpsDbState, *, topology: Topology) -> list[Finding]:
    """Judge schema and topology. Pure."""
    return [_answers(found), _schema(found), _topology(found, topology)]


@contextmanager
def _errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        first = next(iter(str(cause).strip().splitlines()), type(error).__name__)
        where = f"{engine.url.database} at {engine.url.host or 'localhost'}:{engine.url.port or 5432}"
        raise TransientError(f"{where}: {first}") from error


def _revision(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.execute(text("select version_num from alembic_version")).scalar() or ""


def _answers(found: OpsDbState) -> Finding:
    return Finding(
        area=Area.OPS_DB,
        what="answers",
        verdict=Verdict.GOOD,
        sentence=f"in {found.round_trip_seconds * 1000:.1f} ms.",
        value=found.round_trip_seconds * 1000,
        unit="ms",
    )


def _schema(found: OpsDbState) -> Finding:
    current = found.revision == found.newest
    return Finding(
        area=Area.OPS_DB,
        what="schema",
        verdict=Verdict.GOOD if current else Verdict.BAD,
        sentence=f"{found.revision}, the newest."
        if current
        else f"{found.revision or 'none'}, but this version needs {found.newest}.",
        advice="" if current else "Run `dts db upgrade`; if ops-db is newer, install that version of the system here.",
    )


def _topology(found: OpsDbState, topology: Topology) -> Finding:
    here = topology.sha256
    same = found.applied == here
    said = f"this host's file has {here[:12]}, "
    return Finding(
        area=Area.OPS_DB,
        what="topology",
        verdict=Verdict.GOOD if same else Verdict.BAD,
        sentence=f"{here[:12]} is the applied one."
        if same
        else said + (f"but {found.applied[:12]} was applied." if found.applied else "and none was applied yet."),
        advice="" if same else "Bring the same file to every host, and run `dts topology apply` once.",
    )
