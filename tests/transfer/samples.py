"""Items to move, and an origin that counts what is read from it and can hand out wrong bytes."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from include.errors import TransientError
from include.integrity.checksum import BlockHasher
from include.integrity.manifest import PackageManifest
from include.storage.disk import DiskStorage
from include.transfer.blocks import Item

BLOCK = 1000


def item_of(content: bytes, *, path: str = "chai/20260101/one.tar", block_bytes: int = BLOCK) -> Item:
    hasher = BlockHasher(block_bytes=block_bytes)
    hasher.update(content)
    found = hasher.value()
    manifest = PackageManifest(
        name=Path(path).stem,
        size_bytes=found.size_bytes,
        checksum=found.checksum,
        block_bytes=block_bytes,
        block_checksums=found.block_checksums,
        members=(),
    )
    return Item(path, manifest)


def put(content: bytes, *, at: Path, path: str = "chai/20260101/one.tar", block_bytes: int = BLOCK) -> Item:
    """The content as a file below `at`, and the item that describes it."""
    (at / path).parent.mkdir(parents=True, exist_ok=True)
    (at / path).write_bytes(content)
    return item_of(content, path=path, block_bytes=block_bytes)


def some_bytes(size: int, *, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@dataclass
class CountingStorage(DiskStorage):
    """A disk that remembers what was read, hands out small chunks, and is wrong about byte `at` `lies[at]` times."""

    root: Path
    chunk_bytes: int = 300
    lies: dict[int, int] = field(default_factory=dict)
    reads: list[tuple[int, int]] = field(default_factory=list)
    bytes_read: int = 0
    breaks_at: int | None = None

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        assert length is not None
        self.reads.append((offset, length))
        for chunk in super().read(path, offset=offset, length=length):
            for start in range(0, len(chunk), self.chunk_bytes):
                if self.breaks_at is not None and offset + start >= self.breaks_at:
                    raise TransientError("the link is cut")
                piece = bytearray(chunk[start : start + self.chunk_bytes])
                self._lie(piece, offset + start)
                self.bytes_read += len(piece)
                yield bytes(piece)
            offset += len(chunk)

    def _lie(self, piece: bytearray, start: int) -> None:
        for at, times in self.lies.items():
            if times and start <= at < start + len(piece):
                piece[at - start] ^= 0xFF
                self.lies[at] -= 1
