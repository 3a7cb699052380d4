"""The course of one transfer, whichever way its bytes go: from its first connection to the end of its last job.

It runs in the loop of the pool. Nothing in it waits: a clock looks after everything four times a second.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar

from include.errors import TransientError
from include.storage.sftp_connection import SftpAddress
from include.transfer.adapt import Decision
from include.transfer.allowance import Allowance
from include.transfer.blocks import Item
from include.transfer.connect import Line
from include.transfer.fleet import Fleet, Stream
from include.transfer.jobs import Jobs
from include.transfer.kernel import this_host
from include.transfer.news import Arrived, Damage, Tell
from include.transfer.pool import Pool
from include.transfer.rounds import Rounds
from include.transfer.terms import Terms

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.25
NEWS_SECONDS = 1.0
FIRST_STREAMS = 2
"""Before it is known how far away the server is."""
THREADS = 4

Result = TypeVar("Result")


class Load(Protocol):
    """The blocks that are under way."""

    open: dict[Any, None]
    """Those that are begun, the oldest first."""

    @property
    def begins_blocks(self) -> bool:
        """False: only what was begun is completed."""

    @property
    def has_more(self) -> bool:
        """Tell whether there is something to give to a connection."""

    @property
    def awaits_link(self) -> bool:
        """Tell whether silence is a trouble."""

    def stop(self) -> None:
        """Begin no more blocks."""


class Course(ABC, Generic[Stream]):
    """`tell` is called with what happens, in the loop's thread. `silence` begins the sentence about a silent link."""

    def __init__(
        self,
        items: Sequence[Item],
        *,
        terms: Terms,
        address: SftpAddress,
        pool: Pool,
        tell: Tell,
        made: Callable[[Line], Stream],
        load: Load,
        silence: str,
    ) -> None:
        self.bytes_sent = 0
        self.bytes_skipped = 0
        self.bytes_received = 0
        """Over the link; of blocks that are not complete, too."""
        self.damage: list[Damage] = []
        self.items_left = len(items)
        self.is_finished = False
        self.is_ended = False
        """Nothing is asked for any more."""
        self.last_news = time.monotonic()
        self.terms = terms
        self.host = this_host()
        self.jobs = Jobs()
        self.allowance = None if terms.pace is None else Allowance(terms.pace)
        self.fleet: Fleet[Stream] = Fleet(address, pool=pool, made=made, joined=self._joined, reached=self.reached)
        self.rounds = Rounds(
            self.fleet,
            most_streams=terms.most_streams,
            tell=tell,
            remembered_streams=terms.remembered_streams,
        )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="transfer")
        self.tell = tell
        self._load = load
        self._silence = silence
        self._ends_at = time.monotonic() + terms.yield_after_seconds

    # ----- what a direction does

    @abstractmethod
    def begin(self) -> None:
        """Start the first jobs."""

    @abstractmethod
    def first(self, round_trip_seconds: float) -> Decision:
        """Decide how many connections to begin with."""

    @abstractmethod
    def joined(self, stream: Stream) -> None:
        """Give a new connection work."""

    @abstractmethod
    def lost(self, stream: Stream) -> None:
        """A connection is gone: others do its work."""

    @abstractmethod
    def look_after(self, now: float) -> None:
        """Do what nobody does by himself; four times a second."""

    @abstractmethod
    async def close(self) -> None:
        """End all jobs, and give back what is held, but the connections."""

    def reached(self, round_trip_seconds: float) -> None:
        """Hear how far away the server is, before the first login."""

    def wanted_changed(self) -> None:
        """Another number of connections shares the work."""

    def held_back_by(self) -> str | None:
        """Return what else than the link sets the rate."""
        return None

    # ----- the whole

    async def run(self) -> None:
        """Move everything, or as much as time allows.

        Raises:
            DtsError: as pull and push say.
        """
        self.begin()
        self.fleet.start(min(self.terms.most_streams, self.terms.remembered_streams or FIRST_STREAMS))
        clock = asyncio.create_task(self._clock())
        try:
            await self.jobs.until(self._is_over)
            self.is_finished = self.items_left == 0
        except BaseException as error:
            self.jobs.fail(error)  # when it is interrupted, too
            raise
        finally:
            clock.cancel()
            self.is_ended = True
            self.fleet.hand_over()
            await self.close()
            self.fleet.end()
            self._threads.shutdown(wait=False)

    def _is_over(self) -> bool:
        return self.items_left == 0 or (not self._load.begins_blocks and not self._load.open)

    async def in_thread(self, act: Callable[[], Result]) -> Result:
        """Do it beside the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, act)

    def give_up(self, item: Item, sentence: str, *, is_missing: bool) -> None:
        """Name an item whose copy at the origin is of no use."""
        self.damage.append(Damage(item, sentence, is_missing))
        self.items_left -= 1

    def news(self, item: Item | None) -> None:
        """Tell how far it is."""
        rate = sum(stream.rate for stream in self.fleet.streams)
        streams = len(self.fleet.streams)
        self.tell(Arrived(item, self.bytes_sent, self.bytes_skipped, self.bytes_received, rate, streams))

    def _joined(self, stream: Stream) -> None:
        if not self.rounds.has_begun:
            self.rounds.begin(self.first(self.fleet.round_trip_seconds))
            self.wanted_changed()
        self.last_news = time.monotonic()
        self.joined(stream)

    # ----- looking after it

    async def _clock(self) -> None:
        news_at = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            try:
                self._tick(now)
                if now - news_at >= NEWS_SECONDS:
                    news_at = now
                    self.news(None)
            except Exception as error:  # noqa: BLE001 - a clock that stops would stop everything without a word
                self.jobs.fail(error)

    def _tick(self, now: float) -> None:
        for stream in list(self.fleet.streams):
            stream.measure(now)
            if not stream.line.is_usable:
                self.lost(stream)
        for stream in self.fleet.silent(now):
            stream.line.abort("no byte came for too long")
            self.lost(stream)
        self.fleet.fill()
        self._check_patience(now)
        self.look_after(now)
        self._adapt(now)
        if now >= self._ends_at and (self.bytes_sent or self._load.open) and self._load.begins_blocks:
            self._load.stop()
        self.jobs.wake()

    def _check_patience(self, now: float) -> None:
        if self.fleet.failure is not None and not self.fleet.streams:
            self.jobs.fail(self.fleet.failure)
        if self.allowance is not None and self.allowance.is_closed:
            self.last_news = now
        seconds = now - self.last_news
        if self._load.awaits_link and seconds > self.terms.patience_seconds:
            why = f" {self.fleet.trouble}" if self.fleet.trouble else ""
            self.jobs.fail(TransientError(f"{self._silence} {seconds:.0f} s; what has arrived is kept.{why}"))

    def _adapt(self, now: float) -> None:
        held = self.held_back_by()
        if self.allowance is not None and self.allowance.is_closed:
            held = "the route's timetable"
        if self.rounds.look(now, bytes_received=self.bytes_received, is_busy=self._load.has_more, held_back_by=held):
            self.wanted_changed()
            self.fleet.fill()
