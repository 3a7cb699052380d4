"""A file cut into what goes to an S3 store in one request each: parts of whole blocks. Pure."""

from dataclasses import dataclass

from include.storage.s3_upload import MOST_PARTS, PART_BYTES
from include.transfer.blocks import Block, Item, blocks_of


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring blocks that go in one request."""

    number: int
    blocks: tuple[Block, ...]

    @property
    def offset(self) -> int:
        """Of its first byte."""
        return self.blocks[0].offset

    @property
    def size_bytes(self) -> int:
        """Of all its blocks."""
        return self.blocks[-1].end - self.offset


def parts_of(item: Item, *, smallest: int = PART_BYTES) -> list[Part]:
    """Cut into parts of whole blocks: at least `smallest` bytes each but the last, and no more than S3 allows."""
    blocks = blocks_of(item.content)
    together = max(-(-smallest // item.content.block_bytes), -(-len(blocks) // MOST_PARTS), 1)
    return [
        Part(number, blocks[first : first + together])
        for number, first in enumerate(range(0, len(blocks), together), start=1)
    ]
