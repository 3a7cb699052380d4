"""Scrubbing: copies in archives and buffers are read again where they lie, for disks forget without telling anybody.

**What it does.** `plan` wants an Operation for every copy that was last verified longer ago than policy says
(`scrub_after_days`), and at once for those that the deletion gate asks for. Not all in one night: a copy comes due on a
day of its own in the last quarter of that time, and what is late all the same (this DAG was paused) within a week.
`run` reads all bytes once and compares them with the package's checksum. What is right is verified as of the moment at
which reading began. What is wrong twice in a row is `corrupt`, what is not there is `missing`; archiving, bundling and
packaging then repair it from a good copy, and keep the bad bytes in `quarantine/` before they replace them.

**When it is safe to repeat.** Always: it only reads. A copy that changed in ops-db meanwhile is left as it is.

**When it fails.** The storage could not be read: it is tried again by itself. Bytes that are wrong do not fail a scrub:
its explanation says what was found, and `dts explain PACKAGE` how the repair goes.

**How to stop it.** Pause this DAG. Verifications grow old; once they are too old for the deletion gate, disks fill.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from include.errors import ChecksumMismatchError, MissingFileError, TransientError
from include.integrity.verify import checked_chunks
from include.lifecycle.package_lock import lock_package
from include.operations.decide import clock, sentence
from include.operations.planning import NewOperation, want
from include.operations.stage import Done, Planning, Work
from include.ops_db.states import CopyStatus
from include.topology import LocationType, OperationKind

KIND = OperationKind.SCRUBBING

COPIES_A_PLAN = 2000
SPREAD = 0.25
"""The part of the time between two scrubs over which copies that were verified together are spread."""
LATE_DAYS = 7
"""What is late is spread over a week."""

# By the package's number, which comes in turn: as many of them on one day as on any other.
DUE = text(
    """
    select c.id, c.size_bytes, p.name, coalesce(c.verified_at, c.created_at) as known_at
    from physical_copy c join raw_data_package p on p.id = c.raw_data_package_id
    where c.data_location_id = :here and c.raw_data_package_id is not null and c.status = 'present'
      and coalesce(c.verified_at, c.created_at) < :early and p.checksum is not null
      and (:today + c.raw_data_package_id)
        % case when coalesce(c.verified_at, c.created_at) < :late then :late_days else :days end = 0
      and not exists (
        select from operation o where o.physical_copy_id = c.id and o.kind = 'scrubbing'
          and o.status not in ('completed', 'cancelled'))
    order by coalesce(c.verified_at, c.created_at), c.id
    limit :most
    """
)

COPY = text(
    """
    select c.id, c.raw_data_package_id, c.path, c.status, c.verified_at, c.created_at, p.name, p.size_bytes, p.checksum,
      now() as read_at
    from physical_copy c join raw_data_package p on p.id = c.raw_data_package_id
    where c.id = :copy
    """
)

# Only the copy that was read: one that was deleted and came again, or was verified by others meanwhile, is another.
AS_IT_WAS = """
id = :copy and status = 'present' and verified_at is not distinct from :verified_at and created_at = :created_at
"""
RECORD_GOOD = text(f"update physical_copy set verified_at = :read_at, checksum = :checksum where {AS_IT_WAS}")  # noqa: S608 - a constant of this file
RECORD_BAD = text(f"update physical_copy set status = :status where {AS_IT_WAS}")  # noqa: S608 - the same

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Copy:
    """A package's copy as it stood in ops-db when reading began."""

    id: int
    raw_data_package_id: int
    path: str
    status: CopyStatus
    verified_at: datetime | None
    created_at: datetime
    name: str
    size_bytes: int
    checksum: str
    read_at: datetime


