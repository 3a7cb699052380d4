"""Which packages in a buffer must go to which site, and in which order. See `bundling.py`.

What overtakes comes first. Then instruments take turns by bytes: whichever has had the fewest of them is next, so that
the backlog of one does not delay the few packages of another; within an instrument the oldest is first.

Read twice: once to lock the packages, once more to see what others had done before the lock was had. Two buffers of one
site may both hold a package, and each has a lane of its own; without the second look both would send it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import Boolean, ColumnElement, Select, and_, exists, func, literal_column, or_, select, true
from sqlalchemy.orm import aliased

from include.operations.stage import Planning
from include.ops_db.states import BundleState, CopyStatus, PackageState, WorkStatus
from include.ops_db.tables import (
    DataLocation,
    DataTransfer,
    DataTransferPackage,
    DataTransferPackageMember,
    ExecutedObsUnit,
    PhysicalCopy,
    RawDataPackage,
)
from include.ops_db.urgency import URGENT_PACKAGES
from include.topology import LocationType

PACKAGES_A_PLAN = 2000
"""For each destination, in the order in which they leave; the rest comes with the next plan."""

NOT_COMING = (WorkStatus.FAILED, WorkStatus.CANCELLED)
NO_COPY = (CopyStatus.DELETED, CopyStatus.MISSING, CopyStatus.CORRUPT)

Wanted = Select[int, int | None, int, bool]
"""Ids and sizes of packages, their instrument, and whether they overtake."""

_IS_URGENT = literal_column(f"raw_data_package.id in ({URGENT_PACKAGES})", Boolean)

_SOURCE = aliased(DataLocation)
_TARGET = aliased(DataLocation)


@dataclass(frozen=True, slots=True)
class LeavingPackage:
    """A package that must go somewhere."""

    id: int
    size_bytes: int
    instrument_id: int = 0
    is_urgent: bool = False


@dataclass(frozen=True)
class Leaving:
    """Locked packages, in the order in which they leave, and the sites of which each goes to one."""

    sites: tuple[str, ...]
    packages: tuple[LeavingPackage, ...]
    is_primary: bool


def leaving(planning: Planning) -> Iterator[Leaving]:
    """Yield what must leave the buffer that is planned for, locked until the end of the transaction."""
    here, archive_sites = planning.location.site, planning.topology.archive_sites
    direct = planning.topology.direct_sites(planning.location.full_name)
    if here not in archive_sites and direct:
        return  # archives fetch everything from here, and from each other: `dts topology validate` sees to that
    if here not in archive_sites:
        yield Leaving(archive_sites, _locked(planning, _primary(planning)), is_primary=True)
        return
    for site in archive_sites:
        if site != here and site not in direct:
            yield Leaving((site,), _locked(planning, _secondary(planning, site)), is_primary=False)


def _locked(planning: Planning, wanted: Wanted) -> tuple[LeavingPackage, ...]:
    session = planning.session
    waiting = wanted.subquery()
    before = func.sum(waiting.c.size_bytes).over(
        partition_by=(waiting.c.instrument_id, waiting.c.is_urgent), order_by=waiting.c.id
    )
    turns = select(waiting.c.id, waiting.c.is_urgent, (before - waiting.c.size_bytes).label("before")).subquery()
    first = select(turns.c.id).order_by(turns.c.is_urgent.desc(), turns.c.before, turns.c.id).limit(PACKAGES_A_PLAN)
    lock = select(RawDataPackage.id).where(RawDataPackage.id.in_(first)).order_by(RawDataPackage.id)
    ids = list(session.scalars(lock.with_for_update(key_share=True, skip_locked=True, of=RawDataPackage)))
    if not ids:
        return ()
    still_wanted = session.execute(wanted.where(RawDataPackage.id.in_(ids)).order_by(RawDataPackage.id))
    packages = [LeavingPackage(row.id, row.size_bytes or 0, row.instrument_id, row.is_urgent) for row in still_wanted]
    return tuple(in_turns(packages))


def in_turns(packages: list[LeavingPackage]) -> list[LeavingPackage]:
    """Order packages, given by age: what overtakes first, then instruments in turn by the bytes that they had."""
    had: dict[tuple[bool, int], int] = defaultdict(int)
    turns: list[tuple[bool, int, int, LeavingPackage]] = []
    for package in packages:
        turns.append((not package.is_urgent, had[package.is_urgent, package.instrument_id], package.id, package))
        had[package.is_urgent, package.instrument_id] += package.size_bytes
    return [package for *_, package in sorted(turns, key=lambda turn: turn[:3])]


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
        select(
            RawDataPackage.id,
            RawDataPackage.size_bytes,
            ExecutedObsUnit.instrument_id,
            _IS_URGENT.label("is_urgent"),
        )
        .select_from(RawDataPackage)
        .join(ExecutedObsUnit, ExecutedObsUnit.id == RawDataPackage.executed_obs_unit_id)
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
