"""Receiving a filing: what was sent becomes a `filing` row, and an operation at the location that has the files.

It comes as the conf of a run of the DAG `registration`, or through the API; then the run's id is the filing's key.
"""

from dataclasses import dataclass, field, replace
from typing import BinaryIO
from uuid import UUID

from sqlalchemy import Engine, func, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from include.errors import BadInputError, FilingRefusedError
from include.lanes import Lane
from include.operations.planning import NewOperation, want
from include.ops_db.places import location_id, require_applied
from include.ops_db.states import FilingState
from include.ops_db.tables import Filing
from include.registration.conf import FilingConf, observation_named, parse_conf
from include.registration.lines import store_lines
from include.registration.permitted import require_permitted
from include.registration.shown import Json, files_shown, kept
from include.topology import DataLocation, OperationKind, Topology


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What the API knows about a filing beyond its conf."""

    content_sha256: str
    """Of all that was sent, byte by byte (hex)."""
    lines: BinaryIO | None = None
    """The files of a stream, of which the conf is the first line."""


@dataclass(frozen=True, kw_only=True)
class Received:
    """What became of a filing that was sent."""

    filing_id: int | None
    """None: the run carried no filing."""
    location: str | None
    """Full name of the SOURCE location whose lane looks at it next; None: there is nothing to look at."""
    verdict: str
    state: FilingState | None = None
    is_new: bool = field(default=True, compare=False)
    """False: it was received before, and nothing was written."""


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """A conf as far as it can be judged without its files."""

    conf: Json
    state: FilingState
    verdict: str
    filing: FilingConf | None = None
    location: DataLocation | None = None


class OtherContentError(BadInputError):
    """The run's id, or the key, already stands for another filing."""


def receive(
    engine: Engine,
    *,
    topology: Topology,
    dag_run_id: str,
    conf: object,
    received_from: str | None,
    sent: Sent | None = None,
) -> Received:
    """Store a filing.

    The same again changes nothing, unless the filing was refused: then it is looked at anew (a person cleared the
    run, or the instrument sent it again, after putting the missing file back, say).

    Raises:
        TopologyError: this process has another topology than ops-db.
        OtherContentError: the run's id already stands for another filing.
    """
    if not conf and sent is None:
        return Received(filing_id=None, location=None, verdict="Nothing to receive: the run carries no filing.")
    account = str(kept(received_from or "nobody"))
    judged = _judge(conf, topology=topology, account=account, has_lines=_lines_of(sent) is not None)
    with Session(engine) as session, session.begin():
        require_applied(session, topology)
        place_id = location_id(session, judged.location.full_name) if judged.location else None
        filing_id = _write(
            session,
            judged,
            dag_run_id=dag_run_id,
            account=account,
            data_location_id=place_id,
            observation=observation_named(conf),
            sent=sent,
        )
        if filing_id is None:
            return _received_before(session, judged, dag_run_id=dag_run_id, sent=sent)
        judged = _with_lines(session, judged, filing_id=filing_id, lines=_lines_of(sent))
        if judged.location is None or place_id is None:
            return Received(filing_id=filing_id, location=None, verdict=judged.verdict, state=judged.state)
        explanation = f"A worker on {' or '.join(judged.location.hosts)} looks whether the files are there as filed."
        want(
            session,
            kind=OperationKind.REGISTRATION,
            data_location_id=place_id,
            operations=[NewOperation(subject_id=filing_id, explanation=explanation)],
        )
        return Received(
            filing_id=filing_id, location=judged.location.full_name, verdict=judged.verdict, state=judged.state
        )


def _lines_of(sent: Sent | None) -> BinaryIO | None:
    return sent.lines if sent else None


def _judge(conf: object, *, topology: Topology, account: str, has_lines: bool) -> _Judged:
    try:
        filing = parse_conf(conf, policy=topology.policy, has_lines=has_lines)
        location = require_permitted(filing, topology=topology, account=account)
    except FilingRefusedError as error:
        return _Judged(conf=kept(conf), state=FilingState.REFUSED, verdict=f"Refused: {error}")
    what = files_shown(len(filing.files)) if filing.files else f"the files of manifest {filing.manifest!r}"
    return _Judged(
        conf=conf,  # type: ignore[arg-type]  # parsed as JSON, and found to be sound
        state=FilingState.RECEIVED,
        verdict=_received(what, filing=filing, location=location),
        filing=filing,
        location=location,
    )


