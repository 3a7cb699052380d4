"""How long to wait before something is tried again. Counted by the monotonic clock: nobody can set that."""

from __future__ import annotations

import random
import time

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 300.0
ASKED_FOR_MAX_SECONDS = 3600.0
"""A server that asks for more than this is not believed."""


class Pause:
    """Twice as long each time, and spread, so that a hundred instruments do not come back at once."""

    def __init__(self, *, first_seconds: float = FIRST_SECONDS, longest_seconds: float = LONGEST_SECONDS) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._failures = 0
        self._until = 0.0

    def fail(self, *, at_least_seconds: float = 0.0) -> float:
        """Begin a pause and return how long it is."""
        longest = min(self._longest_seconds, self._first_seconds * float(2 ** min(self._failures, 30)))
        self._failures += 1
        asked = min(at_least_seconds, ASKED_FOR_MAX_SECONDS)
        seconds = asked + longest * random.uniform(0.5, 1.0)
        self._until = time.monotonic() + seconds
        return seconds

    def left_seconds(self) -> float:
        return max(0.0, self._until - time.monotonic())
