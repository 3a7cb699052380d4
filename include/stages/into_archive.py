"""Bringing a package into a long-term archive: read while it is compared, sent, and read back. See `archiving.py`."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.orm import Session

from include.errors import ChecksumMismatchError, DtsError, MissingFileError, TransientError, WaitingError
from include.integrity.manifest import PackageManifest
from include.integrity.verify import checked_chunks
from include.lifecycle.paced import PacedReads, paced_reads
from include.lifecycle.package_lock import lock_package
from include.lifecycle.quarantine import put_aside
from include.lifecycle.sources import mark_bad
from include.operations.decide import sentence
from include.operations.stage import FailedWith, Work
from include.ops_db.copies import record_loss
from include.ops_db.states import CopyStatus
from include.stages.archivable import ArchivablePackage, PackageSource
from include.stages.under_way import UnderWay
from include.storage.interface import Chunk, Storage
from include.storage.s3 import S3Storage
from include.transfer.blocks import Item
from include.transfer.parts import parts_of
from include.transfer.pulled import DamagedOriginError, Origin
from include.transfer.terms import Terms
from include.transfer.to_s3 import put


@dataclass(frozen=True, slots=True)
class Put:
    """How the object came into the archive, or, unfinished, how far it is: a sentence or the middle of one."""

    how: str
    sent: int = 0
    finished: bool = True


def put_into(work: Work, package: ArchivablePackage, archive: Storage) -> Put:
    """Have the verified object in the archive; tell how it came there."""
    if _is_there(work, package, archive):
        return Put(f"was in {work.location.full_name} already")
    if package.source is None:
        raise WaitingError(
            f"No buffer at {work.location.site} has a verified copy of {package.manifest.name}: it comes again from"
            " where a good copy is."
        )
    kept = put_aside(work, archive, package.path)
    with paced_reads(work, origin=package.source.full_name) as paced:
        sending = _Sending(work, package, package.source, paced)
        put_there = _send(sending, archive)
    if not put_there.finished:
        return put_there
    _read_back(work, package, archive)
    aside = f" (what was in its place is kept as {kept})" if kept is not None else ""
    return Put(f"{put_there.how}{aside}")


@dataclass(frozen=True, slots=True)
class _Sending:
    """A package on its way from a source."""

    work: Work
    package: ArchivablePackage
    source: PackageSource
    paced: PacedReads | None


def _send(sending: _Sending, archive: Storage) -> Put:
    package, source = sending.package, sending.source
    item = Item(package.path, package.manifest)
    if isinstance(archive, S3Storage) and len(parts_of(item)) > 1:
        put_there = _put_by_parts(sending, item, archive)
        if not put_there.finished:
            return put_there
    else:
        archive.write(package.path, _sent(sending), size_bytes=package.manifest.size_bytes)
    return Put(f"went from {source.full_name} to {sending.work.location.full_name}")


def _put_by_parts(sending: _Sending, item: Item, archive: S3Storage) -> Put:
    work, package, source, paced = sending.work, sending.package, sending.source, sending.paced
    # What is decided, and remembered, is the route's; bytes count until the whole object is there.
    size_bytes = package.manifest.size_bytes
    deciding = UnderWay(work, origin=source.full_name, destination=work.location.full_name, left_bytes=size_bytes)
    with _found_bad(sending), deciding:
        done = put(
            item,
            origin=Origin(source.full_name, work.storage_of(source.full_name)),
            archive=archive,
            source_path=source.path,
            terms=Terms(
                check=work.check,
                on_decision=deciding.on_decision,
                remembered_streams=deciding.remembered_streams,
            ),
            reader_of=None if paced is None else paced.reader,
            held_back_by=lambda since: "the route's timetable" if paced and paced.held_at > since else None,
        )
    return Put(
        f"{done.bytes_sent + done.bytes_skipped:,} of {package.manifest.size_bytes:,} bytes of {package.manifest.name}"
        f" have come from {source.full_name}.",
        sent=done.bytes_sent,
        finished=done.finished,
    )


def _is_there(work: Work, package: ArchivablePackage, archive: Storage) -> bool:
    """Tell whether an earlier attempt has put it there, or somebody before: believed only when it reads back right."""
    found = archive.stat(package.path)
    if found is None or found.size_bytes != package.manifest.size_bytes:
        return False
    try:
        _read_back(work, package, archive)
    except ChecksumMismatchError:
        return False
    return True


def _read_back(work: Work, package: ArchivablePackage, archive: Storage) -> None:
    what = f"{package.path} in {work.location.full_name}, read back,"
    for _ in _checked(archive.read(package.path), package.manifest, what=what, check=work.check):
        pass


def _sent(sending: _Sending) -> Iterator[Chunk]:
    """The package's bytes from the source; FailedWith, so that there is no object, if they are wrong or gone."""
    with _found_bad(sending):
        yield from _read(sending)


@contextmanager
def _found_bad(sending: _Sending) -> Iterator[None]:
    """Mark the copy that is read if it is not what was verified."""
    work, package, source = sending.work, sending.package, sending.source
    then = f"{package.manifest.name} comes again from where a good copy is, and is archived then."
    try:
        yield
    except ChecksumMismatchError as error:
        if isinstance(error, DamagedOriginError):
            if error.missing:
                raise _gone(error, package, source, then) from error
        elif work.topology.location(source.full_name).site != work.location.site:
            _require_wrong_again(sending)
        told = WaitingError(
            f"{sentence(error)} It was verified before, so this copy is damaged since, and is marked corrupt. {then}"
        )
        raise FailedWith(told, record=_loss(package, source, CopyStatus.CORRUPT)) from error
    except MissingFileError as error:
        raise _gone(error, package, source, then) from error


def _gone(error: DtsError, package: ArchivablePackage, source: PackageSource, then: str) -> FailedWith:
    told = WaitingError(f"{sentence(error)} This copy was verified before; it is marked missing. {then}")
    return FailedWith(told, record=_loss(package, source, CopyStatus.MISSING))


def _read(sending: _Sending) -> Iterator[Chunk]:
    work, package, source = sending.work, sending.package, sending.source
    what = f"{package.path} in {source.full_name}"
    storage = work.storage_of(source.full_name)
    read = storage.read(source.path) if sending.paced is None else sending.paced.read(storage, source.path)
    return _checked(read, package.manifest, what=what, check=work.check)


def _require_wrong_again(sending: _Sending) -> None:
    """Read a second time before a far copy is called corrupt: a bit may flip on the long way."""
    package, source = sending.package, sending.source
    try:
        for _ in _read(sending):
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


def _loss(package: ArchivablePackage, source: PackageSource, status: CopyStatus) -> Callable[[Session], None]:
    def record(session: Session) -> None:
        if source.archived is not None:
            mark_bad(session, raw_data_package_id=package.id, copy=source.archived, status=status)
            return
        assert source.data_location_id is not None
        lock_package(session, package.id)
        record_loss(session, [package.id], data_location_id=source.data_location_id, status=status)

    return record