def _received(what: str, *, filing: FilingConf, location: DataLocation) -> str:
    queue = Lane(OperationKind.REGISTRATION, location).name
    return f"Received: {what} of observation {filing.executed_obs_unit}; a worker of queue {queue} looks at them next."


def _write(
    session: Session,
    judged: _Judged,
    *,
    dag_run_id: str,
    account: str,
    data_location_id: int | None,
    observation: UUID | None,
    sent: Sent | None,
) -> int | None:
    """Insert the filing, or take up a refused one again; None if it stays as it is."""
    values = {
        "received_from": account,
        "received_at": func.now(),
        # A conf that is no object or list is told by the verdict.
        "conf": judged.conf if isinstance(judged.conf, dict | list) else null(),
        "content_sha256": sent.content_sha256 if sent else None,
        "has_lines": _lines_of(sent) is not None,
        "executed_obs_unit_id": observation,
        "data_location_id": data_location_id,
        "state": judged.state,
        "verdict": judged.verdict,
        "decided_at": func.now() if judged.state is FilingState.REFUSED else None,
        "file_count": len(judged.filing.files or ()) if judged.filing else 0,
        "size_bytes": sum(file.size_bytes for file in judged.filing.files or ()) if judged.filing else 0,
    }
    refused = Filing.state == FilingState.REFUSED
    if sent is not None:
        # A refused filing keeps too little of what it was to be compared otherwise.
        refused &= or_(Filing.content_sha256 == sent.content_sha256, Filing.content_sha256.is_(None))
    return session.scalar(
        insert(Filing)
        .values(dag_run_id=dag_run_id, **values)
        .on_conflict_do_update(index_elements=["dag_run_id"], set_=values, where=refused)
        .returning(Filing.id)
    )


def _with_lines(session: Session, judged: _Judged, *, filing_id: int, lines: BinaryIO | None) -> _Judged:
    """Store the files of a stream; where one of them is malformed, the filing is refused and nothing of it is kept."""
    if lines is None or judged.filing is None or judged.location is None:
        return judged
    try:
        with session.begin_nested():
            stored = store_lines(session, lines, filing_id=filing_id, observation=judged.filing.executed_obs_unit)
    except FilingRefusedError as error:
        verdict = f"Refused: {error}"
        session.execute(
            update(Filing)
            .where(Filing.id == filing_id)
            .values(state=FilingState.REFUSED, verdict=verdict, decided_at=func.now(), data_location_id=None)
        )
        return replace(judged, state=FilingState.REFUSED, verdict=verdict, filing=None, location=None)
    verdict = _received(files_shown(stored.file_count), filing=judged.filing, location=judged.location)
    session.execute(
        update(Filing)
        .where(Filing.id == filing_id)
        .values(verdict=verdict, file_count=stored.file_count, size_bytes=stored.size_bytes)
    )
    return replace(judged, verdict=verdict)


def _received_before(session: Session, judged: _Judged, *, dag_run_id: str, sent: Sent | None) -> Received:
    before = session.scalars(select(Filing).where(Filing.dag_run_id == dag_run_id)).one()
    if not _is_same(before, judged, sent=sent):
        raise OtherContentError(
            f"Run {dag_run_id} already stands for filing {before.id} ({before.verdict}), and this is another one:"
            " file it with a run id of its own."
        )
    location = judged.location.full_name if judged.location and before.state is FilingState.RECEIVED else None
    return Received(filing_id=before.id, location=location, verdict=before.verdict, state=before.state, is_new=False)


def _is_same(before: Filing, judged: _Judged, *, sent: Sent | None) -> bool:
    """Tell whether a filing is what was sent, be it byte by byte or as JSON."""
    if sent is not None and sent.content_sha256 == before.content_sha256:
        return True
    streamed = before.has_lines or _lines_of(sent) is not None
    return not streamed and judged.filing is not None and before.conf == judged.conf
