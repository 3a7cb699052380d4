"""Measure a disk with a file that has no name: nothing of it is left, whatever happens.

Past the page cache where the filesystem can (O_DIRECT); elsewhere written with an fsync in the time, and read back
after the kernel was told to forget it.
"""

import errno
import mmap
import os
import time
from dataclasses import dataclass
from pathlib import Path

from include.doctor.rates import Rate
from include.errors import NoSpaceError
from include.storage.part_names import part_name

CHUNK_BYTES = 4 * 1024 * 1024
PART_OF_FREE = 20
"""At most one part in so many of what is free is written."""


@dataclass(frozen=True, slots=True)
class DiskSpeed:
    """`how` says past what it was measured: `direct` or `fsync`."""

    write: Rate
    read: Rate
    how: str


def disk_speed(folder: Path, *, seconds: float, most_bytes: int) -> DiskSpeed:
    """Write for so long, read it back for so long at most.

    Raises:
        NoSpaceError: there is too little free to try.
        OSError: the folder is not there, not ours, or the disk is broken.
    """
    found = os.statvfs(folder)
    budget = min(most_bytes, found.f_bavail * found.f_frsize // PART_OF_FREE) // CHUNK_BYTES * CHUNK_BYTES
    if budget <= 0:
        raise NoSpaceError(f"{folder} has too little free to write a test file")
    try:
        return _measured(folder, seconds=seconds, budget=budget, direct=True)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
        return _measured(folder, seconds=seconds, budget=budget, direct=False)


def _measured(folder: Path, *, seconds: float, budget: int, direct: bool) -> DiskSpeed:
    descriptor = _nameless(folder, direct=direct)
    try:
        with mmap.mmap(-1, CHUNK_BYTES) as chunk:  # begins at a page, as direct writing demands
            chunk.write(os.urandom(CHUNK_BYTES))
            write = _written(descriptor, chunk, seconds=seconds, budget=budget)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            read = _read(descriptor, chunk, seconds=seconds, size=write.bytes)
    finally:
        os.close(descriptor)
    return DiskSpeed(write, read, how="direct" if direct else "fsync")


def _nameless(folder: Path, *, direct: bool) -> int:
    path = folder / part_name(".dts-doctor")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | (os.O_DIRECT if direct else 0)
    descriptor = -1
    try:
        descriptor = os.open(path, flags, 0o600)
    finally:
        path.unlink(missing_ok=True)  # a filesystem that refuses O_DIRECT has made the file before it says so
    return descriptor


def _written(descriptor: int, chunk: mmap.mmap, *, seconds: float, budget: int) -> Rate:
    begun, done = time.monotonic(), 0
    while done < budget and time.monotonic() - begun < seconds:
        count = os.pwrite(descriptor, chunk, done)
        done += count
        if count < CHUNK_BYTES:
            break  # the disk is full, or a quota ends
    os.fsync(descriptor)
    took = max(time.monotonic() - begun, 1e-9)
    return Rate(done / took, took, done)


def _read(descriptor: int, chunk: mmap.mmap, *, seconds: float, size: int) -> Rate:
    begun, done = time.monotonic(), 0
    while done < size and time.monotonic() - begun < seconds:
        count = os.preadv(descriptor, [chunk], done)
        if not count:
            break
        done += count
    took = max(time.monotonic() - begun, 1e-9)
    return Rate(done / took, took, done)
