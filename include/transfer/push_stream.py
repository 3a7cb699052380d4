"""One connection of a push: what it has under way, the files it has open, and the tasks that send over it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from include.transfer.connect import Line
from include.transfer.push_work import PushItem
from include.transfer.sftp_writes import SftpWrites

WINDOW_BYTES = 3 * 1024 * 1024
"""OpenSSH takes 2 MiB before it must say that it wants more; the rest waits here for that word."""

PATIENCE_FACTOR = 2.0
"""What is sent is acknowledged in larger lumps than what is asked for comes."""

SMOOTHING = 0.3


@dataclass(eq=False)
class PushStream:
    """In the loop's thread."""

    line: Line
    is_leaving: bool = False
    """It finishes what it has, and gets no more."""
    begun_at: float = field(default_factory=time.monotonic)
    rate: float = 0.0
    under_way_bytes: int = 0
    acknowledged_bytes: int = 0
    senders: "set[asyncio.Task[None]]" = field(default_factory=set)
    handles: "dict[PushItem, asyncio.Future[bytes]]" = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.writes = SftpWrites(self.line.reads)
        self.room = asyncio.Event()
        self._asking = 0
        self._waits_since = time.monotonic()
        self._counted = (time.monotonic(), 0)

    async def handle(self, item: PushItem) -> bytes:
        """Return the item's file, open on this connection."""
        opening = self.handles.get(item)
        if opening is None or opening.cancelled() or (opening.done() and opening.exception() is not None):
            opening = self.handles[item] = asyncio.ensure_future(item.part.open(self.writes))
        with self.asking():
            return await asyncio.shield(opening)

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing is under way."""
        return not self.under_way_bytes and not self._asking

    @contextmanager
    def asking(self) -> Iterator[SftpWrites]:
        """While something is asked for that is to be answered."""
        self._begin_waiting()
        self._asking += 1
        try:
            yield self.writes
        finally:
            self._asking -= 1

    def sent(self, size_bytes: int) -> None:
        """Note a piece under way."""
        self._begin_waiting()
        self.under_way_bytes += size_bytes

    def answered(self, size_bytes: int, *, acknowledged: bool) -> None:
        """Note what became of one."""
        self.under_way_bytes -= size_bytes
        if acknowledged:
            self.acknowledged_bytes += size_bytes
        self.room.set()

    def _begin_waiting(self) -> None:
        if self.is_idle:
            self._waits_since = time.monotonic()

    async def wait_for_room(self, size_bytes: int) -> None:
        """Return when so much may be sent."""
        while self.under_way_bytes and self.under_way_bytes + size_bytes > WINDOW_BYTES:
            self.room.clear()
            await self.room.wait()

    def silent_seconds(self, now: float) -> float:
        """Return for how long it has been waiting without a byte."""
        if self.is_idle:
            return 0.0
        return (now - max(self.line.reads.received_at, self._waits_since)) / PATIENCE_FACTOR

    def measure(self, now: float) -> None:
        """Bring the rate up to date."""
        at, counted = self._counted
        if now - at >= 0.1:
            rate = (self.acknowledged_bytes - counted) / (now - at)
            self.rate = rate if not self.rate else self.rate + SMOOTHING * (rate - self.rate)
            self._counted = (now, self.acknowledged_bytes)

    def forget(self, item: PushItem) -> None:
        """The item is done: its file is closed here."""
        handle = self.handles.pop(item, None)
        if handle is not None and handle.done() and not handle.cancelled() and handle.exception() is None:
            self.writes.close(handle.result())
