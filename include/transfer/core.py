"""Whether one core is what ends a transfer: its loop takes all of one, and others have nothing to do."""

import os
import time
from pathlib import Path

from include.plurals import counted

FULL_SECONDS = 5.0
FULL = 0.85
"""The rest of a core is what other threads have of the interpreter meanwhile."""
IDLE_CORES = 1.0
"""Where the server is on this host, too, it needs some of what is left."""


class Core:
    """Of one thread, which calls it."""

    def __init__(self) -> None:
        self._began_at = 0.0
        self._used_seconds = 0.0
        self._idle_seconds = 0.0

    def full(self, now: float) -> str | None:
        """Say so, if the thread has kept a core busy for some seconds and another one was idle; `now` is monotonic."""
        if not self._began_at:
            self._begin(now)
        seconds = now - self._began_at
        if seconds < FULL_SECONDS or not seconds:
            return None
        used = (time.thread_time() - self._used_seconds) / seconds
        idle = (_idle_seconds() - self._idle_seconds) / seconds
        self._begin(now)
        if used < FULL or idle < IDLE_CORES:
            return None
        others = counted(int(idle), "other")
        return f"one core is full ({used:.0%} of it for {seconds:.0f} s) and {others} had nothing to do"

    def _begin(self, now: float) -> None:
        self._began_at, self._used_seconds, self._idle_seconds = now, time.thread_time(), _idle_seconds()


def _idle_seconds() -> float:
    """Return how long all cores together have been idle, waiting for a disk included."""
    _, _, _, _, idle, waiting, *_ = Path("/proc/stat").read_text().split(maxsplit=7)
    return (int(idle) + int(waiting)) / os.sysconf("SC_CLK_TCK")
