"""Moves the bytes of one push over many connections. Everything here runs in the loop of the pool.

OpenSSH takes no more than 2 MiB over a connection before it must answer, whatever else is tuned: 8 MB/s at a round trip
of 250 ms. So a push needs many. Blocks are verified where they lie (verifying.py), sent by a few tasks a connection
(sending.py), and kept at the destination by its own journal (remote_part.py).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import asyncssh

from include.storage.disk import DiskStorage
from include.storage.sftp_connection import SftpAddress
from include.transfer import push_streams
from include.transfer.adapt import Decision
from include.transfer.blocks import Item
from include.transfer.course import Course
from include.transfer.news import Tell
from include.transfer.outgoing import Outgoing
from include.transfer.pool import Pool
from include.transfer.push_stream import PushStream
from include.transfer.push_work import PushBlock, PushItem
from include.transfer.remote_part import Folders, RemotePart
from include.transfer.sending import Sending
from include.transfer.terms import Terms
from include.transfer.verifying import Verifying

logger = logging.getLogger(__name__)

SENDERS = 3
"""Tasks a connection: while one opens a file, which takes a round trip behind what is under way, others send."""
AHEAD_ITEMS = 256
PREPARED_AT_ONCE = 64
LATE_SECONDS = 2.0
LATE_ROUND_TRIPS = 8

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class PushTask:
    """What an engine is to do. `origin` and `destination` are for messages."""

    items: Sequence[Item]
    origin: str
    source: DiskStorage
    destination: str
    address: SftpAddress
    terms: Terms


class PushEngine(Course[PushStream]):
    """One push. What it has received is what the server has acknowledged."""

    def __init__(self, task: PushTask, *, pool: Pool, tell: Tell) -> None:
        self._task = task
        self._outgoing = Outgoing()
        super().__init__(
            task.items,
            terms=task.terms,
            address=task.address,
            pool=pool,
            tell=tell,
            made=PushStream,
            load=self._outgoing,
            silence=f"{task.destination} took nothing for",
        )
        self._folders = Folders(task.address.root, place=task.address.place)
        self._items: set[PushItem] = set()
        self._stream_came = asyncio.Event()
        self._verifying = Verifying(self, self._outgoing, origin=task.origin, source=task.source, drop=self._drop)
        self._sending = Sending(self, self._outgoing, origin=task.origin, on_whole=self._whole)

    def begin(self) -> None:
        self.jobs.start(self._prepare_all())
        self.jobs.start(self._verifying.run())

    def first(self, round_trip_seconds: float) -> Decision:
        remembered = self.terms.remembered_streams
        return push_streams.first(round_trip_seconds=round_trip_seconds, host=self.host, remembered=remembered)

    def joined(self, stream: PushStream) -> None:
        self._stream_came.set()
        for _ in range(SENDERS):
            sender = asyncio.create_task(self._sending.serve(stream))
            stream.senders.add(sender)
            sender.add_done_callback(partial(self._sender_done, stream))

    def lost(self, stream: PushStream) -> None:
        for sender in stream.senders:
            if sender is not asyncio.current_task():
                sender.cancel()
        for item in list(stream.handles):
            stream.forget(item)
        self.fleet.remove(stream)

    def look_after(self, now: float) -> None:
        for stream in [stream for stream in self.fleet.streams if stream.is_leaving and stream.is_idle]:
            self.lost(stream)  # it goes back to the pool
        is_closed = self.allowance is not None and self.allowance.is_closed
        if self._outgoing.is_all_taken and not is_closed:
            late = max(LATE_SECONDS, LATE_ROUND_TRIPS * self.fleet.round_trip_seconds)
            self._outgoing.repeat_late(now, late_seconds=late)

    async def close(self) -> None:
        senders = [sender for stream in self.fleet.streams for sender in stream.senders]
        for sender in senders:
            sender.cancel()
        await self.jobs.end(breaks_off_keeping=True)
        await asyncio.gather(*senders, return_exceptions=True)
        for stream in self.fleet.streams:
            for item in list(stream.handles):
                stream.forget(item)
            if not stream.is_idle:
                stream.line.abort("the transfer ended")
        for item in self._items:
            item.close()

    def _sender_done(self, stream: PushStream, sender: "asyncio.Task[None]") -> None:
        stream.senders.discard(sender)
        if not sender.cancelled() and (error := sender.exception()) is not None:
            self.jobs.fail(error)

    async def _somewhere(self, act: Callable[[PushStream], Awaitable[Result]], path: str) -> Result:
        """Do it over whatever connection there is, again on another if that one is lost."""
        while True:
            usable = [stream for stream in self.fleet.streams if stream.line.is_usable and not stream.is_leaving]
            if not usable:
                self._stream_came.clear()
                await self._stream_came.wait()
                continue
            stream = min(usable, key=lambda one: one.under_way_bytes)
            try:
                with stream.asking():
                    return await act(stream)
            except asyncssh.SFTPError as error:
                raise self.fleet.translated(error, path) from error
            except (OSError, asyncssh.Error):
                await asyncio.sleep(0)  # the connection is gone; the clock removes it
                self.lost(stream)

    # ----- items

    async def _prepare_all(self) -> None:
        await self._somewhere(lambda stream: self._folders.require_root(stream.writes), self._task.address.root)
        gate = asyncio.Semaphore(PREPARED_AT_ONCE)
        load = self._outgoing
        for item in self._task.items:
            while load.begins_blocks and len(self._items) > AHEAD_ITEMS:
                load.freed.clear()
                await load.freed.wait()
            await gate.acquire()
            if not load.begins_blocks:
                return
            work = PushItem(item, RemotePart(item, folders=self._folders), 0)
            self._items.add(work)
            self.jobs.start(self._prepare(work, gate))

    async def _prepare(self, work: PushItem, gate: asyncio.Semaphore) -> None:
        try:
            found = await self._somewhere(lambda stream: work.part.prepare(stream.writes), work.item.path)
        finally:
            gate.release()
        self.bytes_skipped += work.item.content.size_bytes - sum(block.length for block in found.missing)
        work.blocks_left = len(found.missing)
        if found.is_complete:
            self.items_left -= 1
            self._leave(work)
            return
        for block in found.missing:
            self._outgoing.add(work, block)
        if not found.missing:
            self.jobs.start(self._finish(work), keeps=True)

    def _whole(self, work: PushBlock) -> None:
        self.jobs.start(self._commit(work), keeps=True)

    async def _commit(self, work: PushBlock) -> None:
        item = work.item

        async def settle(stream: PushStream) -> None:
            await item.part.commit(stream.writes, await stream.handle(item), work.block)

        await self._somewhere(settle, item.item.path)
        self._outgoing.open.pop(work, None)
        self.last_news = time.monotonic()
        self.bytes_sent += work.block.length
        item.blocks_left -= 1
        if item.blocks_left == 0 and not item.is_dropped:
            await self._finish(item)
        self.news(item.item)

    async def _finish(self, item: PushItem) -> None:
        async def finish(stream: PushStream) -> None:
            if not item.item.content.size_bytes:
                await stream.handle(item)  # a file without a byte
            await item.part.finish(stream.writes)

        await self._somewhere(finish, item.item.path)
        self.items_left -= 1
        self._leave(item)

    def _drop(self, item: PushItem, sentence: str, *, is_missing: bool = False) -> None:
        """Give an item up; all others go on."""
        if item.is_dropped:
            return
        item.is_dropped = True
        logger.warning("%s", sentence)
        self.give_up(item.item, sentence, is_missing=is_missing)
        for work in [work for work in self._outgoing.open if work.item is item and work.unacknowledged]:
            self._outgoing.forget(work)
        self._leave(item)

    def _leave(self, item: PushItem) -> None:
        self._items.discard(item)
        item.close()
        for stream in self.fleet.streams:
            stream.forget(item)
        self._outgoing.freed.set()
        self.jobs.wake()
