"""What a push has to do: items, their missing blocks, each verified where it lies, and the pieces that are sent of it.

A block is read twice: once to compare it with its checksum, which also gives every piece a checksum of its own, and
once when a piece is sent, which is compared with that. So only verified bytes leave, and no block is held in memory;
the second reading is out of the page cache.
"""

import io
import os
from dataclasses import dataclass, field

import xxhash

from include.errors import TransientError
from include.integrity.checksum import Hasher
from include.storage.disk import DiskStorage
from include.transfer.blocks import Block, Item
from include.transfer.remote_part import RemotePart
from include.transfer.sftp_reads import REQUEST_BYTES

SPAN_PIECES = 8
FINE_PIECES = 2
"""With many connections each is slow."""


@dataclass(eq=False, slots=True)
class PushItem:
    """An item, and how many of its blocks have yet to be at the destination."""

    item: Item
    part: RemotePart
    blocks_left: int
    source: io.FileIO | None = None
    is_dropped: bool = False
    """Its copy here is damaged."""

    def close(self) -> None:
        """Safe to repeat."""
        if self.source is not None:
            self.source.close()
            self.source = None


@dataclass(eq=False, slots=True)
class PushBlock:
    """A missing block. `order` is its place among all."""

    item: PushItem
    block: Block
    order: int
    checks: list[int] = field(default_factory=list)
    """The checksum of each piece."""
    unacknowledged: set[int] = field(default_factory=set)
    taken_at: dict[int, float] = field(default_factory=dict)
    repeated: set[int] = field(default_factory=set)

    def place(self, piece: int) -> tuple[int, int]:
        """Return offset and length of a piece."""
        offset = self.block.offset + piece * REQUEST_BYTES
        return offset, min(REQUEST_BYTES, self.block.end - offset)

    def spans(self, *, fine: bool) -> "list[PushSpan]":
        """Cut into what a connection is given at a time."""
        step = FINE_PIECES if fine else SPAN_PIECES
        count = len(self.checks)
        return [PushSpan(self, list(range(first, min(first + step, count)))) for first in range(0, count, step)]


@dataclass(eq=False, slots=True)
class PushSpan:
    """Neighbouring pieces that one connection sends."""

    block: PushBlock
    pieces: list[int]


def verify(work: PushBlock, *, source: DiskStorage) -> str:
    """Read a block, note its pieces' checksums, and return its own.

    Raises:
        MissingFileError, PermanentError: the file is not there, or may not be read.
        TransientError: the disk failed, or the file ended too early.
    """
    if work.item.source is None:
        work.item.source = source.open(work.item.item.path)
    descriptor = work.item.source.fileno()
    hasher = Hasher()
    buffer = memoryview(bytearray(REQUEST_BYTES))
    checks = []
    for piece in range(-(-work.block.length // REQUEST_BYTES)):
        offset, length = work.place(piece)
        filled = 0
        while filled < length:
            try:
                size = os.preadv(descriptor, [buffer[filled:length]], offset + filled)
            except OSError as error:
                raise TransientError(f"{source.root / work.item.item.path}: {error.strerror}") from error
            if not size:
                raise Short
            filled += size
        hasher.update(buffer[:length])
        checks.append(_check(buffer[:length]))
    found = hasher.value()
    if found == work.block.checksum:
        work.checks = checks
        work.unacknowledged = set(range(len(checks)))
    else:  # let the next look be one at the disk
        os.posix_fadvise(descriptor, work.block.offset, work.block.length, os.POSIX_FADV_DONTNEED)
    return found


class Short(Exception):  # noqa: N818 - it ends one item
    """The file ends before the block does."""


def read_now(work: PushBlock, piece: int) -> bytearray | None:
    """Return a verified piece if it is in the page cache; None if the disk would have to be waited for."""
    return _read(work, piece, os.RWF_NOWAIT)


def read(work: PushBlock, piece: int) -> bytearray | None:
    """Return a verified piece; None if it is not what was verified. Raises OSError."""
    return _read(work, piece, 0)


def _read(work: PushBlock, piece: int, flags: int) -> bytearray | None:
    if work.item.source is None:
        return None
    offset, length = work.place(piece)
    buffer = bytearray(length)
    try:
        size = os.preadv(work.item.source.fileno(), [buffer], offset, flags)
    except OSError:
        if flags:  # not in the cache, or a filesystem that cannot tell
            return None
        raise
    if size != length or _check(memoryview(buffer)) != work.checks[piece]:
        return None
    return buffer


def _check(content: memoryview) -> int:
    return xxhash.xxh3_64_intdigest(content)
