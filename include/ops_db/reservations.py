"""Space that running operations have reserved at a location: bytes that they have yet to write there.

A reservation counts while its operation is in progress under the same lease, and that lease has not run out. So one
that ends in any way, or whose worker dies, has released it; the row is swept away later.
"""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

LOCK = text("select pg_advisory_xact_lock(hashtext('space at location ' || :here))")

_IS_LIVE = """
exists (select from operation o where o.id = r.operation_id and o.lease_token = r.lease_token
  and o.status = 'in_progress' and o.lease_expires_at > now())
"""

SWEEP = text(
    f"delete from space_reservation r where r.data_location_id = :here and not {_IS_LIVE}"  # noqa: S608 - a constant
)

OTHERS = text(
    f"""
    select count(*) as operations, coalesce(sum(r.size_bytes), 0) as size_bytes from space_reservation r
    where r.data_location_id = :here and r.operation_id <> :operation_id and {_IS_LIVE}
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


@dataclass(frozen=True, slots=True)
class Reserved:
    """What others have reserved."""

    operations: int
    size_bytes: int


def reserved_by_others(session: Session, *, operation_id: int, data_location_id: int) -> Reserved:
    """Return what other live operations have yet to write at a location; nobody reserves there until the commit.

    Look at the free space after this, not before: what is written meanwhile is then counted twice rather than never.
    """
    session.execute(LOCK, {"here": data_location_id})
    row = session.execute(OTHERS, {"here": data_location_id, "operation_id": operation_id}).one()
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


def sweep(session: Session, *, data_location_id: int) -> None:
    """Remove reservations at a location that do not count any more."""
    session.execute(SWEEP, {"here": data_location_id})
