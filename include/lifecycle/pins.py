"""Pins: a person says that a package, or an observation, must stay, somewhere or everywhere. The gate obeys."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Row, func, select, text
from sqlalchemy.orm import Session

from include.errors import BadInputError
from include.lifecycle.subjects import LifecycleSubject, deletable_place, lock_subject
from include.ops_db.tables import Pin

HOLDS = "pin.released_at is null and (pin.until is null or pin.until > :now)"
"""Of a row of `pin`, at the moment `:now`."""

KEEPS = f"""
exists (select from pin where pin.raw_data_package_id = p.id and {HOLDS}
  and (pin.data_location_id is null or pin.data_location_id = :here))
or exists (select from pin where pin.executed_obs_unit_id = p.executed_obs_unit_id and {HOLDS}
  and (pin.data_location_id is null or pin.data_location_id = :here))
"""  # noqa: S608 - put together from constants
"""Whether a pin keeps the package `p` at the location `:here`."""

SHOWN = """
pin.id, pin.pinned_by, pin.reason, pin.pinned_at, pin.until, l.full_name as location,
coalesce(p.name, 'observation ' || pin.executed_obs_unit_id) as subject
from pin left join data_location l on l.id = pin.data_location_id
left join raw_data_package p on p.id = pin.raw_data_package_id
"""

PIN_OF = text(
    f"""
    select {SHOWN}
    where {HOLDS} and (pin.data_location_id is null or pin.data_location_id = :here)
      and (pin.raw_data_package_id = :package or pin.executed_obs_unit_id = :observation)
    order by pin.until desc nulls first, pin.id limit 1
    """
)

PINS = text(f"select {SHOWN} where {HOLDS} order by pin.id")

# What a pin comes too late for: copies that are gone already or on their way out.
TOO_LATE = text(
    """
    select l.full_name, count(distinct coalesce(c.raw_data_package_id, f.raw_data_package_id)) as packages
    from physical_copy c join data_location l on l.id = c.data_location_id
    left join raw_data_file f on f.id = c.raw_data_file_id
    where (c.raw_data_package_id = any(:packages)
        or c.raw_data_file_id in (select id from raw_data_file where raw_data_package_id = any(:packages)))
      and c.status in ('deleted', 'deletion_in_progress', 'deletion_failed', 'missing')
      and (cast(:here as bigint) is null or c.data_location_id = :here)
    group by l.full_name order by l.full_name
    """
)

RELEASE = text(
    """
    update pin set released_at = now(), released_by = :person
    where released_at is null and (id = :pin
      or (raw_data_package_id = :package or executed_obs_unit_id = :observation)
        and (cast(:here as bigint) is null or data_location_id = :here))
    returning id
    """
)


@dataclass(frozen=True, slots=True)
class Pinned:
    """What pinning did."""

    id: int
    packages: int
    """How many packages there are now; of an observation more may come."""
    too_late_at: tuple[tuple[str, int], ...]
    """Locations, and how many of the packages are gone from there already, wholly or in part."""


@dataclass(frozen=True, slots=True)
class HeldPin:
    """A pin that holds, as people see it."""

    id: int
    subject: str
    pinned_by: str
    reason: str
    pinned_at: datetime
    until: datetime | None
    location: str | None


def pin(
    session: Session,
    subject: LifecycleSubject,
    *,
    location: str | None,
    reason: str,
    person: str,
    until: datetime | None,
) -> Pinned:
    """Keep its packages, at `location` or everywhere, until a date or until somebody releases them.

    Raises:
        BadInputError: something of it makes no sense; nothing was written.
        TopologyError: ops-db does not know the location.
    """
    if not reason.strip() or not person.strip():
        raise BadInputError("A pin needs a reason and the name of a person: others must know whom to ask.")
    now = session.execute(select(func.now())).scalar_one()
    if until is not None and until <= now:
        raise BadInputError(f"Until {until} is over (it is {now:%Y-%m-%d %H:%M:%S} UTC now): give a date to come.")
    here = None if location is None else deletable_place(session, location)
    packages = lock_subject(session, subject)
    row = Pin(
        raw_data_package_id=subject.raw_data_package_id,
        executed_obs_unit_id=subject.executed_obs_unit_id,
        data_location_id=here,
        reason=reason.strip(),
        pinned_by=person.strip(),
        until=None if until is None else until.astimezone(UTC),
    )
    session.add(row)
    session.flush()
    gone = session.execute(TOO_LATE, {"packages": packages, "here": here}).all()
    return Pinned(row.id, len(packages), tuple((place.full_name, place.packages) for place in gone))


def release(
    session: Session, *, person: str, pin_id: int | None = None, subject: LifecycleSubject, location: str | None = None
) -> list[int]:
    """Release a pin by its number, or all pins of a subject (only those of `location`, if given); return their ids."""
    values = {
        "person": person,
        "pin": pin_id,
        "package": subject.raw_data_package_id,
        "observation": subject.executed_obs_unit_id,
        "here": None if location is None else deletable_place(session, location),
    }
    return sorted(session.execute(RELEASE, values).scalars())


def pin_of(
    session: Session, *, raw_data_package_id: int, observation: object, data_location_id: int, now: datetime
) -> HeldPin | None:
    """Return the pin that keeps a package at a location the longest, if any does."""
    values = {"package": raw_data_package_id, "observation": observation, "here": data_location_id, "now": now}
    row = session.execute(PIN_OF, values).one_or_none()
    return None if row is None else _held(row)


def pins_that_hold(session: Session) -> list[HeldPin]:
    """Return all of them, the oldest first."""
    now = session.execute(select(func.now())).scalar_one()
    return [_held(row) for row in session.execute(PINS, {"now": now})]


def _held(row: Row[tuple[object, ...]]) -> HeldPin:
    return HeldPin(**row._mapping)  # noqa: SLF001 - its public name
