"""Quarantine: bad bytes are put aside at the location where they lie, for a person to look at. Nothing deletes them.

The name says when and by which operation: `quarantine/20260401T032000Z-operation-12-1/<path as it was>`, below the
location's root. On a disk the file is moved there, also over SFTP. An archive copies it there, itself, before it is
replaced: whether a bucket keeps old versions is a setting of the store that nobody here can rely on. In neither case do
bytes come over a link.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime

from include.errors import PermanentError
from include.lifecycle.lease_watch import LeaseWatch
from include.operations.stage import Work
from include.storage.disk import DiskStorage
from include.storage.interface import FileStat, Storage
from include.storage.s3 import S3Storage
from include.storage.sftp import SftpStorage

QUARANTINE = "quarantine"
"""The folder below a location's root, or the first part of the keys in an archive."""

MOST_KEPT = 3
"""Of one key in an archive: a store that damages whatever it is sent must not fill up with the proof of it."""

logger = logging.getLogger(__name__)


def put_aside(work: Work, storage: Storage, path: str) -> str | None:
    """Keep what lies at `path`, and return under which name; None if nothing is there, or enough of it is kept.

    On a disk `path` is free afterwards; in an archive the bytes are still there, and may be replaced.

    Raises:
        LeaseLostError: ops-db says so; nothing was moved.
        NoSpaceError, TransientError, PermanentError: from the storage, or ops-db cannot be asked.
    """
    by = f"operation-{work.lease.operation_id}-{work.lease.attempt_number}"
    kept = f"{QUARANTINE}/{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{by}/{path}"
    # Not this process's word alone: if it was stopped for an hour, what lies there now may be what somebody repaired.
    LeaseWatch(work)()
    match storage:
        case S3Storage():
            return _copied(storage, path, kept)
        case DiskStorage() | SftpStorage():
            if not storage.rename(path, kept):
                return None
        case _:
            raise PermanentError(f"What lies at {path} cannot be put aside: {type(storage).__name__} cannot rename.")
    _tell(path, kept)
    return kept


def _copied(archive: S3Storage, path: str, kept: str) -> str | None:
    found = archive.stat(path)
    if found is None:
        return None
    before = list(_kept(archive, path))
    for copy in before:
        # Kept since it was last written. Some stores give a copy the time of what it was made from.
        if copy.size_bytes == found.size_bytes and copy.modified_at >= found.modified_at:
            return copy.path
    if len(before) >= MOST_KEPT:
        logger.error("What lies at %s is not what it should be, as %d before it, which are kept.", path, len(before))
        return None
    if not archive.copy(path, kept):
        return None
    _tell(path, kept)
    return kept


def _kept(archive: S3Storage, path: str) -> Iterator[FileStat]:
    """Find what was put aside from `path` before. A quarantine is small, or somebody is at work on it."""
    return (file for file in archive.list(QUARANTINE) if file.path.split("/", 2)[2:] == [path])


def _tell(path: str, kept: str) -> None:
    logger.error("What lay at %s is not what it should be. It is kept as %s.", path, kept)
