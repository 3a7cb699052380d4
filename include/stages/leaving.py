"""Which packages in a buffer must go to which site. See `bundling.py`.

Read twice: once to lock the packages, once more to see what others had done before the lock was had. Two buffers of one
site may both hold a package, and each has a lane of its own; without the second look both would send it.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select, true
from sqlalchemy.orm import aliased

from include.operations.stage import Planning
from include.ops_db.states import BundleState, CopyStatus, PackageState, WorkStatus
from include.ops_db.tables import (
    DataLocation,
    DataTransfer,
    DataTransferPackage,
    DataTransferPackageMember,
    PhysicalCopy,
    RawDataPackage,
)
from include.topology import LocationType

PACKAGES_A_PLAN = 2000
"""For each destination, the oldest first; the rest comes with the next plan."""

NOT_COMING = (WorkStatus.FAILED, WorkStatus.CANCELLED)
NO_COPY = (CopyStatus.DELETED, CopyStatus.MISSING, CopyStatus.CORRUPT)

Wanted = Select[int, int | None]
"""Ids and sizes of packages."""

_SOURCE = aliased(DataLocation)
_TARGET = aliased(DataLocation)


@dataclass(frozen=True, slots=True)
class LeavingPackage:
    """A package that must go somewhere."""

    id: int
    size_bytes: int


@dataclass(frozen=True)
class Leaving:
    """Locked packages, oldest first, and the sites of which each goes to one."""

    sites: tuple[str, ...]
    packages: tuple[LeavingPackage, ...]
    is_primary: bool


def leaving(planning: Planning) -> Iterator[Leaving]:
    """Yield what must leave the buffer that is planned for, locked until the end of the transaction."""
    here, archive_sites = planning.location.site, planning.topology.archive_sites
    if here not in archive_sites:
        yield Leaving(archive_sites, _locked(planning, _primary(planning)), is_primary=True)
        return
    for site in archive_sites:
        if site != here:
            yield Leaving((site,), _locked(planning, _secondary(planning, site)), is_primary=False)


def _locked(planning: Planning, wanted: Wanted) -> tuple[LeavingPackage, ...]:
    session = planning.session
    lock = wanted.order_by(RawDataPackage.id).limit(PACKAGES_A_PLAN)
    lock = lock.with_for_update(key_share=True, skip_locked=True, of=RawDataPackage)
    ids = [row.id for row in session.execute(lock)]
    if not ids:
        return ()
    still_wanted = session.execute(wanted.where(RawDataPackage.id.in_(ids)).order_by(RawDataPackage.id))
    return tuple(LeavingPackage(row.id, row.size_bytes or 0) for row in still_wanted)


def _primary(planning: Planning) -> Wanted:
    """Packages that are archived nowhere (any more), and on their way to no archive."""
    leaves = or_(
        RawDataPackage.state.in_((PackageState.WAITING, PackageState.TRANSFERRING)),
        and_(RawDataPackage.state == PackageState.ARCHIVED, ~_is_at(planning.topology.archive_sites)),
    )
    return _present(planning).where(leaves, ~_is_coming(true()))


def _secondary(planning: Planning, site: str) -> Wanted:
    """Packages that the primary transfer (or birth) brought here, and that `site` neither has nor is being sent."""
    return _present(planning).where(
        or_(_SOURCE.site == planning.location.site, _came_by_primary(planning)),
        ~_is_archived(site),
        ~_is_coming(_TARGET.site == site),
    )


def _present(planning: Planning) -> Wanted:
    """Packages of which this buffer holds a copy that was verified here, or made at this site."""
    return (
        select(RawDataPackage.id, RawDataPackage.size_bytes)
        .join(PhysicalCopy, PhysicalCopy.raw_data_package_id == RawDataPackage.id)
        .join(_SOURCE, _SOURCE.id == RawDataPackage.source_location_id)
        .where(
            PhysicalCopy.data_location_id == planning.data_location_id,
            PhysicalCopy.status == CopyStatus.PRESENT,
            or_(PhysicalCopy.verified_at.is_not(None), _SOURCE.site == planning.location.site),
            RawDataPackage.packaged_at.is_not(None),
        )
    )


def _is_coming(to: ColumnElement[bool]) -> ColumnElement[bool]:
    """Tell whether a package is in a bundle with such a target that is open, or whose transfer is not given up.

    One that is not there, though its transfer is over, is not coming any more: it was left out, because the copy at the
    origin was bad, or it was lost there before an archive had it, or since.
    """
    arrived = aliased(PhysicalCopy)
    is_lost = and_(
        DataTransfer.unpacking_status == WorkStatus.COMPLETED,
        ~exists(
            select(arrived.id).where(
                arrived.raw_data_package_id == RawDataPackage.id,
                arrived.data_location_id == DataTransferPackage.destination_location_id,
                arrived.status.not_in(NO_COPY),
            )
        ).correlate(RawDataPackage, DataTransferPackage),
    )
    return exists(
        select(DataTransferPackage.id)
        .join(DataTransferPackageMember, DataTransferPackageMember.data_transfer_package_id == DataTransferPackage.id)
        .join(_TARGET, _TARGET.id == DataTransferPackage.destination_location_id)
        .outerjoin(DataTransfer, DataTransfer.data_transfer_package_id == DataTransferPackage.id)
        .where(
            DataTransferPackageMember.raw_data_package_id == RawDataPackage.id,
            or_(
                DataTransferPackage.state == BundleState.OPEN,
                and_(DataTransfer.transfer_status.not_in(NOT_COMING), ~is_lost),
            ),
            to,
        )
        .correlate(RawDataPackage)
    )


def _came_by_primary(planning: Planning) -> ColumnElement[bool]:
    return exists(
        select(DataTransferPackage.id)
        .join(DataTransferPackageMember, DataTransferPackageMember.data_transfer_package_id == DataTransferPackage.id)
        .join(DataTransfer, DataTransfer.data_transfer_package_id == DataTransferPackage.id)
        .where(
            DataTransferPackageMember.raw_data_package_id == RawDataPackage.id,
            DataTransferPackage.is_primary,
            DataTransferPackage.destination_location_id == planning.data_location_id,
            DataTransfer.transfer_status == WorkStatus.COMPLETED,
            DataTransfer.unpacking_status == WorkStatus.COMPLETED,
        )
        .correlate(RawDataPackage)
    )


def _is_at(sites: Collection[str]) -> ColumnElement[bool]:
    """Tell whether a copy of the package, in a buffer or an archive, is at one of the sites."""
    copy, place = aliased(PhysicalCopy), aliased(DataLocation)
    return exists(
        select(copy.id)
        .join(place, place.id == copy.data_location_id)
        .where(
            copy.raw_data_package_id == RawDataPackage.id,
            copy.status.not_in(NO_COPY),
            place.site.in_(sites),
            place.location_type.in_((LocationType.BUFFER, LocationType.LONG_TERM_ARCHIVE)),
        )
        .correlate(RawDataPackage)
    )


def _is_archived(site: str) -> ColumnElement[bool]:
    copy, archive = aliased(PhysicalCopy), aliased(DataLocation)
    return exists(
        select(copy.id)
        .join(archive, archive.id == copy.data_location_id)
        .where(
            copy.raw_data_package_id == RawDataPackage.id,
            copy.status.not_in(NO_COPY),
            archive.site == site,
            archive.location_type == LocationType.LONG_TERM_ARCHIVE,
        )
        .correlate(RawDataPackage)
    )
