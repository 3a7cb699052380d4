"""Locks that end with their process, whatever ends it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .durable import FILE_MODE, open_folder, spool_errors
from .errors import SpoolError


class FolderGoneError(SpoolError):
    """The folder was removed, perhaps while its lock was waited for."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Have a folder for oneself, against other threads and processes. Held for writes of the kernel's memory only.

    Raises:
        FolderGoneError: there is no such folder (any more).
        SpoolError: it cannot be opened.
    """
    gone = f"{folder} is gone; if that was a person, start anew."
    with spool_errors(folder, "Opening"):
        try:
            descriptor = open_folder(folder)
        except FileNotFoundError as error:
            raise FolderGoneError(gone) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Somebody may have renamed or removed it meanwhile, and another may stand in its place.
        if not _is_same(descriptor, folder):
            raise FolderGoneError(gone)
        yield
    finally:
        os.close(descriptor)


def _is_same(descriptor: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except FileNotFoundError:
        return False


class SenderLock:
    """Who holds it sends; everybody else on this spool only adds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Return True if it is ours now. Raises SpoolError."""
        if self._descriptor is not None:
            return True
        with spool_errors(self._path, "Opening"):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def give_up(self) -> None:
        """Let somebody else send. Also called in a forked child, which would hold its parent's lock for ever."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def is_held(self) -> bool:
        """Return True if anybody holds it, this process or another."""
        if self._descriptor is not None:
            return True
        mine = self.take()
        self.give_up()
        return not mine
