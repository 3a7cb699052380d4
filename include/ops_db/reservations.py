"""Space that running operations have reserved at a location: bytes that they have yet to write there.

A reservation counts while its operation is in progress under the same lease, and that lease has not run out. So one
that ends in any way, or whose worker dies, has released it; the row is swept away later.

Looking at a disk may mean asking a far server, so no lock is held meanwhile: `promises` is asked first, then the disk,
then `reserved_by_others`, under the lock. What counted at any moment in between counts: the disk may not show it yet.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from include.errors import TopologyError

LOCK = text("select pg_advisory_xact_lock(hashtext('space at location ' || :here))")

_IS_LIVE = """
exists (select from operation o where o.id = r.operation_id and o.lease_token = r.lease_token
  and o.status = 'in_progress' and o.lease_expires_at > now())
"""

SWEEP = text(
    f"delete from space_reservation r where r.data_location_id = :here and not {_IS_LIVE}"  # noqa: S608 - a constant
)

PROMISES = text(
    f"""
    select l.id, clock_timestamp() as asked_at, coalesce((select array_agg(r.operation_id) from space_reservation r
      where r.data_location_id = l.id and {_IS_LIVE}), '{{}}') as operations
    from data_location l where l.full_name = :full_name
    """  # noqa: S608 - the same
)

OTHERS = text(
    f"""
    select count(*) as operations, coalesce(sum(r.size_bytes), 0) as size_bytes from space_reservation r
    where r.data_location_id = :here and r.operation_id <> :operation_id
      and (r.reserved_at >= :asked_at or r.operation_id = any(:before) or {_IS_LIVE})
    """  # noqa: S608 - the same
)

RESERVE = text(
    """
    insert into space_reservation (operation_id, lease_token, data_location_id, size_bytes)
    values (:operation_id, :lease_token, :here, :size_bytes)
    on conflict (operation_id) do update set lease_token = excluded.lease_token,
      data_location_id = excluded.data_location_id, size_bytes = excluded.size_bytes, reserved_at = now()
    where space_reservation.lease_token <= excluded.lease_token
    """
)


RELEASE = text("delete from space_reservation where operation_id = :operation_id and lease_token = :lease_token")


SHRINK = text(
    """
    update space_reservation set size_bytes = least(size_bytes, :left)
    where operation_id = :operation_id and lease_token = :lease_token
    """
)


@dataclass(frozen=True, slots=True)
class Promises:
    """Which operations had room reserved at a location just before somebody looked at its disk."""

    data_location_id: int
    asked_at: datetime
    operations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reserved:
    """What others have reserved."""

    operations: int
    size_bytes: int


def promises(session: Session, full_name: str) -> Promises:
    """Return who has room reserved at a location; ask before looking at its disk.

    Raises:
        TopologyError: ops-db does not know the location.
    """
    row = session.execute(PROMISES, {"full_name": full_name}).one_or_none()
    if row is None:
        raise TopologyError(f"ops-db does not know the location {full_name}: run `dts topology apply` first.")
    return Promises(row.id, row.asked_at, tuple(row.operations))


def reserved_by_others(session: Session, *, operation_id: int, since: Promises) -> Reserved:
    """Return what other operations have yet to write at a location, or had when `since` was asked, before the disk.

    What is written meanwhile is thus counted twice rather than never. Nobody else reserves there until the commit.
    """
    here = {"here": since.data_location_id}
    session.execute(LOCK, here)
    asked = {"operation_id": operation_id, "asked_at": since.asked_at, "before": list(since.operations)}
    row = session.execute(OTHERS, here | asked).one()
    return Reserved(row.operations, int(row.size_bytes))


def reserve(session: Session, *, operation_id: int, lease_token: int, data_location_id: int, size_bytes: int) -> None:
    """Write a reservation, in the transaction of `reserved_by_others`; an operation has one at most."""
    session.execute(
        RESERVE,
        {
            "operation_id": operation_id,
            "lease_token": lease_token,
            "here": data_location_id,
            "size_bytes": size_bytes,
        },
    )


def shrink(session: Session, *, operation_id: int, lease_token: int, left_bytes: int) -> None:
    """Reserve no more than what is left to be written."""
    session.execute(SHRINK, {"operation_id": operation_id, "lease_token": lease_token, "left": left_bytes})


def release(session: Session, *, operation_id: int, lease_token: int) -> None:
    """Remove an operation's reservation, unless somebody else has the operation now."""
    session.execute(RELEASE, {"operation_id": operation_id, "lease_token": lease_token})


def sweep(session: Session, *, data_location_id: int) -> None:
    """Remove reservations at a location that do not count any more."""
    session.execute(SWEEP, {"here": data_location_id})
