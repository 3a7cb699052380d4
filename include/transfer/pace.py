"""How fast bytes may be asked for: an engine is handed a Pace, and asks it before it asks the origin.

All transfers of a route, in whatever process on whatever host, share its timetable. What they share is one moment in
time: until when the route's bytes are promised. Whoever wants to send promises itself the next half second (a lump),
and sends those bytes in that half second. So what is sent is the timetable's rate, however many take part, and no
token can be saved up. A lump is asked for while the one before is being sent: a round trip across an ocean costs
nothing, and a route costs two statements a second, however many processes share it.

Where the lumps are handed out cannot be reached for a while, everybody goes on with the share it had, by its own
clock: the bytes do not stop, the sum stays what it was, and nobody new begins meanwhile (that takes a lease).
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

logger = logging.getLogger(__name__)

LUMP_BYTES = 2 * 1024 * 1024
"""At 10 Mbit/s paced to two seconds, at 1 Gbit/s asked for 60 times a second."""

LUMP_SECONDS = 0.5
"""How much of a route's time is promised at once."""
SAVED_SECONDS = 0.5
"""Time that nobody used and that may still be had. With the lumps in hand, a process sends a second's bytes at once."""
PATIENCE_SECONDS = 5.0
"""After so long without an answer a process goes on by its own clock."""
AGAIN_SECONDS = 3.0
"""Until the next try after one that failed."""
LOOK_SECONDS = 1.0
"""How soon at the latest a change of the timetable is seen."""
SHARE_SECONDS = 20.0
"""Over how long a process's share of the route is measured."""
FIRST_SHARE = 0.25
"""Of a process that had no answer, or too few to tell its share."""


class Pace(Protocol):
    """What is shared by everything that uses a route at once."""

    async def acquire(self, size_bytes: int) -> None:
        """Return when so many bytes may be sent.

        It is awaited in the loop that moves the bytes, in lumps of LUMP_BYTES, one after the other: an implementation
        that asks a database does so in a thread, and for more than one lump at a time.
        """


class Promises(Protocol):
    """The route's timetable, and where its time is handed out. Used from several threads."""

    def rate(self) -> float | None:
        """Return what the timetable says now, bytes a second; None: no limit. Asks nobody."""

    def promise(self, seconds: float) -> float:
        """Have the next `seconds` of the route that nobody has, and return in how many seconds they begin.

        Negative: so long ago (not more than SAVED_SECONDS). It blocks, and raises whatever it likes.
        """


@dataclass(slots=True)
class _Lump:
    """Bytes to be sent evenly from `begins_at` on (monotonic)."""

    size_bytes: int
    begins_at: float
    rate: float
    taken: int = 0

    @property
    def left(self) -> int:
        return self.size_bytes - self.taken

    def due_at(self, size_bytes: int) -> float:
        """When the next so many of its bytes may be sent."""
        return self.begins_at + (self.taken + size_bytes) / self.rate


class SharedPace:
    """A Pace by promises. `close` it at the end."""

    def __init__(self, promises: Promises, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._promises = promises
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pace")
        self._rate = 0.0
        self._lumps: deque[_Lump] = deque()
        self._asking: asyncio.Future[float] | None = None
        self._asked_at = 0.0
        self._ask_again_at = 0.0
        self._used: deque[tuple[float, int]] = deque()
        """When a lump was used up, and its bytes; of the last while."""
        self._share: float | None = None
        """Bytes a second, while it goes by its own clock."""

    async def acquire(self, size_bytes: int) -> None:
        """Return when so many bytes may be sent. One call after the other, in one loop."""
        while size_bytes > 0:
            rate = self._promises.rate()
            if rate is None:
                self._lumps.clear()
                return
            if rate != self._rate:  # what is in hand was promised by another timetable
                self._rate = rate
                self._lumps.clear()
                self._used.clear()
            if not self._lumps:
                await self._have_a_lump()
                continue
            lump = self._lumps[0]
            part = min(size_bytes, lump.left)
            pause = lump.due_at(part) - self._clock()
            if pause > 0:
                await asyncio.sleep(min(pause, LOOK_SECONDS))
                continue
            lump.taken += part
            size_bytes -= part
            if not lump.left:
                self._used_up(self._lumps.popleft())
            if len(self._lumps) <= 1:
                self._ask()

    def close(self) -> None:
        """Ask no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _have_a_lump(self) -> None:
        """Wait for an answer as long as is fitting, then go by this process's own clock."""
        self._ask()
        if self._asking is not None:
            patience = self._asked_at + PATIENCE_SECONDS - self._clock()
            if self._share is None and patience > 0:
                await asyncio.wait({self._asking}, timeout=min(patience, LOOK_SECONDS))
                return
        if self._asking is not None or self._clock() < self._ask_again_at:
            self._lumps.append(self._own())

    def _ask(self) -> None:
        if self._asking is not None or self._clock() < self._ask_again_at:
            return
        rate = self._rate
        self._asked_at = self._clock()
        asking = asyncio.get_running_loop().run_in_executor(self._thread, self._promises.promise, LUMP_SECONDS)
        asking.add_done_callback(lambda asked: self._answered(asked, rate=rate))
        self._asking = asking

    def _answered(self, asked: "asyncio.Future[float]", *, rate: float) -> None:
        self._asking = None
        now = self._clock()
        if asked.cancelled():
            return
        if (error := asked.exception()) is not None:
            self._ask_again_at = now + AGAIN_SECONDS
            if self._share is None:
                self._share = self._share_so_far()
                logger.warning(
                    "It cannot be asked how much of the route is left (%s): this transfer goes on with the share it"
                    " had, %.1f MB/s.",
                    type(error).__name__,
                    self._share / 1e6,
                )
            return
        if rate != self._rate:
            return
        if self._share is not None:
            logger.warning("It can be asked again how much of the route is left.")
            self._share = None
            self._lumps.clear()
        self._lumps.append(_Lump(int(rate * LUMP_SECONDS), now + asked.result(), rate))

    def _used_up(self, lump: _Lump) -> None:
        if self._share is not None:
            return
        now = self._clock()
        self._used.append((now, lump.size_bytes))
        while now - self._used[0][0] > SHARE_SECONDS:
            self._used.popleft()

    def _share_so_far(self) -> float:
        """Return what share of the route this process had; all shares together are not more than the route."""
        seconds = self._used[-1][0] - self._used[0][0] if self._used else 0.0
        if seconds < LUMP_SECONDS:  # too little to tell
            return self._rate * FIRST_SHARE
        size_bytes = sum(size for _, size in self._used) - self._used[0][1]
        return min(self._rate, size_bytes / seconds)

    def _own(self) -> _Lump:
        if self._share is None:
            self._share = self._share_so_far()
        return _Lump(max(1, int(self._share * LUMP_SECONDS)), self._clock(), self._share)
