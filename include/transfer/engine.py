"""Moves the bytes of one pull over several connections at once. Everything here runs in the loop of the pool.

Each stream has requests under way for what it carries in three round trips, and holds the next spans with their files
open. Bytes go from the packet into a slot of the arena; a whole block goes to a thread that verifies and writes it.
Nothing waits: a stream is served when an answer comes, and a clock looks after everything else four times a second.
"""

import asyncio
import logging
import stat
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Any

import asyncssh

from include.errors import DtsError, MissingFileError, TransientError
from include.storage.paths import checked_path
from include.storage.sftp_connection import SftpAddress
from include.transfer import adapt, arrivals
from include.transfer.adapt import Decision, Round
from include.transfer.arena import ARENA_BYTES, Arena
from include.transfer.blocks import Item
from include.transfer.compressed import UNPACKED_BYTES, Unpacker
from include.transfer.fleet import Fleet
from include.transfer.pace import LUMP_BYTES, Pace
from include.transfer.pool import Pool
from include.transfer.sftp_reads import REQUEST_BYTES
from include.transfer.spill import Pieces, Spill
from include.transfer.stream import LEAST_WINDOW_BYTES, Ask, Stream
from include.transfer.work import SPAN_BYTES, BlockWork, ItemWork, Piece, PieceState, Queue, Span

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.25
UNDER_WAY = 2.5
FEW_STREAMS = 14
AT_ONCE_BYTES = 4 * REQUEST_BYTES
FEW_SLOTS = 160
"""With fewer free ones, what waits for the rest of its block goes to the disk."""
SPILLED_AT_ONCE = 96
RESERVE_SLOTS = 32
"""Kept for what is asked for a second time, on another stream."""
LATE_SECONDS = 1.0
LATE_ROUND_TRIPS = 5
AHEAD_BYTES = 256 * 1024 * 1024
AHEAD_ITEMS = 256
PREPARED_AT_ONCE = 32
ROUND_SECONDS = 3.0
ROUND_ROUND_TRIPS = 10
TRIES = 2


@dataclass(frozen=True, slots=True)
class Arrived:
    """A block was verified and written (or, without a block's item, a while has passed)."""

    item: Item | None
    bytes_sent: int
    bytes_skipped: int
    bytes_received: int
    rate: float
    streams: int


class Reason(Enum):
    """Why a piece is asked for."""

    FIRST = auto()
    AGAIN = auto()


@dataclass(frozen=True, slots=True)
class Damage:
    """An item whose copy at the origin is damaged or not there, and a sentence about it."""

    item: Item
    sentence: str
    is_missing: bool


@dataclass(frozen=True, slots=True)
class Task:
    """What an engine is to do. `ends_at` and `patience_seconds` are in the monotonic clock's seconds."""

    items: Sequence[Item]
    origin: str
    address: SftpAddress
    root: Path
    ends_at: float
    patience_seconds: float
    most_streams: int
    remembered: int | None
    pace: Pace | None
    host: adapt.Host


