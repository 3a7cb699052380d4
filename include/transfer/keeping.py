"""What a pull does with what has come: whole blocks are verified and written, wrong ones fetched again or given up."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from include.transfer import arrivals
from include.transfer.arrivals import Prepared
from include.transfer.compressed import Unpacker
from include.transfer.course import Course
from include.transfer.incoming import Incoming, Move
from include.transfer.stream import Stream
from include.transfer.work import BlockWork, ItemWork, Piece, PieceState

logger = logging.getLogger(__name__)

TRIES = 2


class Keeping:
    """In the loop's thread. `on_room` is called when memory is free again, `origin` is for messages."""

    def __init__(
        self, course: Course[Stream], load: Incoming, *, origin: str, root: Path, on_room: Callable[[], None]
    ) -> None:
        self.parts: set[ItemWork] = set()
        """Items of which something is missing."""
        self._course = course
        self._load = load
        self._origin = origin
        self._root = root
        self._on_room = on_room
        self._unpacker = Unpacker()
        self._is_spilling = False

    def add(self, prepared: Prepared) -> None:
        """Have what is missing of an item fetched."""
        item = ItemWork(prepared.part, len(prepared.missing), prepared.twin)
        if prepared.is_complete:
            self._course.items_left -= 1
            return
        self.parts.add(item)
        for block in prepared.missing:
            self._load.queue.add(item, block)
        if not prepared.missing:
            self._course.jobs.start(self._finish(item), keeps=True)

    def here(self, piece: Piece, slot: int) -> None:
        """A piece has come, and is wanted."""
        piece.state = PieceState.HERE
        piece.slot = slot
        work = piece.work
        work.pieces_left -= 1
        self._keep_if_whole(work)
        if self._load.is_short:
            self.spill()

    def spill(self) -> None:
        """Move what has come of blocks that are not whole to the disk."""
        if self._is_spilling or not self._load.spill.free:
            return
        if moves := self._load.begin_spilling():
            self._is_spilling = True
            self._course.jobs.start(self._move(moves), keeps=True)

    def drop(self, item: ItemWork, sentence: str, *, is_missing: bool = False) -> None:
        """Give an item up; all others go on."""
        if item.is_dropped or item.is_finishing:  # all its bytes are here, and right
            return
        item.is_dropped = True
        logger.warning("%s", sentence)
        if item.twin is None:
            self._course.give_up(item.part.item, sentence, is_missing=is_missing)
        else:
            self._course.jobs.start(self._do_without_twin(item))
        self._load.forget(item)
        self._leave(item)
        self._on_room()

    def close(self) -> None:
        """Let go of the files."""
        for item in self.parts:
            item.part.close()
        self._load.spill.close()

    def _keep_if_whole(self, work: BlockWork) -> None:
        if work.pieces_left == 0 and not work.is_spilling and work in self._load.open:
            del self._load.open[work]
            self._course.jobs.start(self._keep(work), keeps=True)

    async def _move(self, moves: list[Move]) -> None:
        load = self._load
        pieces = [(place, load.arena.view(slot, piece.length)) for piece, slot, place in moves]
        await self._course.in_thread(partial(arrivals.spill, pieces, load.spill))
        self._is_spilling = False
        for work in load.end_spilling(moves):
            self._keep_if_whole(work)
        self._on_room()

    async def _keep(self, work: BlockWork) -> None:
        course, load, item, block = self._course, self._load, work.item, work.block
        pieces = load.pieces_of(work)
        loop = asyncio.get_running_loop()

        def written() -> None:
            loop.call_soon_threadsafe(self._free, work)

        job = partial(arrivals.keep, item.part, block, pieces, written=written, unpacker=self._unpacker)
        found = await course.in_thread(job)
        course.bytes_sent += block.content_bytes
        if found is None:
            item.blocks_left -= 1
            if item.blocks_left == 0 and not item.is_dropped:
                await self._finish(item)
            course.news(item.part.item)
        elif work.tries < TRIES:
            logger.warning(
                "Block %d of %s came wrong from %s; it is fetched again.", block.number, item.part.path, self._origin
            )
            load.refetch(work)
            self._on_room()
        else:
            self._free(work)
            self.drop(
                item,
                f"{item.part.item.content.name}: block {block.number} (bytes {block.offset} to {block.end}) came from"
                f" {self._origin} with {found}, twice: the copy of {item.path} there is damaged.",
            )

    async def _finish(self, item: ItemWork) -> None:
        item.is_finishing = True
        await self._course.in_thread(partial(arrivals.finish, item.part))
        self._course.items_left -= 1
        self._leave(item)

    def _free(self, work: BlockWork) -> None:
        self._load.free(work)
        self._on_room()

    async def _do_without_twin(self, item: ItemWork) -> None:
        """Have what is missing of an item come uncompressed, once what has come of it is on the disk."""
        await self._course.jobs.until_kept()
        item.part.close()
        self.parts.discard(item)
        logger.warning("%s comes uncompressed from %s.", item.part.item.path, self._origin)
        job = partial(arrivals.prepare, [item.part.item], root=self._root, use_twins=False)
        for prepared in await self._course.in_thread(job):
            self.add(prepared)
        self._on_room()

    def _leave(self, item: ItemWork) -> None:
        if not item.is_dropped:  # a block of a dropped one may still be on its way to the disk
            self.parts.discard(item)
        for stream in self._course.fleet.streams:
            stream.forget(item)
        self._course.jobs.wake()
