"""Where to read an archived package from, and what becomes of an archive copy that turned out to be bad."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from include.lifecycle.package_lock import lock_package
from include.ops_db.states import CopyStatus

VERIFIED_COPIES = text(
    """
    select c.id, c.path, c.verified_at, l.full_name
    from physical_copy c
    join data_location l on l.id = c.data_location_id
    join raw_data_package p on p.id = c.raw_data_package_id
    where c.raw_data_package_id = :package and l.location_type = 'long_term_archive' and l.active
      and c.status = 'present' and c.verified_at is not null and c.checksum = p.checksum
    order by (l.site = :site) desc, l.priority, l.full_name
    """
)

# If it was verified again since we read it, it was repaired: what we found is no longer true.
MARK_BAD = text(
    """
    update physical_copy set status = :status
    where id = :copy and status = 'present' and verified_at = :verified_at
    """
)


@dataclass(frozen=True, kw_only=True)
class ArchiveCopy:
    """A verified copy of a package in a long-term archive."""

    id: int
    path: str
    full_name: str
    verified_at: datetime


def nearest_first(session: Session, *, raw_data_package_id: int, site: str) -> list[ArchiveCopy]:
    """Return the verified archive copies: those of the same site first, then by their location's priority."""
    rows = session.execute(VERIFIED_COPIES, {"package": raw_data_package_id, "site": site})
    return [ArchiveCopy(id=row.id, path=row.path, full_name=row.full_name, verified_at=row.verified_at) for row in rows]


def mark_bad(session: Session, *, raw_data_package_id: int, copy: ArchiveCopy, status: CopyStatus) -> None:
    """Write that an archive copy is corrupt or missing, under the package's lock: the gate must know at once."""
    lock_package(session, raw_data_package_id)
    session.execute(MARK_BAD, {"copy": copy.id, "status": status, "verified_at": copy.verified_at})
