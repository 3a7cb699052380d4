"""The lock that everybody takes who changes the state of a package's copies, and the gate: the package's own row.

Locking only the copies would allow write skew: two deletions, each of another copy, would each see the other's copy
as the one that stays. Rows come back as plain rows, never as mapped objects: a session might have read those before it
had the lock.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from include.errors import BadInputError
from include.ops_db.states import CopyStatus, PackageState

LOCK_PACKAGE = text(
    """
    select p.id, p.name, p.executed_obs_unit_id, i.name as instrument, m.name as module, p.state, p.source_location_id,
      p.file_count, p.content_bytes, p.size_bytes, p.checksum, p.created_at, p.packaged_at, p.archived_at,
      current_setting('transaction_isolation') as isolation
    from raw_data_package p join instrument_module m on m.id = p.instrument_module_id
    join instrument i on i.id = m.instrument_id
    where p.id = :package
    for no key update of p
    """
)

LOCK_PACKAGES = text("select id from raw_data_package where id = any(:packages) order by id for no key update")

CHANGE_COPIES = text(
    """
    update physical_copy set status = cast(:status as text), wanted = :wanted,
      deleted_at = case when cast(:status as text) = 'deleted' then now() end
    where id = any(:copies) and status = any(:from_statuses)
    """
)


@dataclass(frozen=True, kw_only=True)
class LockedPackage:
    """A package as it is while its lock is held."""

    id: int
    name: str
    executed_obs_unit_id: UUID
    instrument: str
    module: str
    state: PackageState
    source_location_id: int
    file_count: int
    content_bytes: int
    size_bytes: int | None
    checksum: str | None
    created_at: datetime
    """When it was cut from what was filed."""
    packaged_at: datetime | None
    archived_at: datetime | None


def lock_package(session: Session, raw_data_package_id: int) -> LockedPackage:
    """Lock a package until the end of the transaction; what is read after this is the newest that was committed.

    Raises:
        BadInputError: there is no such package.
        RuntimeError: the transaction would go on seeing what was before the lock.
    """
    row = session.execute(LOCK_PACKAGE, {"package": raw_data_package_id}).one_or_none()
    if row is None:
        raise BadInputError(f"There is no raw_data_package {raw_data_package_id} in ops-db.")
    if row.isolation != "read committed":
        raise RuntimeError(f"a lock on a package means nothing in a transaction that is {row.isolation}")
    values = {name: value for name, value in row._mapping.items() if name != "isolation"}  # noqa: SLF001 - its public name
    return LockedPackage(**(values | {"state": PackageState(row.state)}))


def lock_packages(session: Session, raw_data_package_ids: Collection[int]) -> None:
    """Lock several packages, in the order in which everybody does."""
    session.execute(LOCK_PACKAGES, {"packages": list(raw_data_package_ids)})


def change_copies(
    session: Session, *, copies: Sequence[int], to: CopyStatus, was: Collection[CopyStatus], wanted: bool
) -> int:
    """Give those copies of a locked package that still have a status in `was` another one; return how many."""
    if not copies:
        return 0
    values: dict[str, Any] = {"copies": sorted(copies), "status": to, "from_statuses": list(was), "wanted": wanted}
    return cast("CursorResult[Any]", session.execute(CHANGE_COPIES, values)).rowcount
