"""Quarantine: bad bytes are put aside at the location where they lie, for a person to look at. Nothing deletes them.

The name says when and by which operation: `quarantine/20260401T032000Z-operation-12-1/<path as it was>`, below the
location's root. On a disk the file is moved there. In an archive it is copied there before it is replaced: whether a
bucket keeps old versions is a setting of the store that nobody here can rely on.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from include.operations.lease import Lease
from include.storage.disk import DiskStorage
from include.storage.interface import Storage
from include.transfer.durable import move

QUARANTINE = "quarantine"
"""The folder below a location's root, or the first part of the keys in an archive."""

logger = logging.getLogger(__name__)


def put_aside(storage: Storage, path: str, *, lease: Lease, check: Callable[[], None]) -> str | None:
    """Keep what lies at `path`, and return under which name; None if nothing is there.

    On a disk `path` is free afterwards; elsewhere the bytes are still there, and may be replaced.

    Raises:
        LeaseLostError: `check` says so; nothing was moved.
        NoSpaceError, TransientError, PermanentError: from the storage.
    """
    by = f"operation-{lease.operation_id}-{lease.attempt_number}"
    kept = f"{QUARANTINE}/{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{by}/{path}"
    check()
    if isinstance(storage, DiskStorage):
        if not move(storage.root / path, storage.root / kept):
            return None
    elif (found := storage.stat(path)) is None:
        return None
    else:
        storage.write(kept, _watched(storage.read(path), check), size_bytes=found.size_bytes)
    logger.error("What lay at %s is not what it should be. It is kept as %s.", path, kept)
    return kept


def _watched(chunks: Iterator[bytes], check: Callable[[], None]) -> Iterator[bytes]:
    for chunk in chunks:
        check()
        yield chunk
