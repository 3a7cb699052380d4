"""Room at a location: reserved before a byte is written, so that nothing fails halfway because of another."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from include.errors import NoSpaceError
from include.operations.patience import ask_again
from include.operations.stage import Work
from include.ops_db.reservations import reserve, reserved_by_others
from include.plurals import counted
from include.storage.interface import Space

RESERVE_BYTES = 1024**3
"""Stays free: for journals and folders, and for what of a transfer waits there for the rest of its block (spill.py)."""


@dataclass(frozen=True, slots=True)
class Place:
    """A location, by its full name and its id in ops-db."""

    full_name: str
    id: int


def reserve_room(
    work: Work, *, needed_bytes: int, what: str, space: Callable[[], Space | None], at: Place | None = None
) -> None:
    """Reserve at a location (the operation's, unless `at` says another) what is yet to be written there, or wait.

    Args:
        work: the operation; the reservation ends with its lease.
        needed_bytes: still to be written; 0 reserves nothing.
        what: who needs it, for the message.
        space: looks at the disk; None from a storage that knows no limit.
        at: where it is written, if that is not the operation's location.

    Raises:
        NoSpaceError: there is not enough, with the numbers.
    """
    if needed_bytes:
        seconds = work.topology.host(work.host).lease_seconds
        place = at or Place(work.location.full_name, work.lease.data_location_id)
        ask_again(lambda: _reserve(work, needed_bytes=needed_bytes, what=what, space=space, at=place), seconds=seconds)


def _reserve(work: Work, *, needed_bytes: int, what: str, space: Callable[[], Space | None], at: Place) -> None:
    lease = work.lease
    with Session(work.engine) as session, session.begin():
        others = reserved_by_others(session, operation_id=lease.operation_id, data_location_id=at.id)
        now = space()
        if now is not None and now.free_bytes - others.size_bytes < needed_bytes + RESERVE_BYTES:
            promised = (
                f"; {others.size_bytes:,} of them are reserved for what"
                f" {counted(others.operations, 'other operation')} will still write there"
                if others.operations
                else ""
            )
            raise NoSpaceError(
                f"{at.full_name} has {now.free_bytes:,} of {now.total_bytes:,} bytes free{promised}; {what}"
                f" needs {needed_bytes:,} more, and {RESERVE_BYTES:,} must stay free."
                " Deletion makes room, or a person does."
            )
        reserve(
            session,
            operation_id=lease.operation_id,
            lease_token=lease.token,
            data_location_id=at.id,
            size_bytes=needed_bytes,
        )
