"""Moves the bytes of one push over many connections. Everything here runs in the loop of the pool.

OpenSSH takes no more than 2 MiB over a connection before it must answer, whatever else is tuned: 8 MB/s at a round trip
of 250 ms. So a push needs many. Each connection has a few tasks that take spans, open the file there and send pieces;
answers come as they come. What was sent and not acknowledged when a connection is lost is sent again on another.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, TypeVar

import asyncssh

from include.errors import MissingFileError, TransientError
from include.storage.disk import DiskStorage
from include.storage.sftp_connection import SftpAddress
from include.transfer import adapt, push_work
from include.transfer.adapt import Decision, Round
from include.transfer.blocks import Item
from include.transfer.engine import Arrived, Damage
from include.transfer.fleet import Fleet
from include.transfer.pace import LUMP_BYTES, Pace
from include.transfer.pool import Pool
from include.transfer.push_stream import PushStream
from include.transfer.push_streams import first
from include.transfer.push_work import PushBlock, PushItem, PushSpan
from include.transfer.remote_part import Folders, RemotePart

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.25
SENDERS = 3
"""Tasks a connection: while one opens a file, which takes a round trip behind what is under way, others send."""
FEW_STREAMS = 8
HELD_BYTES = 144 * 1024 * 1024
"""Of pieces that were read and not acknowledged, all connections together."""
AHEAD_BYTES = 192 * 1024 * 1024
"""Verified and not sent; it is in the page cache, not in memory of ours."""
AHEAD_ITEMS = 256
PREPARED_AT_ONCE = 64
LATE_SECONDS = 2.0
LATE_ROUND_TRIPS = 8
ROUND_SECONDS = 3.0
ROUND_ROUND_TRIPS = 10
TRIES = 2

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class PushTask:
    """What an engine is to do. `ends_at` and `patience_seconds` are in the monotonic clock's seconds."""

    items: Sequence[Item]
    origin: str
    source: DiskStorage
    destination: str
    address: SftpAddress
    ends_at: float
    patience_seconds: float
    most_streams: int
    remembered: int | None
    pace: Pace | None
    host: adapt.Host


class _Queue:
    """Spans to be sent, those of earlier blocks first."""

    def __init__(self) -> None:
        self._spans: asyncio.PriorityQueue[tuple[int, int, PushSpan]] = asyncio.PriorityQueue()
        self._number = count()

    def put(self, span: PushSpan) -> None:
        """Have it sent."""
        self._spans.put_nowait((span.block.order, next(self._number), span))

    async def take(self) -> PushSpan:
        """Wait for one."""
        return (await self._spans.get())[2]

    @property
    def is_empty(self) -> bool:
        """Tell whether `take` would wait."""
        return self._spans.empty()


