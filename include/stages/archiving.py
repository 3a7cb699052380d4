"""Archiving: verified packages go from the site's buffer into its long-term archive.

**What it does.** `plan` wants an Operation for every package that has a verified copy in a buffer of this site and
none in this archive; also for one that was lost here or on its way here, is verified in another archive, and that no
buffer can send any more: that one is read straight from the other archive. Where a route says `moved_by: direct`,
packages come straight from the buffer or archive it names, over SFTP or S3, without a buffer of this site. `run`
uploads it (S3 multipart, several parts at once) while it
checks that what it reads is still what was verified, then reads the whole object back and compares its checksum. Only
then is the sidecar written (`<key without .tar>.json`: the manifest, where every file lies in the tar, and IVOA ObsCore
fields) and the copy recorded; with its first archive the package is `archived`.

**When it is safe to repeat.** Always. An object that is there already is read back, and uploaded again only if it is
wrong; it is copied to `quarantine/` before. An upload that was cut off goes on with the parts that the store has; give
the bucket a lifecycle rule that ends uploads which nobody completed for some weeks. After 30 minutes it hands back and
goes on in a later task.

**When it waits.** The copy it was to read is no longer what was verified: it is marked `corrupt` (or `missing`). The
package comes again by itself from where a good copy is, and is archived then.

**When it fails.** If the archive gives back other bytes
than it was sent, nothing is recorded and a person is called: look at the store, then `dts retry` the operation or
clear its task.

**How to stop it.** Pause this DAG. Packages wait in the buffer, where nothing is deleted before it is in the
archives.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from include.errors import (
    BadInputError,
    ChecksumMismatchError,
    DtsError,
    MissingFileError,
    TransientError,
    WaitingError,
)
from include.integrity.manifest import PackageManifest
from include.integrity.verify import checked_chunks
from include.lifecycle.package_lock import lock_package
from include.lifecycle.quarantine import put_aside
from include.lifecycle.repair import lost_in_archive, other_archive
from include.lifecycle.sources import ArchiveCopy, mark_bad
from include.metadata.obscore import obscore_of
from include.metadata.sidecar import Sidecar, sidecar_key
from include.operations.decide import sentence
from include.operations.planning import NewOperation, want
from include.operations.stage import Done, FailedWith, Planning, Work
from include.ops_db.copies import VerifiedCopy, record_loss, record_verified
from include.ops_db.manifests import load_manifest
from include.ops_db.states import CopyStatus
from include.storage.interface import Chunk, Storage
from include.storage.s3 import S3Storage
from include.topology import MovedBy, OperationKind, Topology
from include.transfer.blocks import Item
from include.transfer.pulled import DamagedOriginError, Origin
from include.transfer.to_s3 import parts_of, put

KIND = OperationKind.ARCHIVING

MOST_A_PLAN = 2000

# What was made at a site is not read back there: every block of it is compared while it is read for the archive.
VERIFIED_IN_BUFFER = """
c.raw_data_package_id = p.id and c.status = 'present' and c.checksum = p.checksum and l.active and (
  (l.site = :site and l.location_type = 'buffer' and c.verified_at is not null)
  or (l.full_name = any(:direct) and (c.verified_at is not null or exists (select from data_location made
    where made.id = p.source_location_id and made.site = l.site))))