class Engine:
    """One pull. `tell` is called with what happens, in the loop's thread."""

    def __init__(self, task: Task, *, pool: Pool, tell: Callable[[Arrived | Decision], None]) -> None:
        self.bytes_sent = 0
        self.bytes_skipped = 0
        self.bytes_received = 0
        self.damage: list[Damage] = []
        self.is_finished = False
        self._task = task
        self._tell = tell
        unpacks = any(item.twin is not None for item in task.items)
        self._arena = Arena(ARENA_BYTES - UNPACKED_BYTES) if unpacks else Arena()
        self._spill = Spill(task.root)
        self._unpacker = Unpacker()
        self._queue = Queue()
        self._share_bytes = 0
        self._fleet = Fleet(
            task.address,
            pool=pool,
            made=lambda line: Stream(line, self._share_bytes),
            joined=self._joined,
            reached=self._reached,
        )
        self._threads = ThreadPoolExecutor(arrivals.WRITERS, thread_name_prefix="arrivals")
        self._jobs: set[asyncio.Task[None]] = set()
        self._open: dict[BlockWork, None] = {}
        self._items_left = len(task.items)
        self._all_prepared = False
        self._parts: set[ItemWork] = set()
        self._wake = asyncio.Event()
        self._error: BaseException | None = None
        self._allowance = 0
        self._paced = asyncio.Event()
        self._blocked_at = 0.0
        self._repeats = 0
        self._is_spilling = False
        self._rounds: tuple[Round, ...] = ()
        self._round_began = (0.0, 0)
        self._last_news = time.monotonic()
        self._ended = False

    # ----- the whole

    async def run(self) -> None:
        """Move everything, or as much as time allows.

        Raises:
            DtsError: as pull says.
        """
        task = self._task
        self._work_on(self._prepare_all())
        if task.pace is not None:
            self._work_on(self._pay(task.pace))
        begin = adapt.first(round_trip_seconds=0.05, host=task.host, remembered=task.remembered)
        self._fleet.start(min(task.most_streams, 2 if task.remembered is None else begin.streams))
        clock = asyncio.create_task(self._clock())
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

    def stop(self) -> None:
        """Complete the blocks that are under way, and begin no more."""
        self._queue.begins_blocks = False
        self._wake.set()

    def _is_over(self) -> bool:
        if self._error is not None:
            return True
        stopped = not self._queue.begins_blocks and not self._open
        return (stopped or (self._all_prepared and self._items_left == 0)) and not any(
            job for job in self._jobs if job.get_name() == "arrival"
        )

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
        self._wake.set()

    async def _end(self) -> None:
        self._ended = True
        self._fleet.hand_over()
        for job in list(self._jobs):
            if job.get_name() != "arrival":  # what was begun on the disk is ended there
                job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        for stream in self._fleet.streams:
            for opening in stream.opening.values():
                opening.cancel()
            for item in list(stream.handles):
                stream.forget(item)
            if stream.asked and self._error is not None:
                stream.line.abort("the transfer ended")
        self._fleet.end()
        for item in self._parts:
            item.part.close()
        self._threads.shutdown(wait=False)
        self._spill.close()

    def _work_on(self, job: Coroutine[Any, Any, None], *, name: str = "") -> None:
        task = asyncio.create_task(job, name=name)
        self._jobs.add(task)
        task.add_done_callback(self._job_done)

    def _job_done(self, job: "asyncio.Task[None]") -> None:
        self._jobs.discard(job)
        if not job.cancelled() and (error := job.exception()) is not None:
            self._fail(error)
        self._wake.set()

    # ----- what there is to do

    async def _prepare_all(self) -> None:
        loop = asyncio.get_running_loop()
        items = self._task.items
        at = 0
        while at < len(items) and self._queue.begins_blocks:
            if self._queue.waiting_bytes > AHEAD_BYTES or len(self._parts) > AHEAD_ITEMS:
                await asyncio.sleep(TICK_SECONDS / 5)
                continue
            some = items[at : at + PREPARED_AT_ONCE]
            at += len(some)
            job = partial(arrivals.prepare, some, root=self._task.root)
            for prepared in await loop.run_in_executor(self._threads, job):
                self.bytes_skipped += prepared.part.item.content.size_bytes - prepared.missing_bytes
                self._add(prepared)
            self._pump_all()
        self._all_prepared = at == len(items)

    def _add(self, prepared: arrivals.Prepared) -> None:
        item = ItemWork(prepared.part, len(prepared.missing), prepared.twin)
        if prepared.is_complete:
            self._items_left -= 1
            return
        self._parts.add(item)
        for block in prepared.missing:
            self._queue.add(item, block)
        if not prepared.missing:
            self._work_on(self._finish(item), name="arrival")

    async def _pay(self, pace: Pace) -> None:
        while True:
            while self._allowance >= LUMP_BYTES:
                self._paced.clear()
                await self._paced.wait()
            await pace.acquire(LUMP_BYTES)
            self._allowance += LUMP_BYTES
            self._pump_all()

    # ----- asking

    def _reached(self, trip: float) -> None:
        """Connect as many as will be needed, as soon as it is known how far away the server is."""
        if not self._rounds and self._task.remembered is None and not self._fleet.streams:
            decision = adapt.first(round_trip_seconds=trip, host=self._task.host)
            self._fleet.start(min(decision.streams, self._task.most_streams))

    def _joined(self, stream: Stream) -> None:
        if not self._rounds:
            self._decide_first()
        self._last_news = time.monotonic()
        self._pump(stream)

    def _decide_first(self) -> None:
        trip = self._fleet.round_trip_seconds
        decision = adapt.first(round_trip_seconds=trip, host=self._task.host, remembered=self._task.remembered)
        streams = min(decision.streams, self._task.most_streams)
        self._fleet.wanted = streams
        self._share()
        self._rounds = (Round(0, 0.0),)
        self._tell(Decision(streams, decision.why))

    def _share(self) -> None:
        """Say what each connection has under way at least.

        Few share what the link and its queue hold, and half as much again. Of many, some are slow, and what those hold
        up fills the memory behind them: each gets little, and more only as its own rate grows.
        """
        streams = self._fleet.wanted
        held = UNDER_WAY * adapt.LINK_BYTES_PER_SECOND * self._fleet.round_trip_seconds / streams
        self._queue.is_fine = streams > FEW_STREAMS
        share = LEAST_WINDOW_BYTES if self._queue.is_fine else max(int(held), SPAN_BYTES)
        self._share_bytes = share
        for stream in self._fleet.streams:
            stream.share_bytes = share

    def _pump_all(self) -> None:
        for stream in list(self._fleet.streams):
            self._pump(stream)

    def _pump(self, stream: Stream) -> None:
        """Give a stream work, and have it ask for as much as it may."""
        if self._ended or self._error is not None or not stream.line.is_usable:
            return
        trip = self._fleet.round_trip_seconds
        window = stream.window_bytes(round_trip_seconds=trip)
        ahead = stream.ahead_bytes(round_trip_seconds=trip)
        while not stream.is_leaving and stream.asked_bytes + stream.span_bytes < window + ahead:
            span = self._queue.take()
            if span is None:
                break
            self._give(stream, span)
        if window - stream.asked_bytes < min(AT_ONCE_BYTES, window // 2):
            return  # several requests are one packet
        while stream.asked_bytes < window:
            span = stream.next_span()
            if span is None or not self._ask(stream, span.pieces[0], Reason.FIRST):
                break
            stream.span_bytes -= span.pieces.popleft().length
        if stream.is_leaving and not stream.asked and not stream.spans:
            self._fleet.remove(stream)

    def _give(self, stream: Stream, span: Span) -> None:
        self._open.setdefault(span.work)
        item = span.work.item
        stream.give(span)
        if item not in stream.handles and item not in stream.opening:
            self._begin_opening(stream, item)

    def _begin_opening(self, stream: Stream, item: ItemWork) -> None:
        stream.waits(time.monotonic())
        stream.opening[item] = asyncio.create_task(self._open_file(stream, item))

    async def _open_file(self, stream: Stream, item: ItemWork) -> None:
        path = item.path
        absolute = f"{self._task.address.root.rstrip('/')}/{checked_path(path)}".encode()
        reads = stream.line.reads
        looking: asyncio.Task[object] | None = None
        try:
            if not item.is_seen:
                item.is_seen = True
                looking = asyncio.create_task(self._look(stream, item, absolute))
            stream.handles[item] = await reads.open(absolute)
            if looking is not None:
                await looking
        except asyncssh.SFTPError as error:
            self._not_opened(item, self._fleet.translated(error, path))
        except DtsError as error:
            self._not_opened(item, error)
        except (OSError, asyncssh.Error):
            item.is_seen = False  # the connection is gone: `_lost` gives its work to others
        finally:
            stream.opening.pop(item, None)
            if looking is not None:
                looking.cancel()
        self._pump(stream)

    def _not_opened(self, item: ItemWork, error: DtsError) -> None:
        """A file that is not there is given up alone; whatever else keeps it from being opened ends the pull."""
        if item.twin is not None:
            self._drop(item, f"{item.path} cannot be read at {self._task.origin}: {error}.")
        elif isinstance(error, MissingFileError):
            name = item.part.item.content.name
            self._drop(item, f"{name} is not at {self._task.origin}: {error}.", is_missing=True)
        else:
            self._fail(error)

    async def _look(self, stream: Stream, item: ItemWork, absolute: bytes) -> None:
        """A file that is shorter than it should be is damaged; something else than a file is none."""
        found = await stream.line.reads.attributes(absolute)
        path, name = item.path, item.part.item.content.name
        if not stat.S_ISREG(found.mode):
            raise MissingFileError(f"{path} at {self._task.origin} is not a regular file")
        if found.size_bytes < item.least_bytes:
            self._drop(
                item,
                f"{name} has {found.size_bytes} bytes at {self._task.origin} instead of {item.least_bytes}:"
                f" the copy of {path} there is damaged.",
            )

    def _ask(self, stream: Stream, piece: Piece, reason: "Reason") -> bool:
        """Ask a stream for a piece. False if there is no memory for it now, or it is too early."""
        work = piece.work
        if reason is Reason.FIRST and not self._may_take_slot(work):
            self._blocked_at = time.monotonic()
            return False
        if reason is Reason.AGAIN and self._repeats >= RESERVE_SLOTS:
            return False
        if self._task.pace is not None:
            if self._allowance < piece.length:
                return False
            self._allowance -= piece.length
            self._paced.set()
        ask = Ask(piece, self._arena.take(), time.monotonic())
        if reason is Reason.FIRST:
            work.slots_wanted -= 1
            piece.state = PieceState.ASKED
        else:
            ask.is_repeat = True
            self._repeats += 1
        piece.asked_at = ask.at
        piece.copies += 1
        stream.ask(ask)
        self._send(stream, ask)
        return True

    def _may_take_slot(self, work: BlockWork) -> bool:
        """Leave as much as all older blocks still need: nothing comes back before its block is complete."""
        free = self._arena.free - (RESERVE_SLOTS - self._repeats)
        if free <= 0:
            return False
        free += self._spill.free
        for older in self._open:
            if older is work:
                break
            free -= older.slots_wanted
        return free > 0

    def _send(self, stream: Stream, ask: Ask) -> None:
        piece = ask.piece
        place = self._arena.view(ask.slot, piece.length)[ask.got :]
        handle = stream.handles[piece.work.item]
        done = partial(self._answered, stream, ask)
        try:
            stream.line.reads.read(handle, offset=piece.offset + ask.got, into=place, done=done)
        except (OSError, asyncssh.Error) as error:
            asyncio.get_running_loop().call_soon(done, error)

    # ----- being answered

    def _answered(self, stream: Stream, ask: Ask, result: int | Exception) -> None:
        piece = ask.piece
        if isinstance(result, int):
            ask.got += result
            self.bytes_received += result
            self._last_news = time.monotonic()
            if ask.got < piece.length and not self._ended and piece.work.item in stream.handles:
                self._send(stream, ask)
                return
        stream.answered(ask)
        self._repeats -= ask.is_repeat
        piece.copies -= 1
        is_wanted = piece.state is PieceState.ASKED and not piece.work.item.is_dropped
        if ask.got == piece.length and is_wanted:
            self._here(piece, ask.slot)
        else:
            self._arena.give_back(ask.slot)
            if is_wanted and not piece.copies:
                piece.state = PieceState.WAITING
                piece.work.slots_wanted += 1
                self._not_here(piece, result)
        self._pump(stream)

    def _not_here(self, piece: Piece, result: int | Exception) -> None:
        item = piece.work.item
        if isinstance(result, asyncssh.SFTPEOFError):
            self._drop(
                item,
                f"{item.part.item.content.name} ended at {self._task.origin} before byte"
                f" {piece.offset + piece.length}: the copy of {item.path} there is damaged.",
            )
        elif isinstance(result, asyncssh.SFTPError):
            self._not_opened(item, self._fleet.translated(result, item.path))
        else:
            self._queue.give_back(piece.work.alone(piece))

    def _here(self, piece: Piece, slot: int) -> None:
        piece.state = PieceState.HERE
        piece.slot = slot
        work = piece.work
        work.pieces_left -= 1
        self._keep_if_whole(work)
        if self._arena.free < FEW_SLOTS:
            self._spill_some()

    def _keep_if_whole(self, work: BlockWork) -> None:
        if work.pieces_left == 0 and not work.is_spilling and work in self._open:
            del self._open[work]
            self._work_on(self._keep(work), name="arrival")

    def _spill_some(self) -> None:
        """Move what has come of blocks that are not whole to the disk, the oldest first."""
        if self._is_spilling or not self._spill.free:
            return
        moved: list[Piece] = []
        for work in self._open:
            if work.pieces_left and len(moved) < SPILLED_AT_ONCE:
                waiting = [piece for piece in work.pieces if piece.slot >= 0]
                moved += waiting[: min(SPILLED_AT_ONCE - len(moved), self._spill.free - len(moved))]
        if moved:
            self._is_spilling = True
            moves = [(piece, piece.slot, self._spill.take()) for piece in moved]
            for piece in moved:
                piece.slot = -1
                piece.work.is_spilling = True
            self._work_on(self._move(moves), name="arrival")

    async def _move(self, moves: Sequence[tuple[Piece, int, int]]) -> None:
        job = partial(
            arrivals.spill,
            [(place, self._arena.view(slot, piece.length)) for piece, slot, place in moves],
            self._spill,
        )
        await asyncio.get_running_loop().run_in_executor(self._threads, job)
        self._is_spilling = False
        for piece, slot, place in moves:
            self._arena.give_back(slot)
            if piece.state is PieceState.HERE:
                piece.place = place
            else:  # its block was given up meanwhile
                self._spill.give_back(place)
        for work in dict.fromkeys(piece.work for piece, _, _ in moves):
            work.is_spilling = False
            self._keep_if_whole(work)
        self._pump_all()

    async def _keep(self, work: BlockWork) -> None:
        loop = asyncio.get_running_loop()
        pieces = Pieces(
            [
                self._arena.view(piece.slot, piece.length) if piece.slot >= 0 else (piece.place, piece.length)
                for piece in work.pieces
            ],
            spill=self._spill,
        )
        item, block = work.item, work.block

        def written() -> None:
            loop.call_soon_threadsafe(self._free, work)

        job = partial(arrivals.keep, item.part, block, pieces, written=written, unpacker=self._unpacker)
        found = await loop.run_in_executor(self._threads, job)
        self.bytes_sent += block.content_bytes
        if found is None:
            item.blocks_left -= 1
            if item.blocks_left == 0 and not item.is_dropped:
                await self._finish(item)
            self._news(item.part.item)
        elif work.tries < TRIES:
            logger.warning(
                "Block %d of %s came wrong from %s; it is fetched again.",
                block.number,
                item.part.path,
                self._task.origin,
            )
            self._give_back_slots(work)
            self._queue.refetch(work)
            self._open = {work: None, **self._open}
            self._pump_all()
        else:
            self._free(work)
            self._drop(
                item,
                f"{item.part.item.content.name}: block {block.number} (bytes {block.offset} to {block.end}) came from"
                f" {self._task.origin} with {found}, twice: the copy of {item.path} there is damaged.",
            )

    async def _finish(self, item: ItemWork) -> None:
        item.is_finishing = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, arrivals.finish, item.part)
        self._items_left -= 1
        self._leave(item)

    def _free(self, work: BlockWork) -> None:
        self._give_back_slots(work)
        self._pump_all()

    def _give_back_slots(self, work: BlockWork) -> None:
        for piece in work.pieces:
            if piece.slot >= 0:
                self._arena.give_back(piece.slot)
                piece.slot = -1
            if piece.place >= 0:
                self._spill.give_back(piece.place)
                piece.place = -1
            piece.state = PieceState.WAITING

    def _drop(self, item: ItemWork, sentence: str, *, is_missing: bool = False) -> None:
        """Give an item up; all others go on."""
        if item.is_dropped or item.is_finishing:  # all its bytes are here, and right
            return
        item.is_dropped = True
        logger.warning("%s", sentence)
        if item.twin is None:
            self.damage.append(Damage(item.part.item, sentence, is_missing))
            self._items_left -= 1
        else:
            self._work_on(self._do_without_twin(item))
        for work in [work for work in self._open if work.item is item]:
            del self._open[work]
            self._free(work)
        self._leave(item)

    async def _do_without_twin(self, item: ItemWork) -> None:
        """Have what is missing of an item come uncompressed, once what has come of it is on the disk."""
        arriving = [job for job in self._jobs if job.get_name() == "arrival"]
        if arriving:
            await asyncio.wait(arriving)
        item.part.close()
        self._parts.discard(item)
        logger.warning("%s comes uncompressed from %s.", item.part.item.path, self._task.origin)
        job = partial(arrivals.prepare, [item.part.item], root=self._task.root, use_twins=False)
        for prepared in await asyncio.get_running_loop().run_in_executor(self._threads, job):
            self._add(prepared)
        self._pump_all()

    def _leave(self, item: ItemWork) -> None:
        if not item.is_dropped:  # a block of a dropped one may still be on its way to the disk
            self._parts.discard(item)
        for stream in self._fleet.streams:
            stream.forget(item)
        self._wake.set()

    # ----- looking after it

    async def _clock(self) -> None:
        rounds_at = time.monotonic()
        news_at = rounds_at
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
        for stream in self._fleet.silent(now):
            stream.line.abort("no byte came for too long")
            self._lost(stream)
        self._fleet.fill()
        self._check_patience(now)
        if self._arena.free < FEW_SLOTS:
            self._spill_some()
        self._pump_all()
        self._help(now)
        self._adapt(now)
        if now >= self._task.ends_at and (self.bytes_sent or self._open) and self._queue.begins_blocks:
            self.stop()
        self._wake.set()

    def _lost(self, stream: Stream) -> None:
        self._fleet.remove(stream)
        while (span := stream.take_back()) is not None:
            self._queue.give_back(span)
        self._pump_all()

    def _check_patience(self, now: float) -> None:
        if self._fleet.failure is not None and not self._fleet.streams:
            self._fail(self._fleet.failure)
        if self._task.pace is not None and self._allowance < REQUEST_BYTES:
            self._last_news = now  # a closed road is no trouble
        if (self._open or self._queue.has_more) and now - self._last_news > self._task.patience_seconds:
            why = f" {self._fleet.trouble}" if self._fleet.trouble else ""
            seconds = f"{now - self._last_news:.0f} s"
            self._fail(
                TransientError(f"nothing came from {self._task.origin} for {seconds}; what has arrived is kept.{why}")
            )

    def _help(self, now: float) -> None:
        """Let streams that have nothing to do take over what others would need long for."""
        trip = self._fleet.round_trip_seconds
        if self._queue.has_more and now - self._blocked_at > TICK_SECONDS:
            return
        for stream in self._fleet.streams:
            window = stream.window_bytes(round_trip_seconds=trip)
            if stream.is_leaving or stream.asked_bytes + stream.span_bytes > window // 2:
                continue
            if not self._steal(stream) and not self._repeat(stream, now=now, room=window - stream.asked_bytes):
                continue
            self._pump(stream)

    def _steal(self, thief: Stream) -> bool:
        """Take over the span of the oldest block that waits on a stream which would need longer for it."""
        patience = thief.busy_seconds + 2 * self._fleet.round_trip_seconds
        waiting = (
            (span.work.order, number, span, victim)
            for number, victim in enumerate(self._fleet.streams)
            if victim is not thief and victim.busy_seconds > patience
            for span in victim.spans
            if span.pieces and not span.work.item.is_dropped
        )
        found = min(waiting, key=lambda one: one[:2], default=None)
        if found is None:
            return False
        _, _, span, victim = found
        victim.hand_over(span)
        self._give(thief, span)
        return True

    def _repeat(self, stream: Stream, *, now: float, room: int) -> bool:
        """Ask for late pieces once more, those of the oldest block first: what comes first counts."""
        streams = self._fleet.streams
        usual = sum(s.asked_bytes for s in streams) / max(1.0, sum(s.rate for s in streams))
        late = max(LATE_SECONDS, LATE_ROUND_TRIPS * self._fleet.round_trip_seconds, 2 * min(usual, LATE_SECONDS * 4))
        asked = False
        for work in list(self._open)[:4]:
            for piece in work.pieces:
                if piece.state is not PieceState.ASKED or piece.copies != 1 or now - piece.asked_at < late:
                    continue
                if any(ask.piece is piece for ask in stream.asked):
                    continue
                if work.item not in stream.handles:
                    if work.item not in stream.opening:
                        self._begin_opening(stream, work.item)
                    break
                if room < piece.length or not self._ask(stream, piece, Reason.AGAIN):
                    return asked
                room -= piece.length
                asked = True
        return asked

    def _adapt(self, now: float) -> None:
        """Measure a round, and change the number of connections if that helps."""
        length = max(ROUND_SECONDS, ROUND_ROUND_TRIPS * self._fleet.round_trip_seconds)
        began, received = self._round_began
        streams = len(self._fleet.streams)
        youngest = max((s.begun_at for s in self._fleet.streams), default=now)
        if not began or streams != self._fleet.wanted or now - youngest < length or not self._queue.has_more:
            self._round_began = (now, self.bytes_received)
            return
        if now - began < length:
            return
        rate = (self.bytes_received - received) / (now - began)
        self._round_began = (now, self.bytes_received)
        self._rounds = (*self._rounds[-20:], Round(streams, rate))
        held = "the disk here" if self._blocked_at > began and not self._open else None
        if self._task.pace is not None and self._allowance < REQUEST_BYTES:
            held = "the route's timetable"
        if self._fleet.round_trip_seconds < adapt.NEAR_SECONDS:
            held = "the processor"
        decision = adapt.change(self._rounds[1:], most=self._task.most_streams, held_back_by=held)
        if decision.streams != streams:
            self._fleet.wanted = decision.streams
            self._share()
            self._fleet.fill()
        self._tell(decision)

    def _news(self, item: Item | None) -> None:
        rate = sum(stream.rate for stream in self._fleet.streams)
        streams = len(self._fleet.streams)
        self._tell(Arrived(item, self.bytes_sent, self.bytes_skipped, self.bytes_received, rate, streams))
