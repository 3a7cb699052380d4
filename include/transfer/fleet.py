"""As many connections as are wanted: made overlapped, a few at a time, replaced when they break or fall silent.

OpenSSH drops some of more than ten connections that have not logged in yet (MaxStartups 10:30:100), so no more than
DIALS are logging in at once. A connection that waits for an answer and gets no byte for `silence_seconds` is given up:
after a cut, TCP itself would sleep up to two minutes before it tried again.
"""

import random
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from include.errors import DtsError, PermanentError, TransientError
from include.storage.sftp_connection import SftpAddress, SftpConnection
from include.transfer.connect import Line
from include.transfer.dial import Dial
from include.transfer.pool import Pool

DIALS = 16
PAUSE_SECONDS = 0.3
MOST_PAUSE_SECONDS = 1.5
SILENCE_SECONDS = 4.0
SILENCE_ROUND_TRIPS = 12
FIRST_TRIES = 4
"""A server that never answered is given up after so many connects; one that did is waited for."""


class Member(Protocol):
    """A connection at work."""

    line: Line
    is_leaving: bool
    begun_at: float
    rate: float
    """Bytes a second, just now."""

    def measure(self, now: float) -> None:
        """Bring the rate up to date."""

    def silent_seconds(self, now: float) -> float:
        """Return for how long it has been waiting without a byte."""


Stream = TypeVar("Stream", bound=Member)


class Fleet(Generic[Stream]):
    """The streams of one transfer. In the loop's thread. `made` makes one of a connection, `joined` gives it work.

    `reached` hears how far away the server is, long before a login has told so.
    """

    def __init__(
        self,
        address: SftpAddress,
        *,
        pool: Pool,
        made: Callable[[Line], Stream],
        joined: Callable[[Stream], None],
        reached: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.streams: list[Stream] = []
        self.wanted = 1
        self.round_trip_seconds = 0.0
        """The shortest that was measured; 0 before the first connection."""
        self.failure: DtsError | None = None
        """Why there will be no connection."""
        self.trouble: DtsError | None = None
        """What happened last, for the message if it goes on for too long."""
        self._address = address
        self._pool = pool
        self._made = made
        self._joined = joined
        self._reached = reached
        self._dials: list[Dial] = []
        self._not_before = 0.0
        self._failures = 0
        self._ever = False
        self._ended = False

    def start(self, wanted: int) -> None:
        """Have so many."""
        self.wanted = wanted
        self.fill()

    def fill(self) -> None:
        """Use what is idle or on its way, and make what is missing, as far as it may be begun now."""
        if self._ended:
            return
        now = time.monotonic()
        self._let_go()
        while len(self.streams) < self.wanted and (line := self._pool.take(self._address)) is not None:
            self._join(line)
        while self.failure is None and now >= self._not_before and self._may_dial():
            self._take_on(self._pool.take_coming(self._address) or Dial(self._address, tell=self._heard))

    def _let_go(self) -> None:
        """Of too many, the slowest leave: a connection needs long until it carries what it can."""
        staying = sorted((stream for stream in self.streams if not stream.is_leaving), key=lambda stream: stream.rate)
        for stream in staying[: max(0, len(staying) - self.wanted)]:
            stream.is_leaving = True

    def _may_dial(self) -> bool:
        missing = self.wanted - len(self.streams) - len(self._dials)
        return missing > 0 and sum(not dial.is_logged_in for dial in self._dials) < DIALS

    def _take_on(self, dial: Dial) -> None:
        self._dials.append(dial)
        dial.tell = self._heard
        if dial.trip_seconds:
            self._reached(dial.trip_seconds)

    def silent(self, now: float) -> list[Stream]:
        """Return the streams that have waited for too long."""
        patience = max(SILENCE_SECONDS, SILENCE_ROUND_TRIPS * self.round_trip_seconds)
        return [stream for stream in self.streams if stream.silent_seconds(now) > patience]

    def remove(self, stream: Stream) -> None:
        """It is gone, or has left."""
        if stream in self.streams:
            self.streams.remove(stream)
        if stream.line.is_usable:
            self._pool.keep(self._address, stream.line)

    def hand_over(self) -> None:
        """Get no more connections: what is on its way is for the next transfer. Safe to repeat."""
        self._ended = True
        for dial in self._dials:
            self._pool.expect(self._address, dial)
        self._dials.clear()

    def end(self) -> None:
        """Keep the connections for the next transfer."""
        self.hand_over()
        for stream in list(self.streams):
            self.remove(stream)

    def translated(self, error: Exception, path: str) -> DtsError:
        """Return the error as one of errors.py, with the server named."""
        if isinstance(error, DtsError):
            return error
        return SftpConnection(self._address).translated(error, path)

    def _heard(self, dial: Dial) -> None:
        if dial.is_done:
            self._dials.remove(dial)
        if dial.line is not None:
            self._failures = 0
            self._join(dial.line)
        elif dial.error is not None:
            self._dial_failed(self.translated(dial.error, ""))
            return
        elif not dial.is_logged_in:
            self._reached(dial.trip_seconds)
            return
        self.fill()

    def _dial_failed(self, error: DtsError) -> None:
        self._failures += 1
        self.trouble = error
        pause = min(PAUSE_SECONDS * 2 ** min(self._failures, 5), MOST_PAUSE_SECONDS)
        self._not_before = time.monotonic() + (
            0 if self._ever and self._failures < 3 else pause * random.uniform(0.5, 1)
        )
        if isinstance(error, PermanentError):
            self.failure = error
        elif not self._ever and self._failures >= FIRST_TRIES * max(1, min(self.wanted, DIALS)):
            self.failure = TransientError(f"no connection could be made: {error}")

    def _join(self, line: Line) -> None:
        self._ever = True
        trip = line.round_trip_seconds
        self.round_trip_seconds = min(self.round_trip_seconds or trip, trip)
        stream = self._made(line)
        self.streams.append(stream)
        self._joined(stream)
