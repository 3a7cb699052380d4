"""Where a package is, why, and what comes next: sentences from what is known, without a look at the database."""

from include.explain.packages import ExplainedPackage, Route
from include.operations.decide import clock
from include.ops_db.states import BundleState, PackageState, WorkStatus
from include.plurals import counted
from include.topology import LocationType, Policy

OVER = frozenset({WorkStatus.COMPLETED, WorkStatus.CANCELLED, WorkStatus.FAILED})


def where(package: ExplainedPackage) -> str:
    """Say at which locations its bytes are."""
    there = [copies for copies in package.copies if copies.is_there]
    if not there:
        return f"No copy of it is known anywhere; its files were filed at {package.source}."
    places = []
    for copies in there:
        things = "" if copies.is_package else f" ({copies.count} raw files)"
        checked = "verified" if copies.verified_count == copies.count else "not verified there"
        places.append(f"{copies.location}{things}, {checked}" if copies.is_package else f"{copies.location}{things}")
    return f"It is at {'; '.join(dict.fromkeys(places))}."


def what_comes_next(package: ExplainedPackage, policy: Policy) -> tuple[str, ...]:
    """Say why it is there and what comes next: what its live operations say, else what the next plan will find."""
    live = package.live_operations
    if live:
        return tuple(
            f"{operation.kind} at {operation.location} (operation {operation.id}, {operation.status}):"
            f" {operation.explanation}"
            for operation in live
        )
    return (_without_operations(package, policy),)


def _without_operations(package: ExplainedPackage, policy: Policy) -> str:
    if package.state is PackageState.FAILED and package.packaged_at is not None:
        return f"No good copy of it was left, nor its raw files at {package.source} as filed: it waits for a person."
    if package.state is PackageState.FAILED:
        return f"It could not be made from its files at {package.source}, and waits for a person."
    if package.packaged_at is None:
        return f"It is not made yet: the next plan of packaging at {package.source} takes it up."
    under_way = [route for route in package.routes if _is_under_way(route)]
    if under_way:
        return " ".join(_of_route(route) for route in under_way)
    if not any(copies.is_there and copies.is_package for copies in package.copies):
        return f"No good copy of it is known: the next plan of packaging at {package.source} makes it again."
    if package.state is not PackageState.ARCHIVED:
        return "The next plan of bundling or of archiving takes it up."
    return _of_archived(package, policy)


def _is_under_way(route: Route) -> bool:
    return route.bundle_state is BundleState.OPEN or route.unpacking_status not in OVER


def _of_route(route: Route) -> str:
    if route.bundle_state is BundleState.OPEN:
        closes = clock(route.closes_at)
        return f"It is in the open bundle {route.bundle_id} for {route.destination}, which closes at {closes}."
    if route.transfer_status is not WorkStatus.COMPLETED:
        named = f"Its transfer {route.transfer_id} to {route.destination}"
        return f"{named} is {route.transfer_status}; the next plan there takes it up."
    return (
        f"It arrived at {route.destination} and waits to be verified there (unpacking of transfer {route.transfer_id})."
    )


def _of_archived(package: ExplainedPackage, policy: Policy) -> str:
    safe = {copies.location: copies.site for copies in package.copies if copies.is_verified_archive}
    sites = len(set(safe.values()))
    if len(safe) < policy.archive_copies or sites < policy.archive_sites:
        has = (
            f"It has {counted(len(safe), 'verified archive copy')} at {counted(sites, 'site')}, and"
            f" {policy.archive_copies} at {policy.archive_sites} are asked for"
        )
        if safe and not any(
            copies.is_there and copies.location_type is LocationType.BUFFER for copies in package.copies
        ):
            return f"{has}: the next plan of archiving repairs the other from {min(safe)}."
        return f"{has}: the next plans of bundling, transfer and archiving make them."
    rest = sorted(
        {
            copies.location
            for copies in package.copies
            if copies.is_there and copies.location_type is not LocationType.LONG_TERM_ARCHIVE
        }
    )
    safety = f"It is safe: {counted(len(safe), 'verified archive copy')} at {counted(sites, 'site')}."
    if not rest:
        return f"{safety} Nothing is left to do."
    return f"{safety} Deletion removes it from {', '.join(rest)} once nothing keeps it there any more."