def plan(planning: Planning) -> None:
    """Want the copies here whose day it is."""
    age = timedelta(days=planning.topology.policy.scrub_after_days)
    days = max(1, round(age.days * SPREAD))
    values = {
        "here": planning.data_location_id,
        "early": planning.now - age * (1 - SPREAD),
        "late": planning.now - age,
        "today": planning.now.toordinal(),
        "days": days,
        "late_days": min(days, LATE_DAYS),
        "most": COPIES_A_PLAN,
    }
    where = planning.location.full_name
    operations = [
        NewOperation(
            subject_id=row.id,
            size_bytes=row.size_bytes,
            explanation=f"{row.name} at {where} was last verified at {clock(row.known_at)}; it is read again next.",
        )
        for row in planning.session.execute(DUE, values)
    ]
    want(planning.session, kind=KIND, data_location_id=planning.data_location_id, operations=operations)


def run(work: Work) -> Done:
    """Read one copy where it lies.

    Raises:
        TransientError: its bytes were wrong once and right the second time; or from the storage. Recording raises it
            if the copy changed in ops-db meanwhile.
        PermanentError: from the storage.
    """
    copy, where = _load(work), work.location.full_name
    if copy.status is not CopyStatus.PRESENT:
        return Done(explanation=f"Nothing was to be done: {copy.name} at {where} is {copy.status}.")
    try:
        _read_twice_if_wrong(work, copy)
    except ChecksumMismatchError as error:
        return _bad(work, copy, CopyStatus.CORRUPT, error)
    except MissingFileError as error:
        return _bad(work, copy, CopyStatus.MISSING, error)
    return Done(
        explanation=f"{copy.name} at {where}, {copy.size_bytes:,} bytes, was read again and is what it should be. It is"
        f" read again within {work.topology.policy.scrub_after_days} days.",
        size_bytes=copy.size_bytes,
        record=_recording(RECORD_GOOD, copy, {"read_at": copy.read_at, "checksum": copy.checksum}),
    )


def _load(work: Work) -> _Copy:
    with Session(work.engine) as session:
        row = session.execute(COPY, {"copy": work.lease.physical_copy_id}).mappings().one()
    return _Copy(**(dict(row) | {"status": CopyStatus(row["status"])}))


def _read_twice_if_wrong(work: Work, copy: _Copy) -> None:
    """Read a second time before a copy is called corrupt: a bit may flip on the way or in memory."""
    try:
        _read(work, copy)
    except ChecksumMismatchError:
        _read(work, copy)
        raise TransientError(
            f"{copy.path} in {work.location.full_name} came wrong once, and right when read again."
        ) from None


def _read(work: Work, copy: _Copy) -> None:
    chunks = work.storage_of(work.location.full_name).read(copy.path)
    what = f"{copy.path} in {work.location.full_name}"
    for _ in checked_chunks(chunks, what=what, size_bytes=copy.size_bytes, checksum=copy.checksum):
        work.check()


def _bad(work: Work, copy: _Copy, status: CopyStatus, error: Exception) -> Done:
    before = f"verified at {clock(copy.verified_at)}" if copy.verified_at else f"written at {clock(copy.created_at)}"
    found = f"{sentence(error)} It was {before}; now it is marked {status}, and no copy may go on its account."
    logger.error("%s", found)
    repair = (
        "It is repaired from a good copy next, by archiving here."
        if work.location.location_type is LocationType.LONG_TERM_ARCHIVE
        else "Where it is still needed, it comes again from a good copy."
    )
    return Done(explanation=f"{found} {repair}", record=_recording(RECORD_BAD, copy, {"status": status}))


def _recording(statement: Any, copy: _Copy, values: dict[str, object]) -> Callable[[Session], None]:
    seen = {"copy": copy.id, "verified_at": copy.verified_at, "created_at": copy.created_at}

    def record(session: Session) -> None:
        lock_package(session, copy.raw_data_package_id)
        if cast("CursorResult[Any]", session.execute(statement, seen | values)).rowcount != 1:
            raise TransientError(f"The copy of {copy.name} changed in ops-db while it was read; it is looked at again.")

    return record
