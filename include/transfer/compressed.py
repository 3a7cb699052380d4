"""Blocks that come compressed: each is a zstd frame in a file's twin (blocks.py), unpacked here and checked as a block.

What a frame says about itself is not believed: it is unpacked into memory of the block's own size, and no further.
"""

import mmap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import IO, cast

import zstandard

from include.integrity.checksum import BLOCK_BYTES
from include.transfer.blocks import Block, Content, Item, Twin

MOST_WINDOW_BYTES = 8 * 1024 * 1024
"""What unpacking may remember of what it has unpacked; level 1 asks for 512 KiB."""

UNPACKED_BYTES = BLOCK_BYTES
"""What a transfer leaves of its memory to the unpacked block."""

REST_BYTES = 1024


class FrameError(Exception):
    """Some bytes are not the frame that they should be; the message completes "it came with"."""


@dataclass(frozen=True, slots=True)
class Frame(Block):
    """A block as it lies in a twin: offset and length are the frame's, number and checksum the block's."""

    block: Block

    @property
    def content_bytes(self) -> int:
        return self.block.length


def trouble_with(twin: Twin, content: Content) -> str | None:
    """Return what shows, before a byte was read, that a twin is not this content's; None if nothing does."""
    blocks = len(content.block_checksums)
    if len(twin.frame_bytes) != blocks:
        return f"{twin.path} has {len(twin.frame_bytes)} frames for {blocks} blocks"
    most = most_frame_bytes(min(content.block_bytes, content.size_bytes))
    wrong = next((length for length in twin.frame_bytes if not 0 < length <= most), None)
    if wrong is not None:
        return f"{twin.path} has a frame of {wrong:,} bytes for a block of {content.block_bytes:,}"
    return None


def most_frame_bytes(size_bytes: int) -> int:
    """Return the size of the longest frame that zstd makes of so many bytes; see ZSTD_COMPRESSBOUND in zstd.h."""
    return size_bytes + (size_bytes >> 8) + 1024


def frames_of(item: Item, blocks: Iterable[Block]) -> tuple[Frame, ...]:
    """Return where these blocks lie in the item's twin, in order."""
    assert item.twin is not None
    offsets = [0]
    for length in item.twin.frame_bytes:
        offsets.append(offsets[-1] + length)
    return tuple(
        Frame(block.number, offsets[block.number], item.twin.frame_bytes[block.number], block.checksum, block)
        for block in blocks
    )


class Unpacker:
    """Memory for one unpacked block, shared by threads: one after the other has it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._memory = memoryview(b"")

    @contextmanager
    def unpacked(self, frame: Frame, pieces: Sequence[memoryview]) -> Iterator[memoryview]:
        """Lend the block that a frame holds.

        Raises:
            FrameError: it is no frame, or one of more or fewer bytes.
        """
        length = frame.block.length
        with self._lock:
            if len(self._memory) < length:
                self._memory = memoryview(mmap.mmap(-1, length))
            place = self._memory[:length]
            _unpack(pieces, place)
            yield place


def _unpack(pieces: Sequence[memoryview], place: memoryview) -> None:
    unpacking = zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW_BYTES)
    try:
        with unpacking.stream_reader(cast("IO[bytes]", _Pieces(pieces)), read_across_frames=False) as reader:
            got = 0
            while got < len(place) and (more := reader.readinto(place[got:])):
                got += more
            if got < len(place):
                raise FrameError(f"{got:,} bytes instead of {len(place):,}")
            if reader.read(REST_BYTES):
                raise FrameError(f"more than {len(place):,} bytes")
    except zstandard.ZstdError as error:
        raise FrameError(f"bytes that are no frame ({error})") from error


class _Pieces:
    """Some memory as zstandard reads it: piece by piece, not copied."""

    def __init__(self, pieces: Sequence[memoryview]) -> None:
        self._left = iter(pieces)

    def read(self, _: int = -1) -> memoryview | bytes:
        return next(self._left, b"")
