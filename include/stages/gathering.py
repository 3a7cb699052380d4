"""Gathering packages into bundles, and bundles' turns: the `plan` of `bundling.py`. Nothing is touched but ops-db."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import cast

from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session, aliased

from include.lifecycle.failover import Choice, destination
from include.operations.decide import clock
from include.operations.planning import NewOperation, want
from include.operations.stage import Planning
from include.ops_db.places import location_id
from include.ops_db.reservations import sweep
from include.ops_db.tables import DataLocation, DataTransferPackage, DataTransferPackageMember
from include.stages.leaving import Leaving, leaving
from include.stages.open_bundles import Bundle, open_bundles
from include.topology import OperationKind

# Bytes of bundles that wait for their transfer, or are being transferred.
AHEAD = text(
    """
    select target.full_name as destination, sum(p.size_bytes) as size_bytes
    from data_transfer t
    join data_location target on target.id = t.destination_location_id
    join data_transfer_package_member m on m.data_transfer_package_id = t.data_transfer_package_id
    join raw_data_package p on p.id = m.raw_data_package_id
    where t.origin_location_id = :here and t.transfer_status = 'pending'
    group by target.full_name
    """
)

BUNDLES_AHEAD = 4
"""Full bundles that are closed ahead of their transfer. More would wait in the order in which they were closed, and
what is urgent, or another instrument's, would find the queue behind the link full."""

SET_OUT = text(
    """
    update raw_data_package set state = 'transferring'
    where id = any(:package_ids) and state in ('waiting', 'archived')
    """
)

CLOSE_SOON = text(
    "update data_transfer_package set closes_at = :now where id = any(:ids) and state = 'open' and closes_at > :now"
)

DUE_AT_ONCE = text(
    """
    update operation set not_before = :now, explanation = :why
    where kind = 'bundling' and data_transfer_package_id = any(:ids) and status = 'pending' and not_before > :now
      and failure_count = 0
    """
)


def gather(planning: Planning) -> None:
    """Fill the open bundles of this buffer, open new ones, and want each of them closed in time."""
    sweep(planning.session, data_location_id=planning.data_location_id)
    leaving_from_here = list(leaving(planning))  # locks packages: before bundles, and bundles before operations
    sites = dict.fromkeys(site for departure in leaving_from_here for site in departure.sites)
    landing = {site: _landing(planning, site) for site in sites}
    bundles = open_bundles(planning)
    for departure in leaving_from_here:
        _fill(planning, bundles, departure, landing=landing)
    _write_members(planning.session, bundles)
    _want_closed(planning, bundles)


def _landing(planning: Planning, site: str) -> Choice:
    return destination(planning.session, planning.topology, origin=planning.location.full_name, site=site)


def _fill(planning: Planning, bundles: list[Bundle], departure: Leaving, *, landing: Mapping[str, Choice]) -> None:
    """Share the packages among bundles to the sites. What finds no bundle waits until a full one is closed."""
    if not departure.packages:
        return
    max_bytes = planning.topology.policy.bundle_max_bytes
    sites = _in_turn(planning, departure.sites) if departure.is_primary else departure.sites
    choices = [landing[site] for site in sites]
    choices = [choice for choice in choices if choice.is_well] or choices
    ahead = {row.destination: int(row.size_bytes) for row in planning.session.execute(AHEAD, _here(planning))}
    far_ahead = frozenset(place for place, size in ahead.items() if size >= BUNDLES_AHEAD * max_bytes)
    for package in departure.packages:
        fitting = (bundle for bundle in bundles if bundle.is_for(departure, package, landing=landing))
        if any(bundle.offer(package, max_bytes=max_bytes) for bundle in fitting):
            continue
        opened = _opened(planning, bundles, departure, choices=choices, urgent=package.is_urgent, far_ahead=far_ahead)
        if opened is None:
            if package.is_urgent:
                continue  # its bundle is just being closed; the others have bundles of their own
            return
        bundles.append(opened)
        opened.offer(package, max_bytes=max_bytes)


def _in_turn(planning: Planning, sites: tuple[str, ...]) -> tuple[str, ...]:
    """Archive sites, the one whose last primary bundle from this site is oldest first; never is older than all."""
    origin, target = aliased(DataLocation), aliased(DataLocation)
    last = planning.session.execute(
        select(target.site, func.max(DataTransferPackage.id).label("bundle_id"))
        .join(origin, origin.id == DataTransferPackage.origin_location_id)
        .join(target, target.id == DataTransferPackage.destination_location_id)
        .where(DataTransferPackage.is_primary, origin.site == planning.location.site)
        .group_by(target.site)
    )
    last_bundle = {row.site: row.bundle_id for row in last}
    return tuple(sorted(sites, key=lambda site: cast(int, last_bundle.get(site, 0))))


def _here(planning: Planning) -> dict[str, int]:
    return {"here": planning.data_location_id}


def _opened(
    planning: Planning,
    bundles: list[Bundle],
    departure: Leaving,
    *,
    choices: Sequence[Choice],
    urgent: bool,
    far_ahead: frozenset[str],
) -> Bundle | None:
    """Open a bundle to the first of the choices that has none open, and not too much on its way; None if all have."""
    for choice in choices:
        there = choice.buffer.full_name
        if any(bundle.destination == there and bundle.row_is_urgent == urgent for bundle in bundles):
            continue
        if there in far_ahead and not urgent:
            continue
        age = timedelta(seconds=0 if urgent else planning.topology.policy.bundle_max_age_seconds)
        row = DataTransferPackage(
            origin_location_id=planning.data_location_id,
            destination_location_id=location_id(planning.session, there),
            is_primary=departure.is_primary,
            is_urgent=urgent,
            closes_at=planning.now + age,
        )
        planning.session.add(row)
        planning.session.flush()
        return Bundle(
            row.id,
            there,
            choice.buffer.site,
            is_primary=departure.is_primary,
            closes_at=row.closes_at,
            is_urgent=urgent,
            row_is_urgent=urgent,
            why_not_another=choice.why_not_another,
        )
    return None


def _write_members(session: Session, bundles: list[Bundle]) -> None:
    members = [
        {"data_transfer_package_id": bundle.id, "raw_data_package_id": package.id}
        for bundle in bundles
        for package in bundle.added
    ]
    if members:
        session.execute(insert(DataTransferPackageMember), members)
        set_out = [package.id for bundle in bundles if bundle.is_primary for package in bundle.added]
        session.execute(SET_OUT, {"package_ids": set_out})


def _want_closed(planning: Planning, bundles: list[Bundle]) -> None:
    session, max_bytes = planning.session, planning.topology.policy.bundle_max_bytes
    closing = [(bundle.id, why) for bundle in bundles if (why := bundle.why_closed)]
    session.execute(CLOSE_SOON, {"ids": [bundle_id for bundle_id, _ in closing], "now": planning.now})
    for bundle_id, why in closing:
        session.execute(DUE_AT_ONCE, {"ids": [bundle_id], "now": planning.now, "why": why})
    want(
        session,
        kind=OperationKind.BUNDLING,
        data_location_id=planning.data_location_id,
        operations=[
            NewOperation(
                subject_id=bundle.id,
                not_before=planning.now if bundle.why_closed else bundle.closes_at,
                explanation=bundle.why_closed
                or f"Its bundle to {bundle.destination} is open until {clock(bundle.closes_at)},"
                f" or until it holds {max_bytes:,} bytes.{bundle.why_not_another}",
            )
            for bundle in bundles
            if not bundle.has_operation
        ],
    )
