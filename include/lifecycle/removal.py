"""Removing the bytes of copies that the gate has let go: look first, then delete, and say what came of each copy.

Only files that ops-db knows are touched. A file that is not as recorded is not what was archived: it stays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from include.errors import MissingFileError
from include.integrity.checksum import Hasher
from include.lifecycle.copies import Copy
from include.lifecycle.package_lock import LockedPackage
from include.ops_db.states import CopyStatus
from include.storage.interface import Storage
from include.topology import LocationType

HAS_BEGUN = frozenset({CopyStatus.DELETION_IN_PROGRESS, CopyStatus.DELETION_FAILED})

LONG_AGO = datetime(1980, 1, 1, tzinfo=UTC)

RAW_FILES = text(
    """
    select f.id, f.path, f.size_bytes, f.checksum, p.created_at as cut_at
    from raw_data_file f join raw_data_package p on p.id = f.raw_data_package_id
    where p.id = :package order by f.path
    """
)

Confirm = Callable[[], None]
"""Raises LeaseLostError if somebody else may be at these copies now."""


@dataclass(frozen=True, kw_only=True)
class DoomedFile:
    """A file as ops-db knows it."""

    path: str
    size_bytes: int
    checksum: str | None
    known_at: datetime
    """When its bytes were last read or written by this system, or before; a later change of the file is looked into."""
    vouched_for: bool = True
    """False: left by a staging that never came to its end, so whatever its bytes are, they are not worth keeping."""


@dataclass(frozen=True, kw_only=True)
class DoomedCopy:
    """A PhysicalCopy with its files: one, or all files of a staged package."""

    id: int
    begun: bool
    """Not known to be whole: an earlier attempt may have deleted some files, or a staging may not have brought all."""
    files: tuple[DoomedFile, ...]
    known_bad: bool = False
    """A package in a buffer whose bytes were found wrong before; nobody needs to be told again."""


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What came of a copy."""

    copy_id: int
    status: CopyStatus | None
    """Its new status; None: as it was."""
    file_count: int = 0
    """Files that were deleted now."""
    size_bytes: int = 0
    gone: tuple[str, ...] = ()
    """Files that were gone before their time."""
    changed: tuple[str, ...] = ()
    """Phrases about files that are not as recorded."""
    kept: tuple[str, ...] = ()
    """Names in quarantine of files that were known to be wrong (unneeded.py)."""


@dataclass(frozen=True, kw_only=True)
class _Sight:
    """What a look at a file found; neither: it is as recorded."""

    missing: bool = False
    changed: str | None = None


def doomed_copies(
    session: Session,
    *,
    package: LockedPackage,
    copies: Sequence[Copy],
    location_type: LocationType,
    clock_behind: timedelta = timedelta(),
) -> list[DoomedCopy]:
    """Return the files of copies of a package, in at most one statement.

    `clock_behind`: of the host whose disk it is, behind ops-db, by whose clock everything else is known. A file that is
    changed now has the host's time, and must not look older than what is known of it.
    """
    found = _doomed_copies(session, package=package, copies=copies, location_type=location_type)
    return [
        replace(copy, files=tuple(replace(file, known_at=file.known_at - clock_behind) for file in copy.files))
        for copy in found
    ]


def _doomed_copies(
    session: Session, *, package: LockedPackage, copies: Sequence[Copy], location_type: LocationType
) -> list[DoomedCopy]:
    if location_type is LocationType.BUFFER:
        return [_doomed_tar(package, copy) for copy in copies]
    rows = session.execute(RAW_FILES, {"package": package.id}).all()
    if location_type is LocationType.PROCESSING:
        return [
            _doomed(
                copy,
                [
                    DoomedFile(
                        path=f"{copy.path}/{row.path}",
                        size_bytes=row.size_bytes,
                        checksum=row.checksum,
                        known_at=_known_at(copy),
                        vouched_for=copy.verified_at is not None,
                    )
                    for row in rows
                ],
            )
            for copy in copies
        ]
    raw_files = {row.id: row for row in rows}
    return [
        _doomed(
            copy,
            [
                DoomedFile(
                    path=copy.path,
                    size_bytes=raw_files[copy.raw_data_file_id].size_bytes,
                    checksum=raw_files[copy.raw_data_file_id].checksum,
                    # Not when it was packaged: that is written long after the first of its files was read.
                    known_at=raw_files[copy.raw_data_file_id].cut_at,
                )
            ],
        )
        for copy in copies
    ]


