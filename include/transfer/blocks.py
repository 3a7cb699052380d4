"""What has to be moved, cut into the blocks whose checksums are known. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol


class Content(Protocol):
    """What is known about some bytes before they arrive; a PackageManifest is one. Sizes in bytes."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def size_bytes(self) -> int:
        """All of it."""

    @property
    def checksum(self) -> str:
        """Of the whole, with its algorithm."""

    @property
    def block_bytes(self) -> int:
        """Size of every block but the last, which may be smaller."""

    @property
    def block_checksums(self) -> tuple[str, ...]:
        """One for each block."""


@dataclass(frozen=True, slots=True)
class Twin:
    """A file at the origin that holds another one compressed: a zstd frame for each of its blocks, one after the other.

    Nothing relies on it: what comes of it is checked as a block is, and without it the file itself is read.
    """

    path: str
    frame_bytes: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Of all frames."""
        return sum(self.frame_bytes)


@dataclass(frozen=True, slots=True)
class Item:
    """A file to move: the same relative path at the origin and at the destination."""

    path: str
    content: Content
    twin: Twin | None = None
    portion: tuple[int, int] | None = None
    """From which block on to which others are not wanted: somebody else brings the rest, and gives it its name."""


@dataclass(frozen=True, slots=True)
class Block:
    """A range of a file with a checksum of its own."""

    number: int
    offset: int
    length: int
    checksum: str

    @property
    def end(self) -> int:
        """Offset of the first byte behind it."""
        return self.offset + self.length

    @property
    def content_bytes(self) -> int:
        """How much of the file it brings."""
        return self.length


def blocks_of(content: Content) -> tuple[Block, ...]:
    """Return all blocks, in order."""
    size, block_bytes = content.size_bytes, content.block_bytes
    return tuple(
        Block(number, number * block_bytes, min(block_bytes, size - number * block_bytes), checksum)
        for number, checksum in enumerate(content.block_checksums)
    )


def missing_blocks(content: Content, *, verified: Collection[int]) -> tuple[Block, ...]:
    """Return the blocks whose numbers are not among the verified ones, in order."""
    return tuple(block for block in blocks_of(content) if block.number not in verified)


def runs(blocks: Iterable[Block]) -> list[list[Block]]:
    """Gather neighbours: each run is one range, so that one request streams it without a round trip at every block."""
    found: list[list[Block]] = []
    for block in blocks:
        if found and found[-1][-1].end == block.offset:
            found[-1].append(block)
        else:
            found.append([block])
    return found
