"""Staging: archived packages are brought to a PROCESSING location and unpacked there, for a while.

**What it does.** A StagingJob asks for packages at a location until a date. `plan` wants an operation for each package
of an active job that is not there, and closes jobs whose date has come: deletion may then remove their files. `run`
reads the package from the nearest archive that has a verified copy (the location's own site first, then by priority),
compares every block and every file with the manifest, and gives each file its name under
`{instrument}/{observation}/` only once its checksum matched. Until all are there the copy is `deletion_possible`: if
the job ends before, deletion takes away what came; then it is `staged`.

**When it is safe to repeat.** Always: files are written anew under other names and replace the old ones at once. What
a killed attempt left behind are `.part` files, which a later staging or deletion in the same folder sweeps away.

**When it waits.** There is no room (the explanation has the numbers), or its files are being deleted there just now. A
package that no archive has yet has no operation: `dts staging show` says so.

**When it fails.** A copy in an archive that is not what it was, read twice, is marked `corrupt`, and the next verified
one is used in the same attempt; only if none is good the operation fails, and names them all.

**How to stop it.** Pause this DAG: jobs wait.
"""

import time
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from include.errors import NoSpaceError, TransientError, WaitingError, WrongHostError
from include.lifecycle.extraction import Order, extract_first_good
from include.lifecycle.leftovers import sweep_parts
from include.lifecycle.package_lock import lock_package
from include.lifecycle.room import reserve_room
from include.lifecycle.sources import nearest_first
from include.lifecycle.staging_jobs import expire_jobs
from include.operations.patience import ask_again
from include.operations.planning import NewOperation, want
from include.operations.stage import Done, Planning, Work
from include.ops_db.manifests import load_manifest
from include.ops_db.states import CopyStatus
from include.storage.disk import DiskStorage
from include.topology import OperationKind

KIND = OperationKind.STAGING

PACKAGES_A_PLAN = 2000

WANTED = text(
    """
    select p.id, p.name, p.content_bytes, max(j.until) as until, min(j.requested_by) as requested_by
    from staging_job j
    join staging_job_package m on m.staging_job_id = j.id
    join raw_data_package p on p.id = m.raw_data_package_id
    where j.data_location_id = :here and j.state = 'active' and j.until > :now
      and not exists (
        select from physical_copy c
        where c.raw_data_package_id = p.id and c.data_location_id = :here and c.status = 'staged')
      and exists (
        select from physical_copy c join data_location l on l.id = c.data_location_id
        where c.raw_data_package_id = p.id and l.location_type = 'long_term_archive' and l.active
          and c.status = 'present' and c.verified_at is not null and c.checksum = p.checksum)
      and not exists (
        select from operation o
        where o.kind = 'staging' and o.data_location_id = :here and o.raw_data_package_id = p.id
          and o.status not in ('completed', 'cancelled'))
    group by p.id, p.name, p.content_bytes
    order by min(j.id), p.id
    limit :most
    """
)

ORDER = text(
    """
    select p.name, i.name || '/' || o.id as folder, p.content_bytes, (
        select max(j.until) from staging_job j join staging_job_package m on m.staging_job_id = j.id
        where m.raw_data_package_id = p.id and j.data_location_id = :here and j.state = 'active' and j.until > now()
      ) as until,
      (select c.status from physical_copy c
       where c.raw_data_package_id = p.id and c.data_location_id = :here) as status,
      exists (
        select from operation d
        where d.kind = 'deletion' and d.data_location_id = :here and d.raw_data_package_id = p.id
          and d.status = 'in_progress') as deleting
    from raw_data_package p
    join executed_obs_unit o on o.id = p.executed_obs_unit_id
    join instrument i on i.id = o.instrument_id
    where p.id = :package
    """
)

# Files come before their copy is `staged`. Without this row nobody would know of them if the job ended in between.
RECORD_BEGUN = text(
    """
    insert into physical_copy (raw_data_package_id, data_location_id, path, size_bytes, status)
    values (:package, :here, :path, :size_bytes, 'deletion_possible')
    on conflict (raw_data_package_id, data_location_id) do update set
      path = excluded.path, size_bytes = excluded.size_bytes, status = 'deletion_possible', wanted = true,
      checksum = null, verified_at = null, deleted_at = null
    """
)

# Nobody else changes it meanwhile: the gate sees that this operation is at work.
RECORD_STAGED = text(
    """
    update physical_copy set status = 'staged', checksum = :checksum, verified_at = clock_timestamp(), wanted = true
    where raw_data_package_id = :package and data_location_id = :here and status = 'deletion_possible'
    """
)


def plan(planning: Planning) -> None:
    """Close jobs that are over; want an operation for each package of an active job that is not staged here."""
    expire_jobs(planning.session, data_location_id=planning.data_location_id, now=planning.now)
    values = {"here": planning.data_location_id, "now": planning.now, "most": PACKAGES_A_PLAN}
    want(
        planning.session,
        kind=KIND,
        data_location_id=planning.data_location_id,
        operations=[
            NewOperation(
                subject_id=row.id,
                explanation=f"{row.requested_by} wants {row.name} at {planning.location.full_name} until"
                f" {_clock(row.until)}; it is read from the nearest archive next.",
                size_bytes=row.content_bytes,
            )
            for row in planning.session.execute(WANTED, values)
        ],
    )


