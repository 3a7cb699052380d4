"""Moves the bytes of one pull over several connections at once. Everything here runs in the loop of the pool.

What is missing is prepared a little ahead (here), asked for (asking.py), gathered (incoming.py), and whole blocks are
verified and written in threads (keeping.py).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from include.plurals import counted
from include.storage.sftp_connection import SftpAddress
from include.transfer import adapt, arrivals
from include.transfer.adapt import Decision
from include.transfer.arena import ARENA_BYTES
from include.transfer.asking import Asking
from include.transfer.blocks import Item
from include.transfer.core import Core
from include.transfer.course import TICK_SECONDS, Course
from include.transfer.helping import Helping
from include.transfer.incoming import Incoming
from include.transfer.keeping import Keeping
from include.transfer.news import Tell
from include.transfer.pool import Pool
from include.transfer.stream import LEAST_WINDOW_BYTES, Stream
from include.transfer.terms import Terms
from include.transfer.work import SPAN_BYTES

UNDER_WAY = 2.5
FEW_STREAMS = 14
AHEAD_BYTES = 256 * 1024 * 1024
AHEAD_ITEMS = 256
PREPARED_AT_ONCE = 32
WORTH_BYTES = 2_000_000_000
"""A second process takes a second to begin, and both have less memory: less than this is not shared."""


@dataclass(frozen=True, slots=True)
class PullTask:
    """What an engine is to do. `origin` is for messages."""

    items: Sequence[Item]
    origin: str
    address: SftpAddress
    root: Path
    terms: Terms
    arena_bytes: int = ARENA_BYTES
    may_share: bool = False
    """Stop, and say so, when one core is too little and enough is left for another process (by_two.py)."""


class PullEngine(Course[Stream]):
    """One pull."""

    def __init__(self, task: PullTask, *, pool: Pool, tell: Tell) -> None:
        self._task = task
        self.is_shared = False
        """It ended for another process to take part."""
        self._share_bytes = 0
        self._core = Core()
        self._incoming = Incoming(
            task.root, unpacks=any(item.twin is not None for item in task.items), arena_bytes=task.arena_bytes
        )
        super().__init__(
            task.items,
            terms=task.terms,
            address=task.address,
            pool=pool,
            tell=tell,
            made=lambda line: Stream(line, self._share_bytes),
            load=self._incoming,
            silence=f"nothing came from {task.origin} for",
        )
        self._keeping = Keeping(self, self._incoming, origin=task.origin, root=task.root, on_room=self._pump_all)
        self._asking = Asking(self, self._incoming, self._keeping, origin=task.origin, root=task.address.root)
        self._helping = Helping(self.fleet, self._incoming, self._asking)

    def begin(self) -> None:
        self.jobs.start(self._prepare_all())
        if self.allowance is not None:
            self.jobs.start(self.allowance.top_up(self._pump_all))

    def first(self, round_trip_seconds: float) -> Decision:
        remembered = self.terms.remembered_streams
        return adapt.first(round_trip_seconds=round_trip_seconds, host=self.host, remembered=remembered)

    def reached(self, round_trip_seconds: float) -> None:
        """Connect as many as will be needed, as soon as it is known how far away the server is."""
        if not self.rounds.has_begun and self.terms.remembered_streams is None and not self.fleet.streams:
            self.fleet.start(min(self.first(round_trip_seconds).streams, self.terms.most_streams))

    def joined(self, stream: Stream) -> None:
        self._asking.pump(stream)

    def lost(self, stream: Stream) -> None:
        self.fleet.remove(stream)
        while (span := stream.take_back()) is not None:
            self._incoming.queue.give_back(span)
        self._pump_all()

    def look_after(self, now: float) -> None:
        if self._incoming.is_short:
            self._keeping.spill()
        self._pump_all()
        self._helping.help(now)
        if self._task.may_share and self._incoming.begins_blocks:
            self._share_if_full(now)

    def held_back_by(self) -> str | None:
        is_blocked = self._asking.blocked_at > self.rounds.began_at and not self._incoming.open
        return "the disk here" if is_blocked else None

    def wanted_changed(self) -> None:
        """Say what each connection has under way at least.

        Few share what the link and its queue hold, and half as much again. Of many, some are slow, and what those hold
        up fills the memory behind them: each gets little, and more only as its own rate grows.
        """
        streams = self.fleet.wanted
        held = UNDER_WAY * adapt.LINK_BYTES_PER_SECOND * self.fleet.round_trip_seconds / streams
        is_fine = streams > FEW_STREAMS
        self._incoming.queue.is_fine = is_fine
        self._share_bytes = LEAST_WINDOW_BYTES if is_fine else max(int(held), SPAN_BYTES)
        for stream in self.fleet.streams:
            stream.share_bytes = self._share_bytes

    async def close(self) -> None:
        await self.jobs.end(breaks_off_keeping=False)  # what was begun on the disk is ended there
        for stream in self.fleet.streams:
            for opening in stream.opening.values():
                opening.cancel()
            for item in list(stream.handles):
                stream.forget(item)
            if stream.asked and self.jobs.error is not None:
                stream.line.abort("the transfer ended")
        self._keeping.close()
        self._incoming.arena.release()

    def _share_if_full(self, now: float) -> None:
        left = sum(item.content.size_bytes for item in self._task.items) - self.bytes_skipped - self.bytes_sent
        why = self._core.full(now)
        if why is None or left < WORTH_BYTES:
            return
        self.is_shared = True
        rate = sum(stream.rate for stream in self.fleet.streams)
        streams = self.fleet.wanted
        self.tell(
            Decision(
                streams,
                f"{rate / 1e6:.1f} MB/s with {counted(streams, 'connection')}: {why}; a second process, with as many"
                " of its own, takes half of what is left.",
            )
        )
        self._incoming.stop()

    def _pump_all(self) -> None:
        self._asking.pump_all()

    async def _prepare_all(self) -> None:
        items, queue = self._task.items, self._incoming.queue
        at = 0
        while at < len(items) and queue.begins_blocks:
            if queue.waiting_bytes > AHEAD_BYTES or len(self._keeping.parts) > AHEAD_ITEMS:
                await asyncio.sleep(TICK_SECONDS / 5)
                continue
            some = items[at : at + PREPARED_AT_ONCE]
            at += len(some)
            for prepared in await self.in_thread(partial(arrivals.prepare, some, root=self._task.root)):
                self.bytes_skipped += prepared.part.item.content.size_bytes - prepared.missing_bytes
                self._keeping.add(prepared)
            self._pump_all()
