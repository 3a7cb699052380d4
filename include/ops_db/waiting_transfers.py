"""DataTransfers that wait: for an operation at a location, or for a task that goes on with the next of its route."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from include.ops_db.data_transfers import ARRIVED
from include.topology import OperationKind

MOST_A_PLAN = 2000


def _waiting(condition: str, *, lane: str) -> TextClause:
    return text(
        f"""
        with waiting as (
          select t.* from data_transfer t
          join data_location sender on sender.id = t.origin_location_id
          join data_location receiver on receiver.id = t.destination_location_id
          where {lane} and {condition}
            and not exists (select from operation o where o.data_transfer_id = t.id and o.kind = :kind
              and (o.data_location_id = :here and o.status not in ('completed', 'cancelled')
                or o.status in ('scheduled', 'in_progress')))
          order by t.id limit :most
        )
        select t.id, origin.full_name as origin, target.full_name as destination, count(p.id) as package_count,
          coalesce(sum(p.size_bytes), 0) as size_bytes
        from waiting t
        join data_location origin on origin.id = t.origin_location_id
        join data_location target on target.id = t.destination_location_id
        left join data_transfer_package_member m
          on m.data_transfer_package_id = t.data_transfer_package_id and not {ARRIVED}
        left join raw_data_package p on p.id = m.raw_data_package_id
        group by t.id, origin.full_name, target.full_name order by t.id
        """  # noqa: S608 - put together from constants
    )


# The lane of the destination does what is pulled; the origin's what it pushes. If the route was turned round, only what
# the other lane is at work on is waited for: the rest may have no worker any more, or have failed for good.
_TO_TRANSFER = _waiting(
    "t.transfer_status = 'pending'",
    lane="""((t.destination_location_id = :here and sender.full_name <> all(:pushed_to_here))
            or (t.origin_location_id = :here and receiver.full_name = any(:pushed_from_here)))""",
)
_TO_UNPACK = _waiting(
    "t.transfer_status = 'completed' and t.unpacking_status = 'pending'", lane="t.destination_location_id = :here"
)

# The next one of the same route that nobody has taken up.
_NEXT_OF_ROUTE = text(
    """
    select o.id from operation o
    join data_transfer t on t.id = o.data_transfer_id
    join operation done on done.id = :operation
    join data_transfer before on before.id = done.data_transfer_id
    where o.kind = 'transfer' and o.data_location_id = done.data_location_id and o.status = 'pending'
      and (o.not_before is null or o.not_before <= now())
      and (t.origin_location_id, t.destination_location_id)
        = (before.origin_location_id, before.destination_location_id)
    order by o.priority desc, o.id limit 1
    """
)


@dataclass(frozen=True, kw_only=True)
class WaitingTransfer:
    """A DataTransfer without an operation; count and size (bytes) of the packages that have yet to arrive."""

    id: int
    origin: str
    destination: str
    package_count: int
    size_bytes: int


def waiting_transfers(
    session: Session,
    *,
    kind: OperationKind,
    data_location_id: int,
    pushed_from_here: Sequence[str] = (),
    pushed_to_here: Sequence[str] = (),
) -> list[WaitingTransfer]:
    """Return what waits for an operation of `kind` (transfer or unpacking) in a location's lane, oldest first.

    `pushed_from_here` and `pushed_to_here` name the other ends of routes whose origin does the transfer.
    """
    statement = _TO_TRANSFER if kind is OperationKind.TRANSFER else _TO_UNPACK
    values: dict[str, object] = {"here": data_location_id, "kind": kind, "most": MOST_A_PLAN}
    if kind is OperationKind.TRANSFER:
        values |= {"pushed_from_here": list(pushed_from_here), "pushed_to_here": list(pushed_to_here)}
    return [
        WaitingTransfer(
            id=row.id,
            origin=row.origin,
            destination=row.destination,
            package_count=row.package_count,
            size_bytes=int(row.size_bytes),
        )
        for row in session.execute(statement, values)
    ]


def next_of_route(session: Session, operation_id: int) -> int | None:
    """Return the due pending transfer operation of the same route that comes first, None if there is none."""
    return session.scalars(_NEXT_OF_ROUTE, {"operation": operation_id}).one_or_none()
