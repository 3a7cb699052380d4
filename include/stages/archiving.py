"""Archiving: verified packages go from the site's buffer into its long-term archive.

**What it does.** `plan` wants an Operation for every package that has a verified copy in a buffer of this site and
none in this archive; also for one that was lost here or on its way here, is verified in another archive, and that no
buffer can send any more: that one is read straight from the other archive. Where a route says `moved_by: direct`,
packages come straight from the buffer or archive it names, over SFTP or S3, without a buffer of this site. What comes
from another site is held to the timetable of the route, or of another one between these sites. `run`
uploads it (S3 multipart, as many parts at once as the link gives; `dts explain` says why) while it
checks that what it reads is still what was verified, then reads the whole object back and compares its checksum. Only
then is the sidecar written (`<key without .tar>.json`: the manifest, where every file lies in the tar, and IVOA ObsCore
fields) and the copy recorded; with its first archive the package is `archived`.

**When it is safe to repeat.** Always. An object that is there already is read back, and uploaded again only if it is
wrong; it is copied to `quarantine/` before. An upload that was cut off goes on with the parts that the store has; give
the bucket a lifecycle rule that ends uploads which nobody completed for some weeks. After 30 minutes it hands back and
goes on in a later task.

**When it waits.** The archive is above its critical mark, if the topology gives it a `capacity_bytes`; the explanation
has the numbers. Or the copy it was to read is no longer what was verified: it is marked `corrupt` (or `missing`). The
package comes again by itself from where a good copy is, and is archived then.

**When it fails.** If the archive gives back other bytes
than it was sent, nothing is recorded and a person is called: look at the store, then `dts retry` the operation or
clear its task.

**How to stop it.** Pause this DAG. Packages wait in the buffer, where nothing is deleted before it is in the
archives.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

from include.lifecycle.package_lock import lock_package
from include.lifecycle.repair import lost_in_archive
from include.lifecycle.room import reserve_in_archive
from include.metadata.obscore import obscore_of
from include.metadata.sidecar import Sidecar, sidecar_key
from include.operations.planning import NewOperation, want
from include.operations.stage import Done, Planning, Work
from include.ops_db.copies import VerifiedCopy, record_verified
from include.stages.archivable import ArchivablePackage, direct_origins, load, waiting_packages
from include.stages.into_archive import put_into
from include.topology import OperationKind

KIND = OperationKind.ARCHIVING

MOST_A_PLAN = 2000

ARCHIVED = text(
    """
    update raw_data_package set state = 'archived', archived_at = coalesce(archived_at, now())
    where id = :package and state in ('waiting', 'transferring', 'failed')
    """
)


def plan(planning: Planning) -> None:
    """Want every package that is not in this archive: verified in a buffer of this site, or only in other archives."""
    here, archive = planning.data_location_id, planning.location.full_name
    direct = direct_origins(planning.topology, archive)
    operations = [
        NewOperation(
            subject_id=row.id,
            size_bytes=row.size_bytes,
            explanation=f"It is verified in {row.buffer} and waits to be archived at {archive}."
            if row.buffer not in direct
            else f"It is in {row.buffer}, and goes straight from there to {archive}.",
        )
        for row in waiting_packages(planning, direct=direct, most=MOST_A_PLAN)
    ]
    operations += [
        NewOperation(
            subject_id=row.id,
            size_bytes=row.size_bytes,
            explanation=f"It was lost, and no buffer can send it any more: it is repaired from {row.archive} next.",
        )
        for row in lost_in_archive(planning, most=MOST_A_PLAN)
    ]
    want(planning.session, kind=KIND, data_location_id=here, operations=operations)


def run(work: Work) -> Done:
    """Archive one package.

    Raises:
        WaitingError: no buffer of the site has a verified copy at the moment.
        FailedWith: a WaitingError, the copy that was to be read is damaged or gone.
        ChecksumMismatchError: the archive gives back other bytes than were sent.
        TransientError, NoSpaceError, PermanentError: from the storages.
    """
    package = load(work)
    if package.is_here:
        return Done(explanation=f"Nothing was to be done: {package.manifest.name} is in {work.location.full_name}.")
    archive = work.storage_of(work.location.full_name)
    reserve_in_archive(work, needed_bytes=package.manifest.size_bytes, what=package.manifest.name)
    put_there = put_into(work, package, archive)
    if not put_there.finished:
        return Done(explanation=f"{put_there.how} The rest comes next.", size_bytes=put_there.sent, unfinished=True)
    how = put_there.how
    sidecar = _sidecar(work, package).to_json()
    archive.write(sidecar_key(package.path), [sidecar], size_bytes=len(sidecar))
    return Done(
        explanation=f"{package.manifest.name}, {package.manifest.size_bytes:,} bytes, {how}, was read back and verified"
        " and has its sidecar. Copies elsewhere may go once enough archives have it.",
        size_bytes=package.manifest.size_bytes,
        record=lambda session: _record(session, package, data_location_id=work.lease.data_location_id),
    )


def _sidecar(work: Work, package: ArchivablePackage) -> Sidecar:
    assert work.location.storage.type == "s3"
    return Sidecar(
        executed_obs_unit=package.observation,
        instrument=package.instrument,
        instrument_module=package.instrument_module,
        number=package.number,
        key=package.path,
        obscore=obscore_of(
            package=package.manifest.name,
            observation=package.observation,
            instrument=package.instrument,
            started_at=package.started_at,
            finished_at=package.finished_at,
            size_bytes=package.manifest.size_bytes,
            bucket=work.location.storage.bucket,
            key=package.path,
        ),
        manifest=package.manifest,
    )


def _record(session: Session, package: ArchivablePackage, *, data_location_id: int) -> None:
    lock_package(session, package.id)
    copy = VerifiedCopy(
        raw_data_package_id=package.id,
        path=package.path,
        size_bytes=package.manifest.size_bytes,
        checksum=package.manifest.checksum,
    )
    record_verified(session, [copy], data_location_id=data_location_id)
    session.execute(ARCHIVED, {"package": package.id})
