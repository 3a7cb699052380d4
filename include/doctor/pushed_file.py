"""Write a test file at a peer, and take it away again: only where somebody asked for it."""

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import uuid4

from include.doctor.rates import Rate
from include.storage.sftp import SftpStorage
from include.storage.sftp_connection import SftpAddress

FOLDER = "dts-doctor"
MOST_BYTES = 64_000_000
CHUNK_BYTES = 1024 * 1024


@contextmanager
def pushed_file(address: SftpAddress, *, seconds: float) -> Iterator[Rate]:
    """Have a file below `dts-doctor/` there for the length of a with block; the rate is that of pushing it.

    Raises:
        DtsError: it cannot be written, or not removed.
    """
    path = f"{FOLDER}/{uuid4().hex}"
    with closing(SftpStorage(address)) as storage:
        storage.space()  # connects, so that the time is that of the bytes
        begun = time.monotonic()
        try:
            storage.write(path, _random(until=begun + seconds))
            took = time.monotonic() - begun
            found = storage.stat(path)
            size = found.size_bytes if found else 0
            yield Rate(size / took, took, size)
        finally:
            storage.delete(path)


def _random(*, until: float) -> Iterator[bytes]:
    some = os.urandom(CHUNK_BYTES)
    sent = 0
    while sent < MOST_BYTES and (sent < 4 * CHUNK_BYTES or time.monotonic() < until):
        yield some
        sent += len(some)
