"""From the words of a request to packages: those named one by one, and those of observations and nights.

A word is a package's name or `package:ID`, the UUID of an observation or `observation:UUID`, or an instrument with the
time in which its observations began: `primecam:2026-11-20` or `primecam:2026-11-20T18:00..2026-11-21`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from include.dates import moment_of
from include.errors import BadInputError
from include.explain.find import SubjectKind, find_package, name_of_package, observation_id_of, subject_of
from include.operations.decide import clock

OF_OBSERVATION = text(
    """
    select e.id, array(select p.name from raw_data_package p where p.executed_obs_unit_id = e.id order by p.id) as names
    from executed_obs_unit e where e.id = :observation
    """
)

OF_TIME = text(
    """
    select p.name from executed_obs_unit e join instrument i on i.id = e.instrument_id
    join raw_data_package p on p.executed_obs_unit_id = e.id
    where i.name = :instrument and e.started_at between :first and :last order by p.id
    """
)

INSTRUMENTS = text("select name from instrument order by name")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Names of packages, each once."""

    named: tuple[str, ...]
    """Somebody named them."""
    found: tuple[str, ...]
    """They belong to an observation that somebody named, or to one of a time."""


def packages_asked_for(connection: Connection, words: Iterable[str]) -> Asked:
    """Return the packages that the words mean.

    Raises:
        BadInputError: a word means nothing, or nothing that has a package.
    """
    named: dict[str, None] = {}
    found: dict[str, None] = {}
    for word in dict.fromkeys(words):
        subject = subject_of(word)
        if subject.kind is SubjectKind.OBSERVATION:
            found |= dict.fromkeys(_of_observation(connection, subject.word))
        elif subject.kind is SubjectKind.PACKAGE and ":" in subject.word:
            found |= dict.fromkeys(_of_time(connection, subject.word))
        else:  # a number is no operation here: nobody stages one
            named[name_of_package(connection, find_package(connection, word))] = None
    return Asked(named=tuple(named), found=tuple(name for name in found if name not in named))


def _of_observation(connection: Connection, word: str) -> Sequence[str]:
    observation = observation_id_of(word)
    row = connection.execute(OF_OBSERVATION, {"observation": observation}).one_or_none()
    if row is None:
        raise BadInputError(f"ops-db does not know an observation {observation}: `dts explain` shows its filings.")
    if not row.names:
        raise BadInputError(f"Observation {observation} has no package yet: its files wait for the next packaging.")
    return list(row.names)


def _of_time(connection: Connection, word: str) -> Sequence[str]:
    instrument, _, time = word.partition(":")
    known = list(connection.execute(INSTRUMENTS).scalars())
    if instrument not in known:
        raise BadInputError(f"There is no instrument {instrument!r} in {word!r}, but {', '.join(known)}.")
    first, last = _time(time)
    names = connection.execute(OF_TIME, {"instrument": instrument, "first": first, "last": last}).scalars().all()
    if not names:
        raise BadInputError(
            f"No observation of {instrument} that began from {clock(first)} to {clock(last)} has a package."
        )
    return names


def _time(text: str) -> tuple[datetime, datetime]:
    begin, dots, end = text.partition("..")
    first, last = moment_of(begin), moment_of(end if dots else begin, to_its_end=True)
    if last < first:
        raise BadInputError(f"{text!r} ends before it begins.")
    return first, last
