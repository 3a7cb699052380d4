"""Room at a location: reserved before a byte is written, so that nothing fails halfway because of another."""

from collections.abc import Callable

from sqlalchemy.orm import Session

from include.errors import NoSpaceError, TransientError
from include.lifecycle.filling import when_full
from include.operations.patience import ask_again
from include.operations.stage import Work
from include.ops_db.measurements import how_full
from include.ops_db.reservations import Promises, Reserved, promises, release, reserve, reserved_by_others
from include.plurals import counted
from include.storage.interface import Space
from include.topology import DataLocation, S3Storage

RESERVE_BYTES = 1024**3
"""Stays free: for journals and folders, and for what of a transfer waits there for the rest of its block (spill.py).
Of a small disk no more than a twentieth."""


def reserve_room(
    work: Work, *, needed_bytes: int, what: str, space: Callable[[], Space | None], at: str | None = None
) -> None:
    """Reserve at a location (the operation's, unless `at` says another) what is yet to be written there, or wait.

    The disk is looked at, which may take a while, with no transaction open.

    Args:
        work: the operation; the reservation ends with its lease.
        needed_bytes: still to be written; 0 reserves nothing.
        what: who needs it, for the message.
        space: looks at the disk; None from a storage that knows no limit.
        at: full name of where it is written, if that is not the operation's location.

    Raises:
        NoSpaceError: there is not enough, or it is above its critical mark; with the numbers.
        TransientError: it is mounted read-only.
    """
    if not needed_bytes:
        return
    seconds = work.topology.host(work.host).lease_seconds
    place = work.topology.location(at or work.location.full_name)
    before = ask_again(lambda: _promises(work, place), seconds=seconds)
    now = space()
    if now is not None and now.is_read_only:
        raise TransientError(f"{place.full_name} is mounted read-only: nothing can be written there. Look at its disk.")
    ask_again(lambda: _reserve(work, needed_bytes, what=what, now=now, before=before, place=place), seconds=seconds)


def reserve_in_archive(work: Work, *, needed_bytes: int, what: str) -> None:
    """As `reserve_room`, at an archive: by the catalogue, which is counted every ten minutes, and the store's quota.

    An archive without one takes whatever comes.
    """
    storage = work.location.storage
    if not isinstance(storage, S3Storage) or storage.capacity_bytes is None:
        return
    capacity_bytes = storage.capacity_bytes

    def space() -> Space | None:
        with Session(work.engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
            known = how_full(session, full_name=work.location.full_name).get(work.location.full_name)
        if known is None or known.used_bytes is None:
            return None
        return Space(total_bytes=capacity_bytes, free_bytes=max(capacity_bytes - known.used_bytes, 0))

    reserve_room(work, needed_bytes=needed_bytes, what=what, space=space)


def release_room(work: Work) -> None:
    """Give back what the operation has reserved: it is written, and the disk shows it. Else its lease's end does."""
    ask_again(lambda: _release(work), seconds=work.topology.host(work.host).lease_seconds)


def _release(work: Work) -> None:
    with Session(work.engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
        release(session, operation_id=work.lease.operation_id, lease_token=work.lease.token)


def _promises(work: Work, place: DataLocation) -> Promises:
    with Session(work.engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
        return promises(session, place.full_name)


def _reserve(
    work: Work, needed_bytes: int, *, what: str, now: Space | None, before: Promises, place: DataLocation
) -> None:
    lease = work.lease
    with Session(work.engine) as session, session.begin():
        others = reserved_by_others(session, operation_id=lease.operation_id, since=before)
        if now is not None:
            _require(session, needed_bytes, what=what, now=now, others=others, place=place)
        reserve(
            session,
            operation_id=lease.operation_id,
            lease_token=lease.token,
            data_location_id=before.data_location_id,
            size_bytes=needed_bytes,
        )


def _require(
    session: Session, needed_bytes: int, *, what: str, now: Space, others: Reserved, place: DataLocation
) -> None:
    stays_free = min(RESERVE_BYTES, now.total_bytes // 20)
    critical = place.watermarks.critical
    is_critical = now.used_bytes + others.size_bytes >= critical * now.total_bytes
    if now.free_bytes - others.size_bytes >= needed_bytes + stays_free and not is_critical:
        return
    promised = (
        f"; {others.size_bytes:,} of them are reserved for what"
        f" {counted(others.operations, 'other operation')} will still write there"
        if others.operations
        else ""
    )
    above = f" It is above its critical mark ({critical:.0%}): nothing new goes there." if is_critical else ""
    known = how_full(session, full_name=place.full_name).get(place.full_name)
    raise NoSpaceError(
        f"{place.full_name} has {now.free_bytes:,} of {now.total_bytes:,} bytes free{promised}; {what}"
        f" needs {needed_bytes:,} more, and {stays_free:,} must stay free.{above}"
        f"{when_full(known)} Deletion makes room, or a person does."
    )
