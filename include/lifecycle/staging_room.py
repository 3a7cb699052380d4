"""Whether what a StagingJob asks for fits, before anything of it is staged."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from include.errors import BadInputError
from include.lifecycle.room import RESERVE_BYTES
from include.ops_db.reservations import LOCK
from include.plurals import counted
from include.sizes import size
from include.topology import DataLocation

_IS_RESERVED = """
exists (select from space_reservation r join operation o on o.id = r.operation_id and o.lease_token = r.lease_token
  where r.data_location_id = :here and o.kind = 'staging' and o.raw_data_package_id = p.id
    and o.status = 'in_progress' and o.lease_expires_at > now())
"""

_IS_STAGED = """
exists (select from physical_copy c where c.raw_data_package_id = p.id and c.data_location_id = :here
  and c.status = 'staged')
"""

# What is being written at this moment is reserved already, so it counts there and nowhere else.
NEEDED = text(
    f"""
    select count(*) as packages, coalesce(sum(p.content_bytes), 0)::bigint as size_bytes
    from raw_data_package p where p.id = any(:packages) and not {_IS_STAGED} and not {_IS_RESERVED}
    """  # noqa: S608 - put together from constants
)

TAKEN = text(
    f"""
    select
      (select coalesce(sum(r.size_bytes), 0)::bigint from space_reservation r
       join operation o on o.id = r.operation_id and o.lease_token = r.lease_token
       where r.data_location_id = :here and o.status = 'in_progress' and o.lease_expires_at > now()) as reserved_bytes,
      (select coalesce(sum(p.content_bytes), 0)::bigint from raw_data_package p
       where p.id in (select m.raw_data_package_id from staging_job j
           join staging_job_package m on m.staging_job_id = j.id
           where j.data_location_id = :here and j.state = 'active' and j.until > now() and not j.may_wait)
         and p.id <> all(:packages) and not {_IS_STAGED} and not {_IS_RESERVED}) as promised_bytes
    """  # noqa: S608 - the same
)

SEEN = text(
    """
    select measured_at, total_bytes, total_bytes - used_bytes as free_bytes from location_measurement
    where data_location_id = :here and used_bytes is not null and total_bytes is not null
    order by measured_at desc limit 1
    """
)


@dataclass(frozen=True, kw_only=True)
class Room:
    """What is known about the room at a location, for packages that somebody asks for. Sizes in bytes."""

    full_name: str
    packages: int
    """Those that are not there yet."""
    needed_bytes: int
    total_bytes: int
    free_bytes: int
    measured_at: datetime
    kept_bytes: int
    """Above the critical watermark, or what every operation leaves: stays free."""
    reserved_bytes: int
    """What running operations will still write there."""
    promised_bytes: int
    """What other active StagingJobs will still bring there."""

    @property
    def left_bytes(self) -> int:
        """What nobody else will take."""
        return self.free_bytes - self.kept_bytes - self.reserved_bytes - self.promised_bytes

    @property
    def sentence(self) -> str:
        """Say it with the numbers."""
        return (
            f"{counted(self.packages, 'package')} with {size(self.needed_bytes)} would have to come to"
            f" {self.full_name}, and {size(max(self.left_bytes, 0))} are left: {size(self.free_bytes)} of"
            f" {size(self.total_bytes)} are free ({self.measured_at:%Y-%m-%d %H:%M:%S} UTC), {size(self.kept_bytes)} of"
            f" them stay free, {size(self.reserved_bytes)} are reserved by running operations and"
            f" {size(self.promised_bytes)} promised to other StagingJobs"
        )


def require_room(session: Session, *, location: DataLocation, data_location_id: int, packages: Sequence[int]) -> None:
    """Refuse what does not fit; nobody else is promised room there until the transaction ends.

    A location that none of its hosts has measured yet refuses nothing: each package looks again before it is staged.

    Raises:
        BadInputError: it does not fit, with the numbers.
    """
    session.execute(LOCK, {"here": data_location_id})
    room = room_for(session, location=location, data_location_id=data_location_id, packages=packages)
    if room is not None and room.packages and room.needed_bytes > room.left_bytes:
        raise BadInputError(
            f"{room.sentence}. Ask for less, have a job end (`dts staging list`), or ask for it to come when there is"
            " room (--wait)."
        )


def room_for(
    session: Session, *, location: DataLocation, data_location_id: int, packages: Sequence[int]
) -> Room | None:
    """Return what is known about the room for these packages; None: none of its hosts has measured the location yet."""
    values = {"here": data_location_id, "packages": list(packages)}
    seen = session.execute(SEEN, values).one_or_none()
    if seen is None:
        return None
    needed = session.execute(NEEDED, values).one()
    taken = session.execute(TAKEN, values).one()
    return Room(
        full_name=location.full_name,
        packages=needed.packages,
        needed_bytes=needed.size_bytes,
        total_bytes=seen.total_bytes,
        free_bytes=seen.free_bytes,
        measured_at=seen.measured_at,
        kept_bytes=max(
            round(seen.total_bytes * (1 - location.watermarks.critical)), min(RESERVE_BYTES, seen.total_bytes // 20)
        ),
        reserved_bytes=taken.reserved_bytes,
        promised_bytes=taken.promised_bytes,
    )