"""

WAITING = text(
    f"""
    select p.id, p.size_bytes, min(l.full_name) as buffer
    from raw_data_package p, physical_copy c join data_location l on l.id = c.data_location_id
    where {VERIFIED_IN_BUFFER}
      and not exists (select from physical_copy here where here.raw_data_package_id = p.id
        and here.data_location_id = :here and here.status not in ('corrupt', 'missing'))
      and not exists (select from operation o where o.raw_data_package_id = p.id and o.kind = 'archiving'
        and o.data_location_id = :here and o.status not in ('completed', 'cancelled'))
    group by p.id, p.size_bytes order by p.id limit :most
    """  # noqa: S608 - put together from constants of this file
)

PACKAGE = text(
    """
    select p.id, p.path, p.number, p.executed_obs_unit_id, u.started_at, u.finished_at, i.name as instrument,
      m.name as instrument_module,
      exists (select from physical_copy here where here.raw_data_package_id = p.id and here.data_location_id = :here
        and here.status not in ('corrupt', 'missing')) as is_here
    from raw_data_package p
    join executed_obs_unit u on u.id = p.executed_obs_unit_id
    join instrument_module m on m.id = p.instrument_module_id
    join instrument i on i.id = m.instrument_id
    where p.id = :package
    """
)

SOURCE = text(
    f"""
    select c.data_location_id, c.path, l.full_name
    from raw_data_package p, physical_copy c join data_location l on l.id = c.data_location_id
    where p.id = :package and {VERIFIED_IN_BUFFER}
    order by l.site <> :site, l.priority, l.id limit 1
    """  # noqa: S608 - the same
)

ARCHIVED = text(
    """
    update raw_data_package set state = 'archived', archived_at = coalesce(archived_at, now())
    where id = :package and state in ('waiting', 'transferring', 'failed')
    """
)


@dataclass(frozen=True, kw_only=True)
class _Source:
    """A verified copy in a buffer of this site, or (`archived`) in another archive."""

    data_location_id: int | None = None
    archived: ArchiveCopy | None = None
    full_name: str
    path: str


@dataclass(frozen=True, kw_only=True)
class _Package:
    """What is to be archived, and from where."""

    id: int
    path: str
    number: int
    observation: UUID
    started_at: datetime
    finished_at: datetime | None
    instrument: str
    instrument_module: str
    is_here: bool
    manifest: PackageManifest
    source: _Source | None


@dataclass(frozen=True, slots=True)
class _Put:
    """How the object came into the archive, or, unfinished, how far it is: a sentence or the middle of one."""

    how: str
    sent: int = 0
    finished: bool = True


def plan(planning: Planning) -> None:
    """Want every package that is not in this archive: verified in a buffer of this site, or only in other archives."""
    here, archive = planning.data_location_id, planning.location.full_name
    direct = _direct_origins(planning.topology, archive)
    values = {"here": here, "site": planning.location.site, "direct": direct, "most": MOST_A_PLAN}
    rows = planning.session.execute(WAITING, values)
    operations = [
        NewOperation(
            subject_id=row.id,
            size_bytes=row.size_bytes,
            explanation=f"It is verified in {row.buffer} and waits to be archived at {archive}."
            if row.buffer not in direct
            else f"It is in {row.buffer}, and goes straight from there to {archive}.",
        )
        for row in rows
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


def _direct_origins(topology: Topology, archive: str) -> list[str]:
    """Full names of the locations from which packages come straight into this archive."""
    routes = (route for route in topology.routes if route.moved_by is MovedBy.DIRECT and route.to_location == archive)
    return [route.from_location for route in routes]


def run(work: Work) -> Done:
    """Archive one package.

    Raises:
        WaitingError: no buffer of the site has a verified copy at the moment.
        FailedWith: a WaitingError, the copy that was to be read is damaged or gone.
        ChecksumMismatchError: the archive gives back other bytes than were sent.
        TransientError, NoSpaceError, PermanentError: from the storages.
    """
    package = _load(work)
    if package.is_here:
        return Done(explanation=f"Nothing was to be done: {package.manifest.name} is in {work.location.full_name}.")
    archive = work.storage_of(work.location.full_name)
    put_there = _put(work, package, archive)
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


def _load(work: Work) -> _Package:
    package_id = work.lease.raw_data_package_id
    assert package_id is not None
    values = {
        "package": package_id,
        "here": work.lease.data_location_id,
        "site": work.location.site,
        "direct": _direct_origins(work.topology, work.location.full_name),
    }
    with Session(work.engine) as session:
        row = session.execute(PACKAGE, values).one_or_none()
        if row is None:
            raise BadInputError(f"There is no raw_data_package {package_id} in ops-db.")
        source = _source(session, work, values)
        manifest = load_manifest(session, package_id)
    return _Package(
        id=row.id,
        path=row.path,
        number=row.number,
        observation=row.executed_obs_unit_id,
        started_at=row.started_at,
        finished_at=row.finished_at,
        instrument=row.instrument,
        instrument_module=row.instrument_module,
        is_here=row.is_here,
        manifest=manifest,
        source=source,
    )


def _source(session: Session, work: Work, values: dict[str, Any]) -> _Source | None:
    """The copy in the site's buffer; another archive's if nobody can send the package."""
    found = session.execute(SOURCE, values).one_or_none()
    if found is not None:
        return _Source(data_location_id=found.data_location_id, full_name=found.full_name, path=found.path)
    copy = other_archive(session, raw_data_package_id=values["package"], at=work.location, topology=work.topology)
    return None if copy is None else _Source(archived=copy, full_name=copy.full_name, path=copy.path)


def _put(work: Work, package: _Package, archive: Storage) -> _Put:
    """Have the verified object in the archive; tell how it came there."""
    if _is_there(work, package, archive):
        return _Put(f"was in {work.location.full_name} already")
    if package.source is None:
        raise WaitingError(
            f"No buffer at {work.location.site} has a verified copy of {package.manifest.name}: it comes again from"
            " where a good copy is."
        )
    kept = put_aside(work, archive, package.path)
    item = Item(package.path, package.manifest)
    if isinstance(archive, S3Storage) and len(parts_of(item)) > 1:
        put_there = _put_by_parts(work, package, item, package.source, archive)
        if not put_there.finished:
            return put_there
    else:
        archive.write(package.path, _sent(work, package, package.source), size_bytes=package.manifest.size_bytes)
    _read_back(work, package, archive)
    aside = f" (what was in its place is kept as {kept})" if kept is not None else ""
    return _Put(f"went from {package.source.full_name} to {work.location.full_name}{aside}")


def _put_by_parts(work: Work, package: _Package, item: Item, source: _Source, archive: S3Storage) -> _Put:
    with _found_bad(work, package, source):
        done = put(
            item,
            origin=Origin(source.full_name, work.storage_of(source.full_name)),
            archive=archive,
            source_path=source.path,
            check=work.check,
        )
    return _Put(
        f"{done.bytes_sent + done.bytes_skipped:,} of {package.manifest.size_bytes:,} bytes of {package.manifest.name}"
        f" have come from {source.full_name}.",
        sent=done.bytes_sent,
        finished=done.finished,
    )


def _is_there(work: Work, package: _Package, archive: Storage) -> bool:
    """Tell whether an earlier attempt has put it there, or somebody before: believed only when it reads back right."""
    found = archive.stat(package.path)
    if found is None or found.size_bytes != package.manifest.size_bytes:
        return False
    try:
        _read_back(work, package, archive)
    except ChecksumMismatchError:
        return False
    return True


def _read_back(work: Work, package: _Package, archive: Storage) -> None:
    what = f"{package.path} in {work.location.full_name}, read back,"
    for _ in _checked(archive.read(package.path), package.manifest, what=what, check=work.check):
        pass


def _sent(work: Work, package: _Package, source: _Source) -> Iterator[Chunk]:
    """The package's bytes from the source; FailedWith, so that there is no object, if they are wrong or gone."""
    with _found_bad(work, package, source):
        yield from _read(work, package, source)