def run(work: Work) -> Done:
    """Extract one package from the first archive copy that is good.

    Raises:
        WaitingError: its files are being deleted here, or no archive has a verified copy.
        NoSpaceError: the location has not enough room.
        IntegrityError: no archive copy is what it should be.
        TransientError: no good copy could be read now.
    """
    seconds = work.topology.host(work.host).lease_seconds
    order = ask_again(lambda: _order(work), seconds=seconds)
    if isinstance(order, Done):
        return order
    storage = work.storage_of(work.location.full_name)
    if not isinstance(storage, DiskStorage):
        raise WrongHostError(
            f"{work.host} does not reach {work.location.full_name} as a folder, so it cannot stage there."
        )
    _reserve_room(work, order, storage)
    # Not before there is room: the row would tell of files that are not there.
    order = ask_again(lambda: _order(work, begin=True), seconds=seconds)
    if isinstance(order, Done):
        return order
    folders = {f"{order.folder}/{member.path}".rpartition("/")[0] for member in order.manifest.members}
    sweep_parts(storage, folders)
    started = time.monotonic()
    copy, troubles = extract_first_good(work, order, storage)
    storage.flush()
    took = time.monotonic() - started
    bad = f" Not good were: {' '.join(troubles)}" if troubles else ""
    return Done(
        explanation=f"{len(order.manifest.members)} files of {order.package} with {order.content_bytes} bytes were read"
        f" from {copy.full_name}, verified and put under {order.folder} in {took:.1f} seconds; they stay until"
        f" {_clock(order.until)}.{bad}",
        size_bytes=order.manifest.size_bytes,
        record=lambda session: _record(session, work, order),
    )


def _order(work: Work, *, begin: bool = False) -> Order | Done:
    """Look whether it is still wanted and may be brought now; with `begin`, write that its files begin to come."""
    package_id = _package_id(work)
    with Session(work.engine) as session, session.begin():
        # The deletion gate takes this lock too: it either sees that we are at work, or we see what it decided.
        lock_package(session, package_id)
        row = session.execute(ORDER, {"package": package_id, "here": work.lease.data_location_id}).one()
        where = work.location.full_name
        if row.until is None:
            return Done(explanation=f"No active staging job wants {row.name} at {where} any more; nothing was done.")
        if row.status == CopyStatus.STAGED:
            return Done(explanation=f"{row.name} is staged at {where} already; nothing was done.")
        if row.status == CopyStatus.DELETION_IN_PROGRESS and row.deleting:
            raise WaitingError(f"{row.name} is being deleted at {where} just now; it is staged anew afterwards.")
        copies = nearest_first(session, raw_data_package_id=package_id, site=work.location.site)
        if not copies:
            raise WaitingError(f"No archive has a verified copy of {row.name} now: one must be repaired first.")
        order = Order(
            package=row.name,
            package_id=package_id,
            folder=row.folder,
            until=row.until,
            manifest=load_manifest(session, package_id),
            copies=copies,
        )
        if begin:
            begun = {"path": order.folder, "size_bytes": order.content_bytes}
            session.execute(RECORD_BEGUN, {"package": package_id, "here": work.lease.data_location_id} | begun)
        return order


def _reserve_room(work: Work, order: Order, storage: DiskStorage) -> None:
    """Reserve room for all of it; where that is not to be had, for what is not there yet."""
    try:
        reserve_room(work, needed_bytes=order.content_bytes, what=order.package, space=storage.space)
    except NoSpaceError:
        missing = _missing_bytes(order, storage)
        if missing >= order.content_bytes:
            raise
        reserve_room(work, needed_bytes=missing, what=order.package, space=storage.space)


def _missing_bytes(order: Order, storage: DiskStorage) -> int:
    """Count only what is not there yet, and that a file is replaced while its predecessor still takes its room."""
    missing, largest = 0, 0
    for member in order.manifest.members:
        found = storage.stat(f"{order.folder}/{member.path}")
        missing += max(member.size_bytes - (found.size_bytes if found else 0), 0)
        largest = max(largest, member.size_bytes)
    return missing + largest


def _record(session: Session, work: Work, order: Order) -> None:
    lock_package(session, order.package_id)
    values = {
        "package": order.package_id,
        "here": work.lease.data_location_id,
        "checksum": order.manifest.checksum,
    }
    if cast("CursorResult[Any]", session.execute(RECORD_STAGED, values)).rowcount != 1:
        raise TransientError(f"The copy of {order.package} at {work.location.full_name} changed while it was staged.")


def _package_id(work: Work) -> int:
    assert work.lease.raw_data_package_id is not None
    return work.lease.raw_data_package_id


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
