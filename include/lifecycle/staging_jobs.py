"""StagingJobs: a person asks for packages at a PROCESSING location until a date, and they are protected there."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Row, func, select, text
from sqlalchemy.orm import Session

from include.errors import BadInputError
from include.lifecycle.package_lock import lock_packages
from include.ops_db.tables import DataLocation, StagingJob, StagingJobPackage
from include.topology import LocationType

NAMED_PACKAGES = 5
"""In a message about wrong ones: enough to see what is meant, short enough to read."""

PACKAGES = text(
    """
    select p.id, p.name, p.state, exists (
      select from physical_copy c join data_location l on l.id = c.data_location_id
      where c.raw_data_package_id = p.id and l.location_type = 'long_term_archive' and c.status = 'present'
        and c.verified_at is not null and c.checksum = p.checksum) as in_archive
    from raw_data_package p where p.name = any(:names)
    """
)

EXPIRE = text(
    """
    update staging_job set state = 'expired' where state = 'active' and until <= :now and data_location_id = :here
    """
)


def request_staging(
    session: Session, *, packages: list[str], location: str, until: datetime, requested_by: str, reason: str
) -> int:
    """Make an active StagingJob in the caller's transaction; return its id. The next plan of staging begins with it.

    Args:
        session: in the caller's transaction.
        packages: names of RawDataPackages.
        location: full name of a PROCESSING location.
        until: with its time zone; the packages are protected there until then.
        requested_by: who asks.
        reason: for whoever wonders later.

    Raises:
        BadInputError: something of it makes no sense; nothing was written.
    """
    place = _processing_location(session, location)
    if not requested_by:
        raise BadInputError("A StagingJob needs the name of the person who asks for it.")
    if until.tzinfo is None:
        raise BadInputError(f"Until {until} could be meant in any time zone: give one, say {until.isoformat()}+00:00.")
    now = session.execute(select(func.now())).scalar_one()
    if until <= now:
        raise BadInputError(f"Until {until} is over (it is {now:%Y-%m-%d %H:%M:%S} UTC now): give a date to come.")
    found = _packages(session, packages)
    lock_packages(session, [package.id for package in found])
    job = StagingJob(requested_by=requested_by, reason=reason, data_location_id=place, until=until.astimezone(UTC))
    session.add(job)
    session.flush()
    session.add_all(StagingJobPackage(staging_job_id=job.id, raw_data_package_id=package.id) for package in found)
    session.flush()
    return job.id


def expire_jobs(session: Session, *, data_location_id: int, now: datetime) -> None:
    """Close the jobs at a location whose date has come."""
    session.execute(EXPIRE, {"here": data_location_id, "now": now})


def _processing_location(session: Session, full_name: str) -> int:
    rows = session.execute(
        select(DataLocation.id, DataLocation.full_name, DataLocation.location_type)
        .where(DataLocation.active)
        .order_by(DataLocation.full_name)
    ).all()
    known = ", ".join(row.full_name for row in rows if row.location_type is LocationType.PROCESSING) or "none"
    for row in rows:
        if row.full_name == full_name:
            if row.location_type is LocationType.PROCESSING:
                return int(row.id)
            kind = str(row.location_type.value).replace("_", " ")
            raise BadInputError(
                f"{full_name} is a {kind} location; packages are staged at processing locations: {known}."
            )
    raise BadInputError(f"There is no location {full_name!r}. Packages are staged at processing locations: {known}.")


def _packages(session: Session, names: Sequence[str]) -> Sequence[Row[tuple[int, str, str, bool]]]:
    if not names:
        raise BadInputError("A StagingJob needs the name of at least one package.")
    found = session.execute(PACKAGES, {"names": list(names)}).all()
    known = {row.name for row in found}
    if unknown := [name for name in names if name not in known]:
        raise BadInputError(
            f"There is no package {_named(unknown)}. `dts explain <observation>` lists an observation's packages."
        )
    if early := [f"{row.name} ({row.state})" for row in found if not row.in_archive]:
        raise BadInputError(
            f"No archive has a verified copy of {_named(early)}, so it cannot be staged: ask again once one has."
        )
    return found


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED_PACKAGES} more" if len(names) > NAMED_PACKAGES else ""
    return ", ".join(names[:NAMED_PACKAGES]) + more
