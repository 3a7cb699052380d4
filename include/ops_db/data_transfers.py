"""DataTransfers on their way: which packages have yet to arrive, and what has happened.

A package counts as arrived once unpacking recorded a verified copy of it at the destination after the transfer was
made. So a transfer that is sent back because of one bad package does not touch the others again, wherever they are by
then. One whose copy at the origin is corrupt or gone holds up nobody: the transfer is completed without it, and once it
is repaired it leaves with another bundle.
"""

from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, Row, TextClause, text
from sqlalchemy.orm import Session

from include.errors import BadInputError, PermanentError, TransientError
from include.ops_db.states import CopyStatus, WorkStatus

_BAD = frozenset({CopyStatus.CORRUPT, CopyStatus.MISSING, CopyStatus.DELETED})

ARRIVED = """
exists (select from physical_copy c where c.raw_data_package_id = m.raw_data_package_id
  and c.data_location_id = t.destination_location_id
  and c.status not in ('corrupt', 'missing') and c.verified_at >= t.created_at)
"""
"""Of a member `m` of the bundle of a transfer `t`."""

_TRANSFER = text(
    """
    select t.id, origin.full_name as origin, target.full_name as destination, t.origin_location_id,
      t.destination_location_id, t.transfer_status,
      t.unpacking_status,
      (select count(*) from operation o where o.data_transfer_id = t.id and o.kind = 'unpacking'
        and o.status = 'completed') as unpacked_before,
      not exists (select from data_transfer other where other.destination_location_id = t.destination_location_id
        and other.transferred_at >= date_trunc('day', now(), 'UTC')) as is_first_of_day
    from data_transfer t join data_location origin on origin.id = t.origin_location_id
    join data_location target on target.id = t.destination_location_id
    where t.id = :transfer
    """
)

_PACKAGES = text(
    f"""
    select p.id, p.name, p.path, p.size_bytes, p.checksum, p.block_bytes, p.block_checksums, m.frame_bytes,
      sent.status as status_at_origin, here.status as status_here
    from data_transfer t
    join data_transfer_package_member m on m.data_transfer_package_id = t.data_transfer_package_id
    join raw_data_package p on p.id = m.raw_data_package_id
    left join physical_copy sent on sent.raw_data_package_id = p.id and sent.data_location_id = t.origin_location_id
    left join physical_copy here on here.raw_data_package_id = p.id
      and here.data_location_id = t.destination_location_id
    where t.id = :transfer and not {ARRIVED}
    order by p.id
    """  # noqa: S608 - the same
)

_STILL_COMING = text(
    """
    select distinct p.name from raw_data_package p
    join data_transfer_package_member m on m.raw_data_package_id = p.id
    join data_transfer t on t.data_transfer_package_id = m.data_transfer_package_id
    where p.name = any(:names) and t.destination_location_id = :here
      and t.transfer_status not in ('failed', 'cancelled')
      and t.unpacking_status not in ('completed', 'failed', 'cancelled')
    """
)

_TRANSFERRED = text(
    """
    update data_transfer set transfer_status = 'completed', transferred_at = now()
    where id = :transfer and transfer_status = 'pending'
    """
)

_UNPACKED = text(
    """
    update data_transfer set unpacking_status = 'completed', unpacked_at = now()
    where id = :transfer and transfer_status = 'completed' and unpacking_status = 'pending'
    """
)

_SEND_BACK = text(
    """
    update data_transfer set transfer_status = 'pending', transferred_at = null
    where id = :transfer and transfer_status = 'completed' and unpacking_status = 'pending'
    """
)


