"""What is done with bytes that have come, in threads beside the loop: verify, write, make durable, give the name.

Hashing, writing and fsync leave the interpreter to others. Only verified bytes reach a part file (part_file.py says
why), so a block stays in memory until it is whole.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from include.integrity.checksum import Hasher
from include.transfer.blocks import Block, Item, missing_blocks
from include.transfer.durable import disk_errors
from include.transfer.part_file import PartFile

WRITERS = 4


@dataclass(frozen=True, slots=True)
class Prepared:
    """An item, its part file (open if blocks are missing and there are several), and what is missing."""

    part: PartFile
    missing: tuple[Block, ...]
    is_complete: bool


def prepare(items: Sequence[Item], *, root: Path) -> list[Prepared]:
    """Find out what has to be sent of each item. Raises as PartFile does."""
    return [_prepare(item, root=root) for item in items]


def _prepare(item: Item, *, root: Path) -> Prepared:
    part = PartFile(item, root=root)
    if part.is_complete():
        part.remove_leftovers()
        return Prepared(part, (), is_complete=True)
    if part.is_single:  # opened when its block is here: thousands of small files are not held open
        return Prepared(part, missing_blocks(item.content, verified=()), is_complete=False)
    with disk_errors(part.path):
        part.open()
    return Prepared(part, missing_blocks(item.content, verified=part.verified), is_complete=False)


def checksum_of(pieces: Sequence[memoryview]) -> str:
    """Return the checksum of a block's bytes."""
    hasher = Hasher()
    for piece in pieces:
        hasher.update(piece)
    return hasher.value()


def keep(part: PartFile, block: Block, pieces: Sequence[memoryview], *, written: Callable[[], None]) -> str | None:
    """Verify and write a block; durable on return. `written` is called once the memory may be used again.

    Returns:
        The checksum found, if it is not the block's: nothing was written then, and `written` is not called.
    """
    found = checksum_of(pieces)
    if found != block.checksum:
        return found
    with disk_errors(part.path):
        if part.is_single:
            part.open()
        part.write(block, pieces)
        written()
        part.commit(block)
    return None


def finish(part: PartFile) -> None:
    """Give a file its name, now that all its blocks are written."""
    try:
        with disk_errors(part.path):
            if not part.is_open:  # a file without a byte
                part.open()
            part.finish()
    finally:
        part.close()
