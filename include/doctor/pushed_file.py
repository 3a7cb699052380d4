"""Write test files at a peer, and take them away again: only where somebody asked for it."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from uuid import uuid4

from include.doctor.rates import Rate
from include.doctor.sftp_speed import CONNECTS_AT_ONCE
from include.storage.sftp import SftpStorage
from include.storage.sftp_connection import SftpAddress

FOLDER = "dts-doctor"
MOST_BYTES = 64_000_000
CHUNK_BYTES = 1024 * 1024


@contextmanager
def pushed_files(address: SftpAddress, *, seconds: float, connections: int = 1) -> Iterator[Rate]:
    """Have a file for each connection below `dts-doctor/` there for the length of a with block.

    The rate is that of pushing them, all at once.

    Raises:
        DtsError: one cannot be written, or not removed.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(closing(_File(address))) for _ in range(connections)]
        with ThreadPoolExecutor(CONNECTS_AT_ONCE) as few:
            list(few.map(_File.connect, files))  # first, so that the time is that of the bytes
        begun = time.monotonic()
        with ThreadPoolExecutor(connections) as all_at_once:
            sizes = list(all_at_once.map(lambda file: file.write(until=begun + seconds), files))
        took = time.monotonic() - begun
        yield Rate(sum(sizes) / took, took, sum(sizes))


class _File:
    """One test file over a connection of its own. `close` removes it."""

    def __init__(self, address: SftpAddress) -> None:
        self._storage = SftpStorage(address)
        self._path = f"{FOLDER}/{uuid4().hex}"
        self._may_be_there = False

    def connect(self) -> None:
        self._storage.space()
        self._may_be_there = True

    def write(self, *, until: float) -> int:
        """Return how many bytes are there afterwards."""
        self._storage.write(self._path, _random(until=until))
        found = self._storage.stat(self._path)
        return found.size_bytes if found else 0

    def close(self) -> None:
        with closing(self._storage):
            if self._may_be_there:  # a server that does not answer is not waited for once more
                self._storage.delete(self._path)


def _random(*, until: float) -> Iterator[bytes]:
    some = os.urandom(CHUNK_BYTES)
    sent = 0
    while sent < MOST_BYTES and (sent < 4 * CHUNK_BYTES or time.monotonic() < until):
        yield some
        sent += len(some)
