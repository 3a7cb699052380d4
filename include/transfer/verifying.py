"""Verifies the blocks of a push where they lie, a little before they are sent: only what is right leaves."""

import logging
from functools import partial
from typing import Protocol

from include.errors import MissingFileError
from include.storage.disk import DiskStorage
from include.transfer import push_work
from include.transfer.course import Course
from include.transfer.outgoing import Outgoing
from include.transfer.push_stream import PushStream
from include.transfer.push_work import PushBlock, PushItem

logger = logging.getLogger(__name__)

FEW_STREAMS = 8
TRIES = 2


class Drop(Protocol):
    """Gives an item up, with a sentence why."""

    def __call__(self, item: PushItem, sentence: str, *, is_missing: bool = False) -> None:
        """All others go on."""


class Verifying:
    """In the loop's thread. `origin` is for messages."""

    def __init__(
        self, course: Course[PushStream], load: Outgoing, *, origin: str, source: DiskStorage, drop: Drop
    ) -> None:
        self._course = course
        self._load = load
        self._origin = origin
        self._source = source
        self._drop = drop

    async def run(self) -> None:
        """Go on until no more blocks are begun."""
        load, jobs = self._load, self._course.jobs
        while True:
            work = await load.next_to_verify()
            if not load.begins_blocks:
                jobs.wake()
                return
            load.open[work] = None
            if not work.item.is_dropped and await self._is_right(work) and work in load.open:
                load.verified(work, fine=self._course.fleet.wanted > FEW_STREAMS)
            else:
                load.open.pop(work, None)
                jobs.wake()

    async def _is_right(self, work: PushBlock) -> bool:
        name, block, path = work.item.item.content.name, work.block, work.item.item.path
        found = ""
        try:
            for _ in range(TRIES):
                found = await self._course.in_thread(partial(push_work.verify, work, source=self._source))
                if found == block.checksum:
                    return True
                logger.warning("Block %d of %s reads wrong at %s.", block.number, path, self._origin)
        except push_work.Short:
            sentence = f"{name} ends at {self._origin} before byte {block.end}: the copy of {path} there is damaged."
            self._drop(work.item, sentence)
            return False
        except MissingFileError as error:
            self._drop(work.item, f"{name} is not at {self._origin}: {error}.", is_missing=True)
            return False
        self._drop(
            work.item,
            f"{name}: block {block.number} (bytes {block.offset} to {block.end}) was read at {self._origin}"
            f" with checksum {found} instead of {block.checksum}, twice: the copy of {path} there is damaged.",
        )
        return False
