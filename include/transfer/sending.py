"""What a connection of a push does: its tasks take spans, open the file there, and send pieces; answers come later.

What was sent and not acknowledged when a connection is lost is sent again on another.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

import asyncssh

from include.errors import TransientError
from include.transfer import push_work
from include.transfer.course import Course
from include.transfer.outgoing import Outgoing
from include.transfer.push_stream import PushStream
from include.transfer.push_work import PushBlock, PushSpan

logger = logging.getLogger(__name__)


class Sending:
    """In the loop's thread. `on_whole` is called with a block that the server has all of, `origin` is for messages."""

    def __init__(
        self, course: Course[PushStream], load: Outgoing, *, origin: str, on_whole: Callable[[PushBlock], None]
    ) -> None:
        self._course = course
        self._load = load
        self._origin = origin
        self._on_whole = on_whole

    async def serve(self, stream: PushStream) -> None:
        """Send over a connection as long as it is there."""
        course, load = self._course, self._load
        while not stream.is_leaving and stream.line.is_usable:
            span = await load.take()
            left = list(span.pieces)
            try:
                await self._send(stream, span.block, left)
            except asyncssh.SFTPError as error:
                course.jobs.fail(course.fleet.translated(error, span.block.item.item.path))
                return
            except (OSError, asyncssh.Error):
                course.lost(stream)
                return
            finally:
                if left and not course.is_ended:
                    load.put(PushSpan(span.block, left))

    async def _send(self, stream: PushStream, work: PushBlock, left: list[int]) -> None:
        """Send pieces; each leaves `left` once it is under way."""
        load, allowance = self._load, self._course.allowance
        while left:
            piece = left[0]
            if work.item.is_dropped or piece not in work.unacknowledged:
                left.pop(0)
                continue
            work.taken_at[piece] = time.monotonic()
            handle = await stream.handle(work.item)
            _, length = work.place(piece)
            await stream.wait_for_room(length)
            await load.hold(length)
            try:
                content = await self._read(work, piece)
                if content is not None:
                    if allowance is not None:
                        await allowance.wait_for(length)
                    self._write(stream, work, piece, handle=handle, content=content)
            except BaseException:
                load.release(length)
                raise
            if content is None:
                load.release(length)
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
        course, load = self._course, self._load
        load.release(length)
        error = None if answer.cancelled() else answer.exception()
        stream.answered(length, acknowledged=error is None)
        if course.is_ended:
            return
        if isinstance(error, asyncssh.SFTPError):
            failed = course.fleet.translated(error, work.item.item.path)
            failed.__cause__ = error
            course.jobs.fail(failed)
        elif error is not None:
            if piece in work.unacknowledged:
                load.put(PushSpan(work, [piece]))
        elif piece in work.unacknowledged:
            course.last_news = time.monotonic()
            course.bytes_received += length
            load.acknowledged(work, piece, length)
            if not work.unacknowledged and work in load.open:
                self._on_whole(work)

    async def _read(self, work: PushBlock, piece: int) -> bytearray | None:
        """Out of the page cache, where it was just verified, or else in a thread."""
        found = push_work.read_now(work, piece)
        if found is None and not work.item.is_dropped:
            try:
                found = await self._course.in_thread(partial(push_work.read, work, piece))
            except OSError as error:
                place = f"{work.item.item.path} at {self._origin}"
                raise TransientError(f"{place}: {error.strerror or error}") from error
        return found

    def _look_again(self, work: PushBlock) -> None:
        """What was verified does not read the same again: it is verified anew, and damaged if that goes wrong."""
        if work in self._load.open and not work.item.is_dropped:
            logger.warning("%s at %s changed while it was read.", work.item.item.path, self._origin)
            self._load.verify_again(work)
