"""What is done with bytes that have come, in threads beside the loop: verify, write, make durable, give the name.

Hashing, writing and fsync leave the interpreter to others. Only verified bytes reach a part file (part_file.py says
why), so a block stays in memory until it is whole.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from include.integrity.checksum import Hasher
from include.transfer.blocks import Block, Item, Twin, missing_blocks
from include.transfer.compressed import Frame, FrameError, Unpacker, frames_of, trouble_with
from include.transfer.disk_errors import disk_errors
from include.transfer.part_file import PartFile
from include.transfer.spill import Spill

WRITERS = 4

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An item, its part file (open if blocks are missing and there are several), and what is missing."""

    part: PartFile
    missing: tuple[Block, ...]
    is_complete: bool
    twin: Twin | None = None
    """Where the missing blocks are frames of."""

    @property
    def missing_bytes(self) -> int:
        """How much of the file is missing."""
        return sum(block.content_bytes for block in self.missing)


def prepare(items: Sequence[Item], *, root: Path, use_twins: bool = True) -> list[Prepared]:
    """Find out what has to be sent of each item. Raises as PartFile does."""
    found = [_prepare(item, root=root) for item in items]
    return [_by_twin(one) for one in found] if use_twins else found


def _by_twin(prepared: Prepared) -> Prepared:
    item = prepared.part.item
    if item.twin is None or not prepared.missing:
        return prepared
    trouble = trouble_with(item.twin, item.content)
    if trouble is not None:
        logger.warning("The compressed twin of %s is of no use (%s); it comes as it is.", item.path, trouble)
        return prepared
    return replace(prepared, missing=frames_of(item, prepared.missing), twin=item.twin)


def _prepare(item: Item, *, root: Path) -> Prepared:
    part = PartFile(item, root=root)
    if part.is_complete():
        part.remove_leftovers()
        return Prepared(part, (), is_complete=True)
    if part.is_single:  # opened when its block is here: thousands of small files are not held open
        return Prepared(part, missing_blocks(item.content, verified=()), is_complete=False)
    with disk_errors(part.path):
        part.open()
    missing = missing_blocks(item.content, verified=part.verified)
    if item.portion is not None:
        missing = tuple(block for block in missing if item.portion[0] <= block.number < item.portion[1])
    return Prepared(part, missing, is_complete=False)


def checksum_of(pieces: Sequence[memoryview]) -> str:
    """Return the checksum of a block's bytes."""
    hasher = Hasher()
    for piece in pieces:
        hasher.update(piece)
    return hasher.value()


def keep(
    part: PartFile,
    block: Block,
    pieces: Sequence[memoryview],
    *,
    written: Callable[[], None],
    unpacker: Unpacker,
) -> str | None:
    """Verify and write a block; durable on return. `written` is called once the memory may be used again.

    Returns:
        What it came with, if that is not the block's checksum: nothing was written then, and `written` is not called.
    """
    if isinstance(block, Frame):
        return _keep_unpacked(part, block, pieces, written=written, unpacker=unpacker)
    found = checksum_of(pieces)
    if found != block.checksum:
        return f"checksum {found} instead of {block.checksum}"
    with disk_errors(part.path):
        if part.is_single:
            part.open()
        part.write(block, pieces)
        written()
        part.commit(block)
    return None


def _keep_unpacked(
    part: PartFile,
    frame: Frame,
    pieces: Sequence[memoryview],
    *,
    written: Callable[[], None],
    unpacker: Unpacker,
) -> str | None:
    try:
        with unpacker.unpacked(frame, pieces) as content:
            found = checksum_of([content])
            if found != frame.checksum:
                return f"checksum {found} instead of {frame.checksum}"
            written()
            with disk_errors(part.path):
                if part.is_single:
                    part.open()
                part.write(frame.block, [content])
    except FrameError as error:
        return str(error)
    with disk_errors(part.path):
        part.commit(frame.block)
    return None


def spill(moves: Sequence[tuple[int, memoryview]], place: Spill) -> None:
    """Write pieces of blocks that are not whole where they wait for the rest: (place, bytes) each."""
    with disk_errors(place.folder):
        for number, content in moves:
            place.write(number, content)


def finish(part: PartFile) -> None:
    """Give a file its name, now that all its blocks are written; of a portion of one nothing is left to do."""
    try:
        if part.item.portion is not None:
            return
        with disk_errors(part.path):
            if not part.is_open:  # a file without a byte
                part.open()
            part.finish()
    finally:
        part.close()
