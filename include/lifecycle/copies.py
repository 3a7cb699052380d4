"""The copies of a package as the gate sees them, locked: those that would go, and those that justify it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from include.lifecycle.package_lock import LockedPackage
from include.ops_db.states import CopyStatus
from include.topology import LocationType

BEGUN = frozenset({CopyStatus.DELETION_SCHEDULED, CopyStatus.DELETION_IN_PROGRESS, CopyStatus.DELETION_FAILED})
"""An attempt at deleting it has begun and has not come to its end."""

DELETABLE = BEGUN | {CopyStatus.PRESENT, CopyStatus.STAGED, CopyStatus.DELETION_POSSIBLE}
"""Its bytes should be there, so that there is something to delete."""

EXAMINED = DELETABLE | {CopyStatus.CORRUPT}
"""A copy that was found changed is looked at again when a person has seen to it."""

PACKAGE_COPIES = text(
    """
    select c.id, c.raw_data_file_id, c.data_location_id, c.path, c.size_bytes, c.status, c.checksum, c.verified_at,
      c.created_at, c.wanted, l.full_name, l.site, l.location_type, l.active
    from physical_copy c join data_location l on l.id = c.data_location_id
    where c.raw_data_package_id = :package
    order by c.id
    for no key update of c
    """
)

RAW_FILE_COPIES = text(
    """
    select c.id, c.raw_data_file_id, c.data_location_id, c.path, c.size_bytes, c.status, c.checksum, c.verified_at,
      c.created_at, c.wanted, l.full_name, l.site, l.location_type, l.active
    from raw_data_file f
    join physical_copy c on c.raw_data_file_id = f.id
    join data_location l on l.id = c.data_location_id
    where f.raw_data_package_id = :package and c.data_location_id = :here
    order by c.id
    for no key update of c
    """
)


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A PhysicalCopy with its place."""

    id: int
    raw_data_file_id: UUID | None
    data_location_id: int
    path: str
    size_bytes: int
    status: CopyStatus
    checksum: str | None
    verified_at: datetime | None
    created_at: datetime
    wanted: bool
    full_name: str
    site: str
    location_type: LocationType
    active: bool

    def counts_for(self, package: LockedPackage) -> bool:
        """Tell whether this is a verified archive copy of the package that is meant to stay."""
        return (
            self.location_type is LocationType.LONG_TERM_ARCHIVE
            and self.active
            and self.wanted
            and self.status is CopyStatus.PRESENT
            and self.verified_at is not None
            and self.checksum is not None
            and self.checksum == package.checksum
            and self.size_bytes == package.size_bytes
        )

    def was_verified_since(self, moment: datetime) -> bool:
        """Tell whether its bytes were read and right at `moment` or later."""
        return self.verified_at is not None and self.verified_at >= moment


@dataclass(frozen=True, kw_only=True)
class LockedCopies:
    """A package's copies while the lock is held."""

    here: tuple[Copy, ...]
    """At the location in question, those whose bytes are or may be there."""
    archives: tuple[Copy, ...]
    """In long-term archives elsewhere, whatever their state."""
    evidence: tuple[Copy, ...]
    """Those of the archives that count."""
    stale: tuple[Copy, ...]
    """Those that would count, had they been verified lately enough."""


def lock_copies(
    session: Session,
    package: LockedPackage,
    *,
    data_location_id: int,
    at_source: bool,
    verified_since: datetime | None = None,
) -> LockedCopies:
    """Lock the raw files' copies at this SOURCE location, if it is one, and all copies of the package, each by id.

    Archive copies count if they were verified at or after `verified_since` (None: at any time).
    """
    values = {"package": package.id, "here": data_location_id}
    raw_files = _copies(session.execute(RAW_FILE_COPIES, values).mappings()) if at_source else ()
    packages = _copies(session.execute(PACKAGE_COPIES, values).mappings())
    elsewhere = [copy for copy in packages if copy.data_location_id != data_location_id]
    archives = tuple(copy for copy in elsewhere if copy.location_type is LocationType.LONG_TERM_ARCHIVE)
    here = raw_files if at_source else [copy for copy in packages if copy.data_location_id == data_location_id]
    sound = [copy for copy in archives if copy.counts_for(package)]
    evidence = tuple(copy for copy in sound if verified_since is None or copy.was_verified_since(verified_since))
    return LockedCopies(
        here=tuple(copy for copy in here if copy.status in EXAMINED),
        archives=archives,
        evidence=evidence,
        stale=tuple(copy for copy in sound if copy not in evidence),
    )


def _copies(rows: object) -> tuple[Copy, ...]:
    return tuple(
        Copy(**(dict(row) | {"status": CopyStatus(row["status"]), "location_type": LocationType(row["location_type"])}))
        for row in rows  # type: ignore[attr-defined]
    )
