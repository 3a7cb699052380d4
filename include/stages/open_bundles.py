"""Bundles that are open while a plan fills them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text

from include.lifecycle.failover import Choice
from include.operations.stage import Planning
from include.ops_db.urgency import URGENT_PACKAGES
from include.stages.leaving import Leaving, LeavingPackage

# The lock waits for a `run` that is just closing one; what it closed is no longer seen.
LOCK_OPEN_BUNDLES = text(
    """
    select id from data_transfer_package where origin_location_id = :here and state = 'open'
    order by id for no key update
    """
)

# Read after the lock. A bundle that is being closed takes nothing more, so that `run` can say what is in it.
OPEN_BUNDLES = text(
    f"""
    select b.id, target.full_name as destination, target.site, b.is_primary, b.is_urgent, b.closes_at,
      exists (select from data_transfer_package_member m where m.data_transfer_package_id = b.id
        and m.raw_data_package_id in ({URGENT_PACKAGES})) as holds_urgent,
      coalesce((select sum(p.size_bytes) from data_transfer_package_member m join raw_data_package p
        on p.id = m.raw_data_package_id where m.data_transfer_package_id = b.id), 0) as size_bytes,
      o.id is not null as has_operation, coalesce(o.status in ('pending', 'scheduled'), true) as takes_more
    from data_transfer_package b
    join data_location target on target.id = b.destination_location_id
    left join operation o on o.kind = 'bundling' and o.data_transfer_package_id = b.id
      and o.data_location_id = b.origin_location_id and o.status not in ('completed', 'cancelled')
    where b.id = any(:ids) and b.state = 'open'
    order by b.id
    """  # noqa: S608 - put together from constants
)


@dataclass
class Bundle:
    """An open bundle while a plan fills it."""

    id: int
    destination: str
    site: str
    is_primary: bool
    closes_at: datetime
    is_urgent: bool = False
    """It holds what overtakes, and is closed at once."""
    row_is_urgent: bool = False
    """It was opened for that: beside it, one for others may be open."""
    size_bytes: int = 0
    has_operation: bool = False
    takes_more: bool = True
    is_full: bool = False
    why_not_another: str = ""
    """Why it does not go to the buffer that comes first."""
    added: list[LeavingPackage] = field(default_factory=list)

    def is_for(self, departure: Leaving, package: LeavingPackage, *, landing: Mapping[str, Choice]) -> bool:
        """Tell whether such a package belongs into it, and it still takes any. Where nothing new lands, it does not."""
        lands_there = self.site in landing and landing[self.site].buffer.full_name == self.destination
        fits = lands_there and self.site in departure.sites and self.is_primary == departure.is_primary
        return fits and self.row_is_urgent == package.is_urgent and self.takes_more and not self.is_full

    @property
    def why_closed(self) -> str | None:
        """Why it is closed at once; None: it stays open."""
        if self.is_urgent:
            return f"Its bundle to {self.destination} holds what overtakes; it is closed next."
        return f"Its bundle to {self.destination} is full; it is closed next." if self.is_full else None

    def offer(self, package: LeavingPackage, *, max_bytes: int) -> bool:
        """Take the package if there is room; full is also who has no room for the next in line."""
        if self.size_bytes and self.size_bytes + package.size_bytes > max_bytes:
            self.is_full = True
            return False
        self.added.append(package)
        self.size_bytes += package.size_bytes
        self.is_full = self.size_bytes >= max_bytes
        return True


def open_bundles(planning: Planning) -> list[Bundle]:
    """Return the open bundles of this buffer, locked."""
    session, max_bytes = planning.session, planning.topology.policy.bundle_max_bytes
    ids = list(session.scalars(LOCK_OPEN_BUNDLES, {"here": planning.data_location_id}))
    return [
        Bundle(
            id=row.id,
            destination=row.destination,
            site=row.site,
            is_primary=row.is_primary,
            closes_at=row.closes_at,
            size_bytes=int(row.size_bytes),
            has_operation=row.has_operation,
            takes_more=row.takes_more,
            # What was flagged after it was put into a bundle of others does not wait with them.
            is_urgent=row.is_urgent or row.holds_urgent,
            row_is_urgent=row.is_urgent,
            is_full=row.size_bytes >= max_bytes,
        )
        for row in session.execute(OPEN_BUNDLES, {"ids": ids})
    ]
