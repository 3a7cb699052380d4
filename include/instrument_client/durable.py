"""The spool's only ways to write: all of it or nothing, and on the disk afterwards."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import SpoolError

FILE_MODE = 0o640
FOLDER_MODE = 0o750
TAIL_BYTES = 64 * 1024


@contextmanager
def spool_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn OSError into a sentence that names the place and what to do."""
    try:
        yield
    except OSError as error:
        raise SpoolError(f"{doing} {path} failed: {error.strerror or error}; {_way_out(error)}.") from error


def _way_out(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "nothing was written: make room on the disk of the spool, then do it again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "nothing was written: let this account write there, or choose another spool"
    return "what was in the spool before is unharmed: look at the disk of the spool, then do it again"


@contextmanager
def closed_on_error(descriptors: list[int]) -> Iterator[None]:
    """Close descriptors that nobody will sync."""
    try:
        yield
    except BaseException:
        while descriptors:
            os.close(descriptors.pop())
        raise


def append(path: Path, content: bytes, *, header: bytes, descriptors: list[int]) -> None:
    """Append whole lines to a file, after its header if it is new. What is to be synced is added to `descriptors`.

    The caller holds the folder's lock. What somebody who was killed left half written at the end is cut off first. What
    the disk does not take wholly is taken back.

    Raises:
        OSError: the disk refuses; the file is as it was.
    """
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    descriptors.append(descriptor)
    if is_new:
        descriptors.append(open_folder(path.parent))
    size_bytes = cut_torn_line(descriptor)
    try:
        write_all(descriptor, content if size_bytes else header + content)
    except OSError:
        os.ftruncate(descriptor, size_bytes)
        raise


def write_all(descriptor: int, content: bytes) -> None:
    """Write every byte. Raises OSError, and then some may have been written."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def cut_torn_line(descriptor: int) -> int:
    """Cut off what follows the last line break, and return the size in bytes that is left."""
    size_bytes = os.fstat(descriptor).st_size
    end = size_bytes
    while end:
        start = max(0, end - TAIL_BYTES)
        at = os.pread(descriptor, end - start, start).rfind(b"\n")
        if at >= 0:
            end = start + at + 1
            break
        end = start
    if end < size_bytes:
        os.ftruncate(descriptor, end)
    return end


def cut_torn_line_of(path: Path) -> None:
    """Cut off what somebody who was killed left half written. The caller holds the folder's lock. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        cut_torn_line(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> bytes:
    """Return what a file of the spool holds, nothing if there is none. Raises SpoolError."""
    with spool_errors(path, "Reading"):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return b""


def write_whole(path: Path, content: bytes) -> None:
    """Give a file this content, or leave it as it is. The caller holds the folder's lock: nobody else does this now.

    Raises:
        SpoolError: the disk refuses.
    """
    new = path.with_name(f".{path.name}.new")
    with spool_errors(path, "Writing"):
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
            try:
                write_all(descriptor, content)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            new.replace(path)
        except OSError:
            with suppress(OSError):
                new.unlink()
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk. Raises OSError."""
    descriptor = open_folder(folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_folder(folder: Path) -> int:
    """Return a descriptor of a folder, for syncing or locking it. Raises OSError."""
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
