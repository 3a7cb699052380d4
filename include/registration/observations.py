"""Starting and finishing an observation, apart from its files. Both are harmless to repeat."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from include.errors import BadInputError
from include.operations.decide import clock

START = text(
    """
    insert into executed_obs_unit (id, instrument_id, started_at)
    select :observation, i.id, :started_at from instrument i where i.name = :instrument
    on conflict (id) do nothing
    """
)

KNOWN = text(
    """
    select i.name as instrument, o.started_at, o.finished_at, o.closed_at
    from executed_obs_unit o join instrument i on i.id = o.instrument_id
    where o.id = :observation for no key update of o
    """
)

FINISH = text(
    """
    update executed_obs_unit set finished_at = :finished_at, closed_at = coalesce(closed_at, clock_timestamp())
    where id = :observation
    """
)


class Change(StrEnum):
    """What a request changed."""

    MADE = "made"
    NOTHING = "nothing"


class ContradictionError(BadInputError):
    """What is asked contradicts what was filed before; nothing was changed."""


class UnknownObservationError(BadInputError):
    """Nobody has filed an observation of this UUID."""


def start_observation(session: Session, *, observation: UUID, instrument: str, started_at: datetime) -> Change:
    """Note that an observation began, in the caller's transaction.

    Raises:
        ContradictionError: it was filed with another instrument or start.
        BadInputError: there is no such instrument.
    """
    values = {"observation": observation, "instrument": instrument, "started_at": started_at}
    made = session.execute(START, values).rowcount == 1  # type: ignore[attr-defined]
    known = session.execute(KNOWN, {"observation": observation}).one_or_none()
    if known is None:
        raise BadInputError(f"There is no instrument {instrument!r} in ops-db: it is added to the topology first.")
    if known.instrument != instrument:
        raise ContradictionError(
            f"Observation {observation} belongs to instrument {known.instrument}, not to {instrument}; give each"
            " observation a UUID of its own."
        )
    if known.started_at != started_at:
        raise ContradictionError(
            f"Observation {observation} was filed with started_at {clock(known.started_at)}, not {clock(started_at)}."
        )
    return Change.MADE if made else Change.NOTHING


def finish_observation(session: Session, *, observation: UUID, finished_at: datetime) -> Change:
    """Note that an observation is over and that no more files of it come, in the caller's transaction.

    What was received before this is still decided and packaged; what is filed later may add no files.

    Raises:
        UnknownObservationError: there is none.
        ContradictionError: it was finished at another time, or would end before it began.
    """
    known: Row[tuple[str, datetime, datetime | None, datetime | None]] | None = session.execute(
        KNOWN, {"observation": observation}
    ).one_or_none()
    if known is None:
        raise UnknownObservationError(f"There is no observation {observation} in ops-db: it is started first.")
    if finished_at < known.started_at:
        raise ContradictionError(
            f"finished_at {clock(finished_at)} is before observation {observation} began, at {clock(known.started_at)}."
        )
    if known.finished_at is not None and known.finished_at != finished_at:
        raise ContradictionError(
            f"Observation {observation} was finished at {clock(known.finished_at)}, not at {clock(finished_at)}."
        )
    if known.closed_at is not None:
        return Change.NOTHING
    session.execute(FINISH, {"observation": observation, "finished_at": finished_at})
    return Change.MADE