class PushEngine:
    """One push. `tell` is called with what happens, in the loop's thread."""

    def __init__(self, task: PushTask, *, pool: Pool, tell: Callable[[Arrived | Decision], None]) -> None:
        self.bytes_sent = 0
        self.bytes_skipped = 0
        self.bytes_received = 0
        """Acknowledged by the server."""
        self.damage: list[Damage] = []
        self.is_finished = False
        self._task = task
        self._tell = tell
        self._folders = Folders(task.address.root, place=task.address.place)
        self._fleet: Fleet[PushStream] = Fleet(task.address, pool=pool, made=PushStream, joined=self._joined)
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="push")
        self._jobs: set[asyncio.Task[None]] = set()
        self._queue = _Queue()
        self._to_verify: asyncio.Queue[PushBlock] = asyncio.Queue()
        self._open: dict[PushBlock, None] = {}
        self._items: set[PushItem] = set()
        self._items_left = len(task.items)
        self._verified_bytes = 0
        self._held_bytes = 0
        self._order = count()
        self._begins_blocks = True
        self._wake = asyncio.Event()
        self._freed = asyncio.Event()
        self._stream_came = asyncio.Event()
        self._paying = asyncio.Lock()
        self._allowance = 0
        self._unpaid_since = 0.0
        self._rounds: tuple[Round, ...] = ()
        self._round_began = (0.0, 0)
        self._last_news = time.monotonic()
        self._error: BaseException | None = None
        self._ended = False

    # ----- the whole

    async def run(self) -> None:
        """Move everything, or as much as time allows.

        Raises:
            DtsError: as push says.
        """
        self._fleet.start(min(self._task.most_streams, self._task.remembered or 2))
        clock = asyncio.create_task(self._clock())
        self._work_on(self._prepare_all())
        self._work_on(self._feed())
        try:
            while not self._is_over():
                await self._wake.wait()
                self._wake.clear()
            if self._error is not None:
                raise self._error
            self.is_finished = self._items_left == 0
        finally:
            clock.cancel()
            await self._end()

    def _stop(self) -> None:
        """Complete the blocks of which something was sent, and begin no more."""
        self._begins_blocks = False
        begun = [work for work in self._open if work.taken_at]
        for work in [work for work in list(self._open)[not begun :] if not work.taken_at]:
            self._forget(work)
        self._freed.set()

    def _forget(self, work: PushBlock) -> None:
        """What has not been sent of it is not sent."""
        del self._open[work]
        self._verified_bytes -= sum(work.place(piece)[1] for piece in work.unacknowledged)
        work.unacknowledged.clear()

    def _is_over(self) -> bool:
        if self._error is not None:
            return True
        stopped = not self._begins_blocks and not self._open
        return (stopped or self._items_left == 0) and not any(job.get_name() == "arrival" for job in self._jobs)

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
        self._wake.set()

    async def _end(self) -> None:
        self._ended = True
        self._fleet.hand_over()
        senders = [sender for stream in self._fleet.streams for sender in stream.senders]
        for job in [*self._jobs, *senders]:
            job.cancel()
        await asyncio.gather(*self._jobs, *senders, return_exceptions=True)
        for stream in self._fleet.streams:
            for item in list(stream.handles):
                stream.forget(item)
            if not stream.is_idle:
                stream.line.abort("the transfer ended")
        self._fleet.end()
        for item in self._items:
            item.close()
        self._threads.shutdown(wait=False)

    def _work_on(self, job: Coroutine[Any, Any, None], *, name: str = "") -> None:
        task = asyncio.create_task(job, name=name)
        self._jobs.add(task)
        task.add_done_callback(self._job_done)

    def _job_done(self, job: "asyncio.Task[None]") -> None:
        self._jobs.discard(job)
        if not job.cancelled() and (error := job.exception()) is not None:
            self._fail(error)
        self._wake.set()

    async def _somewhere(self, act: Callable[[PushStream], Awaitable[Result]], path: str) -> Result:
        """Do it over whatever connection there is, again on another if that one is lost."""
        while True:
            usable = [stream for stream in self._fleet.streams if stream.line.is_usable and not stream.is_leaving]
            if not usable:
                self._stream_came.clear()
                await self._stream_came.wait()
                continue
            stream = min(usable, key=lambda one: one.under_way_bytes)
            try:
                with stream.asking():
                    return await act(stream)
            except asyncssh.SFTPError as error:
                raise self._fleet.translated(error, path) from error
            except (OSError, asyncssh.Error):
                await asyncio.sleep(0)  # the connection is gone; the clock removes it
                self._lost(stream)

    async def _handle(self, stream: PushStream, item: PushItem) -> bytes:
        """Return the item's file, open on this connection."""
        opening = stream.handles.get(item)
        if opening is None or opening.cancelled() or (opening.done() and opening.exception() is not None):
            opening = stream.handles[item] = asyncio.ensure_future(item.part.open(stream.writes))
        with stream.asking():
            return await asyncio.shield(opening)

    # ----- what there is to do

    async def _prepare_all(self) -> None:
        await self._somewhere(lambda stream: self._folders.require_root(stream.writes), self._task.address.root)
        gate = asyncio.Semaphore(PREPARED_AT_ONCE)
        for item in self._task.items:
            while self._begins_blocks and len(self._items) > AHEAD_ITEMS:
                self._freed.clear()
                await self._freed.wait()
            await gate.acquire()
            if not self._begins_blocks:
                return
            work = PushItem(item, RemotePart(item, folders=self._folders), 0)
            self._items.add(work)
            self._work_on(self._prepare(work, gate))

    async def _prepare(self, work: PushItem, gate: asyncio.Semaphore) -> None:
        try:
            found = await self._somewhere(lambda stream: work.part.prepare(stream.writes), work.item.path)
        finally:
            gate.release()
        self.bytes_skipped += work.item.content.size_bytes - sum(block.length for block in found.missing)
        work.blocks_left = len(found.missing)
        if found.is_complete:
            self._leave(work)
            return
        for block in found.missing:
            self._to_verify.put_nowait(PushBlock(work, block, next(self._order)))
        if not found.missing:
            self._work_on(self._finish(work), name="arrival")

    async def _feed(self) -> None:
        """Verify blocks where they lie, a little before they are sent."""
        while True:
            work = await self._to_verify.get()
            while self._verified_bytes > AHEAD_BYTES:
                self._freed.clear()
                await self._freed.wait()
            if not self._begins_blocks:
                self._wake.set()
                return
            self._open[work] = None
            if not work.item.is_dropped and await self._is_verified(work) and work in self._open:
                self._verified_bytes += work.block.length
                for span in work.spans(fine=self._fleet.wanted > FEW_STREAMS):
                    self._queue.put(span)
            else:
                self._open.pop(work, None)
                self._wake.set()

    async def _is_verified(self, work: PushBlock) -> bool:
        loop = asyncio.get_running_loop()
        job = partial(push_work.verify, work, source=self._task.source)
        name, block, path = work.item.item.content.name, work.block, work.item.item.path
        found = ""
        try:
            for _ in range(TRIES):
                found = await loop.run_in_executor(self._threads, job)
                if found == block.checksum:
                    return True
                logger.warning("Block %d of %s reads wrong at %s.", block.number, path, self._task.origin)
        except push_work.Short:
            sentence = (
                f"{name} ends at {self._task.origin} before byte {block.end}: the copy of {path} there is damaged."
            )
            self._drop(work.item, sentence)
            return False
        except MissingFileError as error:
            self._drop(work.item, f"{name} is not at {self._task.origin}: {error}.", is_missing=True)
            return False
        self._drop(
            work.item,
            f"{name}: block {block.number} (bytes {block.offset} to {block.end}) was read at {self._task.origin}"
            f" with checksum {found} instead of {block.checksum}, twice: the copy of {path} there is damaged.",
        )
        return False

    # ----- sending

    def _joined(self, stream: PushStream) -> None:
        if not self._rounds:
            self._decide_first()
        self._last_news = time.monotonic()
        self._stream_came.set()
        for _ in range(SENDERS):
            sender = asyncio.create_task(self._serve(stream))
            stream.senders.add(sender)
            sender.add_done_callback(partial(self._sender_done, stream))

    def _sender_done(self, stream: PushStream, sender: "asyncio.Task[None]") -> None:
        stream.senders.discard(sender)
        if not sender.cancelled() and (error := sender.exception()) is not None:
            self._fail(error)

    def _decide_first(self) -> None:
        trip = self._fleet.round_trip_seconds
        decision = first(round_trip_seconds=trip, host=self._task.host, remembered=self._task.remembered)
        self._fleet.wanted = min(decision.streams, self._task.most_streams)
        self._rounds = (Round(0, 0.0),)
        self._tell(Decision(self._fleet.wanted, decision.why))

    async def _serve(self, stream: PushStream) -> None:
        while not stream.is_leaving and stream.line.is_usable:
            span = await self._queue.take()
            left = list(span.pieces)
            try:
                await self._send(stream, span.block, left)
            except asyncssh.SFTPError as error:
                self._fail(self._fleet.translated(error, span.block.item.item.path))
                return
            except (OSError, asyncssh.Error):
                self._lost(stream)
                return
            finally:
                if left and not self._ended:
                    self._queue.put(PushSpan(span.block, left))

    async def _send(self, stream: PushStream, work: PushBlock, left: list[int]) -> None:
        """Send pieces; each leaves `left` once it is under way."""
        while left:
            piece = left[0]
            if work.item.is_dropped or piece not in work.unacknowledged:
                left.pop(0)
                continue
            work.taken_at[piece] = time.monotonic()
            handle = await self._handle(stream, work.item)
            _, length = work.place(piece)
            await stream.wait_for_room(length)
            await self._hold(length)
            try:
                content = await self._read(work, piece)
                if content is not None:
                    await self._pay(length)
                    self._write(stream, work, piece, handle=handle, content=content)
            except BaseException:
                self._release(length)
                raise
            if content is None:
                self._release(length)
                left.clear()
                self._look_again(work)
                return
            left.pop(0)

    def _write(self, stream: PushStream, work: PushBlock, piece: int, *, handle: bytes, content: bytearray) -> None:
        offset, length = work.place(piece)
        answer = stream.writes.write(handle, offset=offset, content=content)
        stream.sent(length)
        answer.add_done_callback(partial(self._answered, stream, work, piece, length))

    def _answered(
        self, stream: PushStream, work: PushBlock, piece: int, length: int, answer: "asyncio.Future[bytearray]"
    ) -> None:
        self._release(length)
        error = None if answer.cancelled() else answer.exception()
        stream.answered(length, acknowledged=error is None)
        if self._ended:
            return
        if isinstance(error, asyncssh.SFTPError):
            failed = self._fleet.translated(error, work.item.item.path)
            failed.__cause__ = error
            self._fail(failed)
        elif error is not None:
            if piece in work.unacknowledged:
                self._queue.put(PushSpan(work, [piece]))
        elif piece in work.unacknowledged:
            self._last_news = time.monotonic()
            self.bytes_received += length
            self._verified_bytes -= length
            self._freed.set()
            work.unacknowledged.discard(piece)
            if not work.unacknowledged and work in self._open:
                self._work_on(self._commit(work), name="arrival")

    async def _read(self, work: PushBlock, piece: int) -> bytearray | None:
        """Out of the page cache, where it was just verified, or else in a thread."""
        found = push_work.read_now(work, piece)
        if found is None and not work.item.is_dropped:
            loop = asyncio.get_running_loop()
            try:
                found = await loop.run_in_executor(self._threads, push_work.read, work, piece)
            except OSError as error:
                place = f"{work.item.item.path} at {self._task.origin}"
                raise TransientError(f"{place}: {error.strerror or error}") from error
        return found

    def _look_again(self, work: PushBlock) -> None:
        """What was verified does not read the same again: it is verified anew, and damaged if that goes wrong."""
        if work in self._open and not work.item.is_dropped:
            logger.warning("%s at %s changed while it was read.", work.item.item.path, self._task.origin)
            self._forget(work)
            self._to_verify.put_nowait(PushBlock(work.item, work.block, work.order))

    async def _hold(self, size_bytes: int) -> None:
        while self._held_bytes + size_bytes > HELD_BYTES:
            self._freed.clear()
            await self._freed.wait()
        self._held_bytes += size_bytes

    def _release(self, size_bytes: int) -> None:
        self._held_bytes -= size_bytes
        self._freed.set()

    async def _pay(self, size_bytes: int) -> None:
        pace = self._task.pace
        if pace is None:
            return
        async with self._paying:
            while self._allowance < size_bytes:
                self._unpaid_since = time.monotonic()
                await pace.acquire(LUMP_BYTES)
                self._unpaid_since = 0.0
                self._allowance += LUMP_BYTES
            self._allowance -= size_bytes

    # ----- at the destination

    async def _commit(self, work: PushBlock) -> None:
        item = work.item

        async def settle(stream: PushStream) -> None:
            await item.part.commit(stream.writes, await self._handle(stream, item), work.block)

        await self._somewhere(settle, item.item.path)
        self._open.pop(work, None)
        self._last_news = time.monotonic()
        self.bytes_sent += work.block.length
        item.blocks_left -= 1
        if item.blocks_left == 0 and not item.is_dropped:
            await self._finish(item)
        self._news(item.item)

    async def _finish(self, item: PushItem) -> None:
        async def finish(stream: PushStream) -> None:
            if not item.item.content.size_bytes:
                await self._handle(stream, item)  # a file without a byte
            await item.part.finish(stream.writes)

        await self._somewhere(finish, item.item.path)
        self._leave(item)

    def _drop(self, item: PushItem, sentence: str, *, is_missing: bool = False) -> None:
        """Give an item up; all others go on."""
        if item.is_dropped:
            return
        item.is_dropped = True
        logger.warning("%s", sentence)
        self.damage.append(Damage(item.item, sentence, is_missing))
        for work in [work for work in self._open if work.item is item and work.unacknowledged]:
            self._forget(work)
        self._leave(item)

    def _leave(self, item: PushItem) -> None:
        self._items_left -= 1
        self._items.discard(item)
        item.close()
        for stream in self._fleet.streams:
            stream.forget(item)
        self._freed.set()
        self._wake.set()

    # ----- looking after it

    async def _clock(self) -> None:
        news_at = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            try:
                self._tick(now)
                if now - news_at >= 1.0:
                    news_at = now
                    self._news(None)
            except Exception as error:  # noqa: BLE001 - a clock that stops would stop everything without a word
                self._fail(error)

    def _tick(self, now: float) -> None:
        for stream in list(self._fleet.streams):
            stream.measure(now)
            if not stream.line.is_usable:
                self._lost(stream)
            elif stream.is_leaving and stream.is_idle:
                self._lost(stream)  # it goes back to the pool
        for stream in self._fleet.silent(now):
            stream.line.abort("no byte came for too long")
            self._lost(stream)
        self._fleet.fill()
        self._check_patience(now)
        self._repeat_late(now)
        self._adapt(now)
        if now >= self._task.ends_at and (self.bytes_sent or self._open) and self._begins_blocks:
            self._stop()
        self._wake.set()

    def _lost(self, stream: PushStream) -> None:
        for sender in stream.senders:
            if sender is not asyncio.current_task():
                sender.cancel()
        for item in list(stream.handles):
            stream.forget(item)
        self._fleet.remove(stream)

    def _check_patience(self, now: float) -> None:
        if self._fleet.failure is not None and not self._fleet.streams:
            self._fail(self._fleet.failure)
        if self._unpaid_since:
            self._last_news = now  # a closed road is no trouble
        if now - self._last_news > self._task.patience_seconds:
            why = f" {self._fleet.trouble}" if self._fleet.trouble else ""
            seconds = f"{now - self._last_news:.0f} s"
            self._fail(
                TransientError(f"{self._task.destination} took nothing for {seconds}; what has arrived is kept.{why}")
            )

    def _repeat_late(self, now: float) -> None:
        """At the end, let connections that have nothing to do send what is late once more: what comes first counts."""
        if not self._queue.is_empty or not self._to_verify.empty() or self._unpaid_since:
            return
        late = max(LATE_SECONDS, LATE_ROUND_TRIPS * self._fleet.round_trip_seconds)
        for work in list(self._open):
            pieces = [
                piece
                for piece in sorted(work.unacknowledged - work.repeated)
                if now - work.taken_at.get(piece, now) > late
            ]
            for piece in pieces:
                work.repeated.add(piece)
                self._queue.put(PushSpan(work, [piece]))

    def _adapt(self, now: float) -> None:
        """Measure a round, and change the number of connections if that helps."""
        length = max(ROUND_SECONDS, ROUND_ROUND_TRIPS * self._fleet.round_trip_seconds)
        began, acknowledged = self._round_began
        streams = len(self._fleet.streams)
        youngest = max((stream.begun_at for stream in self._fleet.streams), default=now)
        if not began or streams != self._fleet.wanted or now - youngest < length or self._queue.is_empty:
            self._round_began = (now, self.bytes_received)
            return
        if now - began < length:
            return
        rate = (self.bytes_received - acknowledged) / (now - began)
        self._round_began = (now, self.bytes_received)
        self._rounds = (*self._rounds[-20:], Round(streams, rate))
        held = None
        if self._unpaid_since:
            held = "the route's timetable"
        if self._fleet.round_trip_seconds < adapt.NEAR_SECONDS:
            held = "the processor"
        decision = adapt.change(self._rounds[1:], most=self._task.most_streams, held_back_by=held)
        if decision.streams != streams:
            self._fleet.wanted = decision.streams
            self._fleet.fill()
        self._tell(decision)

    def _news(self, item: Item | None) -> None:
        rate = sum(stream.rate for stream in self._fleet.streams)
        streams = len(self._fleet.streams)
        self._tell(Arrived(item, self.bytes_sent, self.bytes_skipped, self.bytes_received, rate, streams))
