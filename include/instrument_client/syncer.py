"""Brings to the disk what was written, in a thread of its own: the instrument waits for it a few ms, never longer.

What was written survives the death of every process at once, for the kernel has it. It survives a power cut once it is
synced: on a solid-state disk that takes well under a millisecond, on a busy spinning one it may take a second.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable

logger = logging.getLogger(__name__)


class Syncer:
    """One thread, started when it is needed. `patience_seconds` None: no thread, every call waits for the disk."""

    def __init__(self, *, patience_seconds: float | None) -> None:
        self._patience_seconds = patience_seconds
        self.forget()

    def forget(self) -> None:
        """Begin anew, as a forked child must: the thread is its parent's, who syncs what waits."""
        self._waiting: dict[tuple[int, int], int] = {}
        self._changed = threading.Condition()
        self._rounds_begun = 0
        self._rounds_done = 0
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None

    def sync(self, descriptors: Iterable[int]) -> None:
        """Sync and close descriptors of files and folders, and wait for it as long as patience goes.

        Raises:
            OSError: the disk failed to take this, or something before that nobody waited for.
        """
        if self._patience_seconds is None:
            self._raise(_bring(descriptors))
            return
        with self._changed:
            for descriptor in descriptors:
                self._want(descriptor)
            wanted = self._rounds_begun + 1
            self._ensure_thread()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._rounds_done >= wanted, timeout=self._patience_seconds)
            error, self._error = self._error, None
        self._raise(error)

    def drain(self, *, seconds: float) -> bool:
        """Wait until all is on the disk; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and self._rounds_done == self._rounds_begun, timeout=seconds
            )

    def _want(self, descriptor: int) -> None:
        """One sync brings everything that was written to a file, so one descriptor of each is enough."""
        found = os.fstat(descriptor)
        if self._waiting.setdefault((found.st_dev, found.st_ino), descriptor) != descriptor:
            os.close(descriptor)

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="dts-file syncer", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                taken, self._waiting = self._waiting, {}
                self._rounds_begun += 1
            error = _bring(taken.values())
            with self._changed:
                self._rounds_done = self._rounds_begun
                self._error = error or self._error
                self._changed.notify_all()

    @staticmethod
    def _raise(error: OSError | None) -> None:
        if error is not None:
            raise error


def _bring(descriptors: Iterable[int]) -> OSError | None:
    failed: OSError | None = None
    for descriptor in descriptors:
        try:
            os.fsync(descriptor)
        except OSError as error:
            logger.exception("The disk of the spool did not take what was written.")
            failed = error
        finally:
            os.close(descriptor)
    return failed
