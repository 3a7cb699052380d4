"""Checksums of files as the server takes them (`xxh3-128:<32 hex digits>`), read no faster than was asked for."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from .errors import WrongInputError

CHUNK_BYTES = 1024 * 1024


class StoppedError(Exception):
    """The client is closed meanwhile."""


def require_xxhash() -> None:
    """Raise WrongInputError if there is no xxhash here."""
    _new_hasher()


def checksum_of(path: str | os.PathLike[str], *, mb_per_second: float, stop: threading.Event) -> str:
    """Read a file at that pace and return its checksum.

    Raises:
        OSError: it cannot be read.
        StoppedError: `stop` was set.
    """
    hasher = _new_hasher()
    began, read_bytes = time.monotonic(), 0
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while chunk := os.read(descriptor, CHUNK_BYTES):
            hasher.update(chunk)
            read_bytes += len(chunk)
            ahead = read_bytes / (mb_per_second * 1e6) - (time.monotonic() - began)
            if stop.wait(max(0.0, ahead)):
                raise StoppedError
    finally:
        # What the instrument reads and writes stays in memory rather than what was read for this.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    return f"xxh3-128:{hasher.hexdigest()}"


def _new_hasher() -> Any:
    try:
        import xxhash
    except ImportError as error:
        raise WrongInputError("Checksums need the package xxhash: install it, or file without checksums.") from error
    return xxhash.xxh3_128()