@contextmanager
def _found_bad(work: Work, package: _Package, source: _Source) -> Iterator[None]:
    """Mark the copy that is read if it is not what was verified."""
    then = f"{package.manifest.name} comes again from where a good copy is, and is archived then."
    try:
        yield
    except ChecksumMismatchError as error:
        if isinstance(error, DamagedOriginError):
            if error.missing:
                raise _gone(error, package, source, then) from error
        elif work.topology.location(source.full_name).site != work.location.site:
            _require_wrong_again(work, package, source)
        told = WaitingError(
            f"{sentence(error)} It was verified before, so this copy is damaged since, and is marked corrupt. {then}"
        )
        raise FailedWith(told, record=_loss(package, source, CopyStatus.CORRUPT)) from error
    except MissingFileError as error:
        raise _gone(error, package, source, then) from error


def _gone(error: DtsError, package: _Package, source: _Source, then: str) -> FailedWith:
    told = WaitingError(f"{sentence(error)} This copy was verified before; it is marked missing. {then}")
    return FailedWith(told, record=_loss(package, source, CopyStatus.MISSING))


def _read(work: Work, package: _Package, source: _Source) -> Iterator[Chunk]:
    what = f"{package.path} in {source.full_name}"
    read = work.storage_of(source.full_name).read(source.path)
    return _checked(read, package.manifest, what=what, check=work.check)


def _require_wrong_again(work: Work, package: _Package, source: _Source) -> None:
    """Read a second time before a far copy is called corrupt: a bit may flip on the long way."""
    try:
        for _ in _read(work, package, source):
            pass
    except ChecksumMismatchError:
        return
    raise TransientError(f"{package.path} came wrong from {source.full_name} once, and right when read again.")


def _checked(
    chunks: Iterable[Chunk], manifest: PackageManifest, *, what: str, check: Callable[[], None]
) -> Iterator[Chunk]:
    for chunk in checked_chunks(chunks, what=what, size_bytes=manifest.size_bytes, checksum=manifest.checksum):
        check()
        yield chunk


def _sidecar(work: Work, package: _Package) -> Sidecar:
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


def _record(session: Session, package: _Package, *, data_location_id: int) -> None:
    lock_package(session, package.id)
    copy = VerifiedCopy(
        raw_data_package_id=package.id,
        path=package.path,
        size_bytes=package.manifest.size_bytes,
        checksum=package.manifest.checksum,
    )
    record_verified(session, [copy], data_location_id=data_location_id)
    session.execute(ARCHIVED, {"package": package.id})


def _loss(package: _Package, source: _Source, status: CopyStatus) -> Callable[[Session], None]:
    def record(session: Session) -> None:
        if source.archived is not None:
            mark_bad(session, raw_data_package_id=package.id, copy=source.archived, status=status)
            return
        assert source.data_location_id is not None
        lock_package(session, package.id)
        record_loss(session, [package.id], data_location_id=source.data_location_id, status=status)

    return record
