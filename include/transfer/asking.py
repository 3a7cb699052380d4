"""What a pull asks its connections for: each has requests under way for what it carries in three round trips.

It holds the next spans with their files open, and is served when an answer comes. Bytes go from the packet into a slot
of the arena.
"""

import asyncio
import stat
import time
from enum import Enum, auto
from functools import partial

import asyncssh

from include.errors import DtsError, MissingFileError
from include.storage.paths import checked_path
from include.transfer.course import Course
from include.transfer.incoming import Incoming
from include.transfer.keeping import Keeping
from include.transfer.sftp_reads import REQUEST_BYTES
from include.transfer.stream import Ask, Stream
from include.transfer.work import ItemWork, Piece, PieceState, Span

AT_ONCE_BYTES = 4 * REQUEST_BYTES


class Reason(Enum):
    """Why a piece is asked for."""

    FIRST = auto()
    AGAIN = auto()


class Asking:
    """In the loop's thread. `origin` is for messages, `root` its folder as the server shows it."""

    def __init__(self, course: Course[Stream], load: Incoming, keeping: Keeping, *, origin: str, root: str) -> None:
        self.blocked_at = 0.0
        """When there was no room for an answer."""
        self._course = course
        self._load = load
        self._keeping = keeping
        self._origin = origin
        self._root = root.rstrip("/")

    def pump_all(self) -> None:
        """Have every stream ask for as much as it may."""
        for stream in list(self._course.fleet.streams):
            self.pump(stream)

    def pump(self, stream: Stream) -> None:
        """Give a stream work, and have it ask for as much as it may."""
        course = self._course
        if course.is_ended or course.jobs.error is not None or not stream.line.is_usable:
            return
        trip = course.fleet.round_trip_seconds
        window = stream.window_bytes(round_trip_seconds=trip)
        ahead = stream.ahead_bytes(round_trip_seconds=trip)
        while not stream.is_leaving and stream.asked_bytes + stream.span_bytes < window + ahead:
            span = self._load.queue.take()
            if span is None:
                break
            self.give(stream, span)
        if window - stream.asked_bytes < min(AT_ONCE_BYTES, window // 2):
            return  # several requests are one packet
        while stream.asked_bytes < window:
            span = stream.next_span()
            if span is None or not self.ask(stream, span.pieces[0], Reason.FIRST):
                break
            stream.span_bytes -= span.pieces.popleft().length
        if stream.is_leaving and not stream.asked and not stream.spans:
            course.fleet.remove(stream)

    def give(self, stream: Stream, span: Span) -> None:
        """Have a stream fetch a span."""
        self._load.open.setdefault(span.work)
        stream.give(span)
        self.open_file(stream, span.work.item)

    def open_file(self, stream: Stream, item: ItemWork) -> None:
        """Have an item's file opened on this stream, if it is not."""
        if item not in stream.handles and item not in stream.opening:
            stream.waits(time.monotonic())
            stream.opening[item] = asyncio.create_task(self._open_file(stream, item))

    def ask(self, stream: Stream, piece: Piece, reason: Reason) -> bool:
        """Ask a stream for a piece. False if there is no memory for it now, or it is too early."""
        work, load, allowance = piece.work, self._load, self._course.allowance
        if reason is Reason.FIRST and not load.has_room_for(work):
            self.blocked_at = time.monotonic()
            return False
        if reason is Reason.AGAIN and not load.may_repeat:
            return False
        if allowance is not None and not allowance.take(piece.length):
            return False
        ask = Ask(piece, load.arena.take(), time.monotonic())
        if reason is Reason.FIRST:
            work.slots_wanted -= 1
            piece.state = PieceState.ASKED
        else:
            ask.is_repeat = True
            load.repeats += 1
        piece.asked_at = ask.at
        piece.copies += 1
        stream.ask(ask)
        self._send(stream, ask)
        return True

    def _send(self, stream: Stream, ask: Ask) -> None:
        piece = ask.piece
        place = self._load.arena.view(ask.slot, piece.length)[ask.got :]
        handle = stream.handles[piece.work.item]
        done = partial(self._answered, stream, ask)
        try:
            stream.line.reads.read(handle, offset=piece.offset + ask.got, into=place, done=done)
        except (OSError, asyncssh.Error) as error:
            asyncio.get_running_loop().call_soon(done, error)

    def _answered(self, stream: Stream, ask: Ask, result: int | Exception) -> None:
        piece, course, load = ask.piece, self._course, self._load
        if isinstance(result, int):
            ask.got += result
            course.bytes_received += result
            course.last_news = time.monotonic()
            if ask.got < piece.length and not course.is_ended and piece.work.item in stream.handles:
                self._send(stream, ask)
                return
        stream.answered(ask)
        load.repeats -= ask.is_repeat
        piece.copies -= 1
        is_wanted = piece.state is PieceState.ASKED and not piece.work.item.is_dropped
        if ask.got == piece.length and is_wanted:
            self._keeping.here(piece, ask.slot)
        else:
            load.arena.give_back(ask.slot)
            if is_wanted and not piece.copies:
                piece.state = PieceState.WAITING
                piece.work.slots_wanted += 1
                self._not_here(piece, result)
        self.pump(stream)

    def _not_here(self, piece: Piece, result: int | Exception) -> None:
        item = piece.work.item
        if isinstance(result, asyncssh.SFTPEOFError):
            self._keeping.drop(
                item,
                f"{item.part.item.content.name} ended at {self._origin} before byte"
                f" {piece.offset + piece.length}: the copy of {item.path} there is damaged.",
            )
        elif isinstance(result, asyncssh.SFTPError):
            self._not_opened(item, self._course.fleet.translated(result, item.path))
        else:
            self._load.queue.give_back(piece.work.alone(piece))

    # ----- files

    async def _open_file(self, stream: Stream, item: ItemWork) -> None:
        path = item.path
        absolute = f"{self._root}/{checked_path(path)}".encode()
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
            self._not_opened(item, self._course.fleet.translated(error, path))
        except DtsError as error:
            self._not_opened(item, error)
        except (OSError, asyncssh.Error):
            item.is_seen = False  # the connection is gone: `lost` gives its work to others
        finally:
            stream.opening.pop(item, None)
            if looking is not None:
                looking.cancel()
        self.pump(stream)

    def _not_opened(self, item: ItemWork, error: DtsError) -> None:
        """A file that is not there is given up alone; whatever else keeps it from being opened ends the pull."""
        if item.twin is not None:
            self._keeping.drop(item, f"{item.path} cannot be read at {self._origin}: {error}.")
        elif isinstance(error, MissingFileError):
            name = item.part.item.content.name
            self._keeping.drop(item, f"{name} is not at {self._origin}: {error}.", is_missing=True)
        else:
            self._course.jobs.fail(error)

    async def _look(self, stream: Stream, item: ItemWork, absolute: bytes) -> None:
        """A file that is shorter than it should be is damaged; something else than a file is none."""
        found = await stream.line.reads.attributes(absolute)
        path, name = item.path, item.part.item.content.name
        if not stat.S_ISREG(found.mode):
            raise MissingFileError(f"{path} at {self._origin} is not a regular file")
        if found.size_bytes < item.least_bytes:
            self._keeping.drop(
                item,
                f"{name} has {found.size_bytes} bytes at {self._origin} instead of {item.least_bytes}:"
                f" the copy of {path} there is damaged.",
            )
