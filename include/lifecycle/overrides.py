"""Two people together may let copies go with fewer archive copies than policy asks for, in an emergency.

One asks, another confirms, and for 24 hours from the asking the gate's rule of archive copies is content with one
verified copy in one archive. It never goes below that one, and no other question of the gate is touched. Meant for a
telescope that would have to stop observing because its disks are full and one archive is out of reach.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from include.errors import BadInputError
from include.lifecycle.package_lock import LockedPackage
from include.lifecycle.subjects import LifecycleSubject, deletable_place, lock_subject
from include.ops_db.tables import CopyRuleOverride

VALID = timedelta(hours=24)

# Of an observation only the packages that it had when the people looked at it.
IN_FORCE = """
o.confirmed_at is not null and o.expires_at > :now and o.data_location_id = :here
and (o.raw_data_package_id = p.id or o.executed_obs_unit_id = p.executed_obs_unit_id and p.created_at <= o.asked_at)
"""
"""Whether the override `o` is about the package `p` at the location `:here`, at the moment `:now`."""

OVERRIDE_OF = text(
    f"""
    select o.id, o.asked_by, o.confirmed_by, o.reason from copy_rule_override o, raw_data_package p
    where p.id = :package and {IN_FORCE} order by o.id limit 1
    """  # noqa: S608 - put together from constants
)

NOT_OVER = text(
    """
    select o.id, o.asked_by, o.confirmed_by, o.reason, o.expires_at, l.full_name as location,
      coalesce(p.name, 'observation ' || o.executed_obs_unit_id) as subject
    from copy_rule_override o join data_location l on l.id = o.data_location_id
    left join raw_data_package p on p.id = o.raw_data_package_id
    where o.expires_at > now() order by o.id
    """
)

LOCK = text("select * from copy_rule_override where id = :override for no key update")

CONFIRM = text(
    """
    update copy_rule_override set confirmed_by = :person, confirmed_at = now(), confirmed_from = :account
    where id = :override
    """
)


@dataclass(frozen=True, slots=True)
class Override:
    """One that is in force."""

    id: int
    asked_by: str
    confirmed_by: str
    reason: str

    @property
    def people(self) -> str:
        """Who, for a sentence."""
        return f"{self.asked_by} asked for it and {self.confirmed_by} confirmed it (override {self.id}: {self.reason})"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, or confirmed."""

    id: int
    packages: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ShownOverride:
    """One that is not over, as people see it."""

    id: int
    asked_by: str
    confirmed_by: str | None
    """None: it means nothing yet."""
    reason: str
    expires_at: datetime
    location: str
    subject: str


def ask(session: Session, subject: LifecycleSubject, *, location: str, reason: str, person: str, account: str) -> Asked:
    """Ask for an override; it means nothing until another person confirms it.

    Raises:
        BadInputError: something of it makes no sense; nothing was written.
        TopologyError: ops-db does not know the location.
    """
    if not reason.strip() or not person.strip():
        raise BadInputError("An override needs a reason and the name of a person: it stands in the record for ever.")
    here = deletable_place(session, location)
    packages = lock_subject(session, subject)
    if not packages:
        raise BadInputError(f"Observation {subject.executed_obs_unit_id} has no packages yet.")
    expires_at = session.execute(select(func.now())).scalar_one() + VALID
    row = CopyRuleOverride(
        raw_data_package_id=subject.raw_data_package_id,
        executed_obs_unit_id=subject.executed_obs_unit_id,
        data_location_id=here,
        reason=reason.strip(),
        asked_by=person.strip(),
        asked_from=account,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return Asked(row.id, len(packages), expires_at)


def confirm(session: Session, override_id: int, *, person: str, account: str) -> Asked:
    """Put an override into force, as another person than the one who asked for it, from another account.

    A name is easily typed; `account` is what nobody can choose.

    Raises:
        BadInputError: there is none of this number, it is confirmed or over, or it is the same person's or account's.
    """
    row = session.execute(LOCK, {"override": override_id}).one_or_none()
    if row is None:
        raise BadInputError(f"There is no override {override_id}; `dts override ask` gives them their numbers.")
    if row.confirmed_at is not None:
        raise BadInputError(f"Override {override_id} was confirmed by {row.confirmed_by} already.")
    if row.expires_at <= session.execute(select(func.now())).scalar_one():
        raise BadInputError(f"Override {override_id} was over at {row.expires_at:%Y-%m-%d %H:%M} UTC: ask again.")
    if person.strip().casefold() == row.asked_by.casefold():
        raise BadInputError(f"{row.asked_by} asked for override {override_id}: another person must confirm it.")
    if not person.strip():
        raise BadInputError("A confirmation needs the name of a person.")
    if account == row.asked_from:
        raise BadInputError(
            f"Override {override_id} was asked for from {account}, too: another person confirms it from an account of"
            " their own, or from another host."
        )
    subject = LifecycleSubject(
        raw_data_package_id=row.raw_data_package_id, executed_obs_unit_id=row.executed_obs_unit_id
    )
    packages = lock_subject(session, subject)
    session.execute(CONFIRM, {"override": override_id, "person": person.strip(), "account": account})
    return Asked(override_id, len(packages), row.expires_at)


def override_of(session: Session, package: LockedPackage, *, data_location_id: int, now: datetime) -> Override | None:
    """Return the override that is in force for a locked package at a location."""
    values = {"package": package.id, "here": data_location_id, "now": now}
    row = session.execute(OVERRIDE_OF, values).one_or_none()
    return None if row is None else Override(row.id, row.asked_by, row.confirmed_by, row.reason)


def overrides_not_over(session: Session) -> list[ShownOverride]:
    """Return those that are in force or wait for their second person, the oldest first."""
    return [ShownOverride(**row._mapping) for row in session.execute(NOT_OVER)]  # noqa: SLF001 - its public name
