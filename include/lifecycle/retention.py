"""Which packages at a location have outstayed their time: candidates for deletion, in one set-based question.

A candidate is worth an operation, no more: the gate asks everything again, under lock, just before the bytes go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, Row
from sqlalchemy.orm import Session

from include.lifecycle import retention_statements as statements
from include.lifecycle.copies import BEGUN, DELETABLE, EXAMINED
from include.ops_db.states import CopyStatus
from include.policy import Policy
from include.retention import Release
from include.topology import LocationType

PACKAGES_A_QUESTION = 20_000
"""So many are looked at together, to see whether they are too much for a location."""


def candidates(
    session: Session,
    *,
    data_location_id: int,
    policy: Policy,
    now: datetime,
    most: int,
    pressure: bool = False,
    with_operations: bool = False,
    with_held: bool = False,
) -> Sequence[Row[tuple[int, str, int, int, bool]]]:
    """Return (id, name, copies, size_bytes, begun) of packages that may probably go, the safest and oldest first.

    Under `pressure` those too whose time is not over and those that go by pressure only; never one in its grace period.
    Those whose deletion is planned already come only `with_operations`, what the brake holds back only `with_held`.
    """
    place = _place(session, data_location_id)
    values = {
        **_rules(session, place, policy=policy, now=now, pressure=pressure),
        "begun": list(BEGUN),
        "deletable": place.deletable,
        "now": now,
        "most": most,
        "with_operations": with_operations,
        "with_held": with_held,
    }
    statement = statements.CANDIDATES_AT_SOURCE if place.is_source else statements.CANDIDATES_ELSEWHERE
    return session.execute(statement, values).all()


def mark_deletion_possible(session: Session, *, data_location_id: int, policy: Policy, now: datetime, most: int) -> int:
    """Make raw files at a SOURCE deletion_possible once their package is out of the way; return how many.

    Out of the way: archived as policy says, or its tar in the site's buffer is gone. This is the first of their two
    steps; the second, by age or by pressure, is deletion. Locks the packages it takes, `most` of them, and notes of
    which packages no raw file is left, so that nobody looks for them again.
    """
    place = _place(session, data_location_id)
    session.execute(statements.GONE, {"here": place.id, "most": most})
    values = _rules(session, place, policy=policy, now=now, pressure=True)
    packages = list(session.execute(statements.FREED, {**values, "most": most}).scalars())
    if not packages:
        return 0
    session.execute(statements.FREE, {"packages": packages})
    marked = session.execute(statements.MARK, {"packages": packages, "here": place.id})
    return cast("CursorResult[Any]", marked).rowcount


def packages_here(
    session: Session, *, data_location_id: int, names: Sequence[str], most: int
) -> Sequence[Row[tuple[int, str, int, int]]]:
    """Return (id, name, copies, size_bytes) of the packages that hold something at a location; no names: of all."""
    place = _place(session, data_location_id)
    return session.execute(
        statements.PACKAGES_AT_SOURCE if place.is_source else statements.PACKAGES_ELSEWHERE,
        {
            "here": data_location_id,
            "deletable": place.deletable,
            "all_packages": not names,
            "names": list(names),
            "most": most,
        },
    ).all()


@dataclass(frozen=True, slots=True)
class _Place:
    id: int
    full_name: str
    location_type: LocationType

    @property
    def is_source(self) -> bool:
        return self.location_type is LocationType.SOURCE

    @property
    def deletable(self) -> list[CopyStatus]:
        """What may go; in a buffer what is damaged, too, once nobody needs it (unneeded.py)."""
        return list(EXAMINED if self.location_type is LocationType.BUFFER else DELETABLE)


def _place(session: Session, data_location_id: int) -> _Place:
    row = session.execute(statements.PLACE, {"here": data_location_id}).one()
    return _Place(data_location_id, row.full_name, LocationType(row.location_type))


def _rules(session: Session, place: _Place, *, policy: Policy, now: datetime, pressure: bool) -> dict[str, object]:
    """What the statements' rules are at a location: a row for each module of which anything may go."""
    modules, archived_before, made_before, copies, sites = [], [], [], [], []
    for module in session.execute(statements.MODULES):
        retention = policy.retention_at(
            location_type=place.location_type,
            full_name=place.full_name,
            instrument=module.instrument,
            module=module.module,
        )
        if retention.release is Release.BY_PRESSURE and not pressure:
            continue
        grace = timedelta(seconds=retention.grace_seconds)
        modules.append(module.id)
        archived_before.append(now - (grace if pressure else max(grace, timedelta(days=retention.keep_days))))
        made_before.append(now - timedelta(days=0 if pressure else retention.keep_days_after_filing))
        copies.append(retention.archive_copies)
        sites.append(retention.archive_sites)
    return {
        "here": place.id,
        "modules": modules,
        "archived_before": archived_before,
        "made_before": made_before,
        "copies_needed": copies,
        "sites_needed": sites,
    }