@dataclass(frozen=True, kw_only=True)
class ExpectedPackage:
    """A package that has yet to arrive, with what a transfer must know of it. Sizes in bytes."""

    id: int
    name: str
    path: str
    size_bytes: int
    checksum: str
    block_bytes: int
    block_checksums: tuple[str, ...]
    frame_bytes: tuple[int, ...] | None
    """Of its compressed twin at the origin; None: it has none."""
    status_at_origin: CopyStatus | None
    status_here: CopyStatus | None
    """Of its copy at the destination; None: it never had one."""

    @property
    def is_bad_at_origin(self) -> bool:
        """Tell whether it cannot come: the copy there is known to be corrupt or gone."""
        return self.status_at_origin in _BAD


@dataclass(frozen=True, kw_only=True)
class TransferOnItsWay:
    """A DataTransfer and what is still to come of it."""

    id: int
    origin: str
    destination: str
    origin_location_id: int
    destination_location_id: int
    transfer_status: WorkStatus
    unpacking_status: WorkStatus
    unpacked_before: int
    """How often it was unpacked and sent back."""
    is_first_of_day: bool
    """No other one has ended at this destination since midnight (UTC)."""
    packages: tuple[ExpectedPackage, ...]
    """By id."""


def load_transfer(session: Session, data_transfer_id: int) -> TransferOnItsWay:
    """Return a transfer; two statements.

    Raises:
        BadInputError: there is none.
        PermanentError: a package in it was never made.
    """
    row = session.execute(_TRANSFER, {"transfer": data_transfer_id}).one_or_none()
    if row is None:
        raise BadInputError(f"There is no data_transfer {data_transfer_id} in ops-db.")
    packages = session.execute(_PACKAGES, {"transfer": data_transfer_id})
    return TransferOnItsWay(
        id=row.id,
        origin=row.origin,
        destination=row.destination,
        origin_location_id=row.origin_location_id,
        destination_location_id=row.destination_location_id,
        transfer_status=WorkStatus(row.transfer_status),
        unpacking_status=WorkStatus(row.unpacking_status),
        unpacked_before=row.unpacked_before,
        is_first_of_day=row.is_first_of_day,
        packages=tuple(_expected(package) for package in packages),
    )


def still_coming(session: Session, names: list[str], *, data_location_id: int) -> set[str]:
    """Return those of the packages that a transfer to this location, not over yet, is about."""
    return set(session.execute(_STILL_COMING, {"names": names, "here": data_location_id}).scalars())


def record_transferred(session: Session, data_transfer_id: int) -> None:
    """All packages that can come are at the destination. Raises TransientError if that was not what it waited for."""
    _change(session, _TRANSFERRED, data_transfer_id)


def record_unpacked(session: Session, data_transfer_id: int) -> None:
    """All packages that came are verified there. Raises TransientError if that was not what it waited for."""
    _change(session, _UNPACKED, data_transfer_id)


def send_back(session: Session, data_transfer_id: int) -> None:
    """Have what has not arrived sent again. Raises TransientError if it was not waiting for its unpacking."""
    _change(session, _SEND_BACK, data_transfer_id)


def _change(session: Session, statement: TextClause, data_transfer_id: int) -> None:
    changed = cast("CursorResult[Any]", session.execute(statement, {"transfer": data_transfer_id}))
    if changed.rowcount != 1:
        raise TransientError(f"Data transfer {data_transfer_id} was changed by somebody else meanwhile.")


def _expected(row: Row[Any]) -> ExpectedPackage:
    if None in (row.size_bytes, row.checksum, row.block_bytes, row.block_checksums):
        raise PermanentError(
            f"Package {row.name} is in a data transfer but was never made: `dts explain {row.name}` says what happened."
        )
    return ExpectedPackage(
        id=row.id,
        name=row.name,
        path=row.path,
        size_bytes=row.size_bytes,
        checksum=row.checksum,
        block_bytes=row.block_bytes,
        block_checksums=tuple(row.block_checksums),
        frame_bytes=None if row.frame_bytes is None else tuple(row.frame_bytes),
        status_at_origin=CopyStatus(row.status_at_origin) if row.status_at_origin else None,
        status_here=CopyStatus(row.status_here) if row.status_here else None,
    )