def remove(storage: Storage, copy: DoomedCopy, *, confirm: Confirm) -> Fate:
    """Delete the files of a copy that are as recorded; harmless to repeat."""
    gone: list[str] = []
    changed: list[str] = []
    deleted: list[DoomedFile] = []
    for file in copy.files:
        confirm()
        sight = _look_at(storage, file, confirm=confirm)
        if sight.changed is not None:
            changed.append(sight.changed)
        elif sight.missing:
            gone.append(file.path)
        else:
            storage.delete(file.path)
            deleted.append(file)
    if changed:
        status = CopyStatus.CORRUPT
    elif gone and not deleted and not copy.begun:
        status = CopyStatus.MISSING
    else:
        status = CopyStatus.DELETED
    return Fate(
        copy_id=copy.id,
        status=status,
        file_count=len(deleted),
        size_bytes=sum(file.size_bytes for file in deleted),
        gone=() if copy.begun else tuple(gone),
        changed=tuple(changed),
    )


def what_is_left(storage: Storage, copy: DoomedCopy, *, whole: CopyStatus, confirm: Confirm) -> Fate:
    """Delete nothing; say what a copy is whose deletion had begun: `whole`, gone, or (None) in between."""
    sights = []
    for file in copy.files:
        confirm()
        sights.append(_look_at(storage, file, confirm=confirm))
    changed = tuple(sight.changed for sight in sights if sight.changed is not None)
    if changed:
        return Fate(copy_id=copy.id, status=CopyStatus.CORRUPT, changed=changed)
    if not any(sight.missing for sight in sights) and all(file.vouched_for for file in copy.files):
        return Fate(copy_id=copy.id, status=whole)
    gone = all(sight.missing for sight in sights)
    return Fate(copy_id=copy.id, status=CopyStatus.DELETED if gone else None)


def _look_at(storage: Storage, file: DoomedFile, *, confirm: Confirm) -> _Sight:
    found = storage.stat(file.path)
    if found is None:
        return _Sight(missing=True)
    if not file.vouched_for:
        return _Sight()
    if found.size_bytes != file.size_bytes:
        return _Sight(changed=f"{file.path!r} has {found.size_bytes} bytes instead of {file.size_bytes}")
    # The disk's own word, too: `cp -p`, rsync and tar give another file the old one's time.
    touched_at = max(found.modified_at, found.changed_at or found.modified_at)
    if touched_at <= file.known_at or file.checksum is None:
        return _Sight()
    # Touched since: it may be the same all the same (a clock that runs ahead, a copy put back), so its bytes decide.
    hasher = Hasher()
    try:
        for chunk in storage.read(file.path):
            hasher.update(chunk)
            confirm()
    except MissingFileError:
        return _Sight(missing=True)
    if hasher.value() != file.checksum:
        return _Sight(
            changed=f"{file.path!r} was changed at {touched_at:%Y-%m-%d %H:%M:%S} UTC and has checksum"
            f" {hasher.value()} instead of {file.checksum}"
        )
    return _Sight()


def _doomed(copy: Copy, files: Sequence[DoomedFile]) -> DoomedCopy:
    vouched_for = all(file.vouched_for for file in files)
    return DoomedCopy(id=copy.id, begun=copy.status in HAS_BEGUN or not vouched_for, files=tuple(files))


def _doomed_tar(package: LockedPackage, copy: Copy) -> DoomedCopy:
    size_bytes = copy.size_bytes if package.size_bytes is None else package.size_bytes
    known_bad = copy.status is CopyStatus.CORRUPT
    tar = DoomedFile(
        path=copy.path,
        size_bytes=size_bytes,
        checksum=package.checksum,
        known_at=LONG_AGO if known_bad else _known_at(copy),  # a bit that flips changes no time: its bytes decide
    )
    doomed = _doomed(copy, [tar])
    return replace(doomed, begun=True, known_bad=True) if known_bad else doomed


def _known_at(copy: Copy) -> datetime:
    return max(copy.created_at, copy.verified_at or copy.created_at)
