"""Receiving a filing: a run's conf becomes a `filing` row, and an operation at the location that has the files."""

from dataclasses import dataclass

from sqlalchemy import Engine, func, null, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from include.errors import BadInputError, FilingRefusedError
from include.lanes import Lane
from include.operations.planning import NewOperation, want
from include.ops_db.places import location_id, require_applied
from include.ops_db.states import FilingState
from include.ops_db.tables import Filing
from include.registration.conf import FilingConf, observation_named, parse_conf
from include.registration.permitted import require_permitted
from include.registration.shown import Json, files_shown, kept
from include.topology import DataLocation, OperationKind, Topology


@dataclass(frozen=True, kw_only=True)
class Received:
    """What became of a run's conf."""

    filing_id: int | None
    """None: the run carried no filing."""
    location: str | None
    """Full name of the SOURCE location whose lane looks at it next; None: there is nothing to look at."""
    verdict: str


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """A conf as far as it can be judged without its files."""

    conf: Json
    state: FilingState
    verdict: str
    filing: FilingConf | None = None
    location: DataLocation | None = None


def receive(
    engine: Engine, *, topology: Topology, dag_run_id: str, conf: object, received_from: str | None
) -> Received:
    """Store the filing that a run carries.

    The same run again changes nothing, unless the filing was refused: then it is looked at anew (a person cleared the
    run, after putting the missing file back, say).

    Raises:
        TopologyError: this process has another topology than ops-db.
        BadInputError: the run's id already stands for another filing.
    """
    if not conf:
        return Received(filing_id=None, location=None, verdict="Nothing to receive: the run carries no filing.")
    account = str(kept(received_from or "nobody"))
    judged = _judge(conf, topology=topology, account=account)
    with Session(engine) as session, session.begin():
        require_applied(session, topology)
        place_id = location_id(session, judged.location.full_name) if judged.location else None
        filing_id = _write(
            session, judged, dag_run_id=dag_run_id, account=account, data_location_id=place_id, sent=conf
        )
        if filing_id is None:
            return _received_before(session, judged, dag_run_id=dag_run_id)
        if judged.location is None or place_id is None:
            return Received(filing_id=filing_id, location=None, verdict=judged.verdict)
        explanation = f"A worker on {' or '.join(judged.location.hosts)} looks whether the files are there as filed."
        want(
            session,
            kind=OperationKind.REGISTRATION,
            data_location_id=place_id,
            operations=[NewOperation(subject_id=filing_id, explanation=explanation)],
        )
        return Received(filing_id=filing_id, location=judged.location.full_name, verdict=judged.verdict)


def _judge(conf: object, *, topology: Topology, account: str) -> _Judged:
    try:
        filing = parse_conf(conf, policy=topology.policy)
        location = require_permitted(filing, topology=topology, account=account)
    except FilingRefusedError as error:
        return _Judged(conf=kept(conf), state=FilingState.REFUSED, verdict=f"Refused: {error}")
    what = files_shown(len(filing.files)) if filing.files else f"the files of manifest {filing.manifest!r}"
    queue = Lane(OperationKind.REGISTRATION, location).name
    return _Judged(
        conf=conf,  # type: ignore[arg-type]  # parsed as JSON, and found to be sound
        state=FilingState.RECEIVED,
        verdict=f"Received: {what} of observation {filing.executed_obs_unit};"
        f" a worker of queue {queue} looks at them next.",
        filing=filing,
        location=location,
    )


def _write(
    session: Session, judged: _Judged, *, dag_run_id: str, account: str, data_location_id: int | None, sent: object
) -> int | None:
    """Insert the filing, or take up a refused one again; None if it was received or accepted before."""
    values = {
        "received_from": account,
        "received_at": func.now(),
        # A conf that is no object or list is told by the verdict.
        "conf": judged.conf if isinstance(judged.conf, dict | list) else null(),
        "executed_obs_unit_id": observation_named(sent),
        "data_location_id": data_location_id,
        "state": judged.state,
        "verdict": judged.verdict,
        "decided_at": func.now() if judged.state is FilingState.REFUSED else None,
        "file_count": len(judged.filing.files or ()) if judged.filing else 0,
        "size_bytes": sum(file.size_bytes for file in judged.filing.files or ()) if judged.filing else 0,
    }
    return session.scalar(
        insert(Filing)
        .values(dag_run_id=dag_run_id, **values)
        .on_conflict_do_update(index_elements=["dag_run_id"], set_=values, where=Filing.state == FilingState.REFUSED)
        .returning(Filing.id)
    )


def _received_before(session: Session, judged: _Judged, *, dag_run_id: str) -> Received:
    before = session.scalars(select(Filing).where(Filing.dag_run_id == dag_run_id)).one()
    if judged.filing is None or before.conf != judged.conf:
        raise BadInputError(
            f"Run {dag_run_id} already stands for filing {before.id} ({before.verdict}), and this is another one:"
            " file it with a run id of its own."
        )
    location = judged.location.full_name if judged.location and before.state is FilingState.RECEIVED else None
    return Received(filing_id=before.id, location=location, verdict=before.verdict)
