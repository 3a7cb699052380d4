"""A file's compressed twin at the origin: `compressed/<path>.zst`, which `zstd -d` turns into the file again.

It holds a zstd frame for each block of the file, so that blocks are fetched one by one, then an index in a frame that
zstd skips: whose twin it is, how long the frames are, a checksum of these words, and its own length at the very end.
The twin gets its name when it is complete, but is not forced to the disk: after a power cut it may be torn. Then its
index is, and it counts for nothing, or a frame is, and whoever fetches it takes the file itself.
"""

import io
import os
import struct
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import zstandard
from pydantic import BaseModel, ConfigDict, ValidationError

from include.integrity.checksum import Hasher, checksum_of
from include.storage.disk import DiskStorage
from include.transfer.blocks import Block, Content, Item, Twin, blocks_of
from include.transfer.compressed import trouble_with
from include.transfer.disk_errors import disk_errors

FOLDER = "compressed"
SUFFIX = ".zst"

LEVEL = 1
"""Of real detector files level 3 saves half a percent more, at three times the price."""

MOST_PART = 0.9
"""A twin that is longer than this part of its file is not worth the processor's time at both ends."""

RESERVE_BYTES = 256 * 1024 * 1024
"""Stays free at the origin: packages are written there meanwhile."""

MOST_THREADS = 4
READ_BYTES = 1024 * 1024
SAMPLES = 8

_SKIPPED = 0x184D2A5D
"""Magic number of a frame that zstd skips."""

_HEADER = struct.Struct("<II")
_FOOTER = struct.Struct("<I4s")
_MARK = b"DTST"
_MOST_INDEX_BYTES = 16 * 1024 * 1024


class NoTwinError(Exception):
    """A file has no twin and goes as it is; the message is a sentence that says why."""


class _Index(BaseModel):
    """What is written behind the frames."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checksum: str
    size_bytes: int
    frame_bytes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Source:
    """The file, open for reading at offsets, from several threads at once."""

    item: Item
    descriptor: int

    def pieces(self, *, offset: int, length: int) -> Iterator[bytes]:
        for start in range(offset, offset + length, READ_BYTES):
            wanted = min(READ_BYTES, offset + length - start)
            piece = os.pread(self.descriptor, wanted, start)
            if len(piece) < wanted:
                raise NoTwinError(f"{self.item.path} is shorter than it should be.")
            yield piece


def twin_path(path: str) -> str:
    """Return where the twin of the file `path` lies."""
    return f"{FOLDER}/{path}{SUFFIX}"


def make_twin(item: Item, *, storage: DiskStorage, check: Callable[[], None], threads: int | None = None) -> Twin:
    """Return the item's twin, made now unless it is there. `check` is called, and may raise, after every block.

    Memory: a block for each thread.

    Raises:
        NoTwinError: it would save too little, there is no room for it, or the file is not what it should be.
        DtsError: as the storage says.
    """
    known = known_twin(item, storage=storage)
    if known is not None:
        return known
    _require_space(item, storage)
    with closing(storage.open(item.path)) as file:
        source = _Source(item, file.fileno())
        _require_gain(source)
        return _made(source, storage=storage, check=check, threads=threads or _threads())


def known_twin(item: Item, *, storage: DiskStorage) -> Twin | None:
    """Return the twin that lies there, if there is one of these very bytes and its index is whole."""
    path = twin_path(item.path)
    found = storage.stat(path)
    if found is None:
        return None
    with closing(storage.open(path)) as file:
        index = _read_index(file.fileno(), size_bytes=found.size_bytes)
    if index is None or (index.checksum, index.size_bytes) != (item.content.checksum, item.content.size_bytes):
        return None
    twin = Twin(path, index.frame_bytes)
    return twin if trouble_with(twin, item.content) is None else None


def sweep_twins(storage: DiskStorage, *, needed: Callable[[list[str]], set[str]]) -> int:
    """Delete the twins of files that nobody is to fetch; return how many. `needed` tells which of some paths are."""
    lying = [found.path for found in storage.list(FOLDER) if found.path.endswith(SUFFIX)]
    if not lying:
        return 0
    paths = {twin.removeprefix(f"{FOLDER}/").removesuffix(SUFFIX): twin for twin in lying}
    kept = needed(list(paths))
    return sum(storage.delete(twin) for path, twin in paths.items() if path not in kept)


def _threads() -> int:
    return min(MOST_THREADS, len(os.sched_getaffinity(0)))


def _require_space(item: Item, storage: DiskStorage) -> None:
    space = storage.space()
    most = int(item.content.size_bytes * MOST_PART)
    if space is not None and space.free_bytes < most + RESERVE_BYTES:
        raise NoTwinError(f"A twin of up to {most:,} bytes has no room: {space.free_bytes:,} are free.")


def _require_gain(source: _Source) -> None:
    """Compress a little of it, so that no time is spent on what does not shrink."""
    size = source.item.content.size_bytes
    if size <= SAMPLES * READ_BYTES * 2:
        return
    step = size // SAMPLES
    taken = packed = 0
    for offset in range(0, step * SAMPLES, step):
        sample = b"".join(source.pieces(offset=offset, length=READ_BYTES))
        taken += len(sample)
        packed += len(zstandard.ZstdCompressor(level=LEVEL).compress(sample))
    if packed > taken * MOST_PART:
        raise NoTwinError(f"Samples of {source.item.path} shrink to {packed / taken:.0%} only.")


def _made(source: _Source, *, storage: DiskStorage, check: Callable[[], None], threads: int) -> Twin:
    content, path = source.item.content, twin_path(source.item.path)
    lengths: list[int] = []
    with storage.writing(path, durable=False) as part:
        for frame in _frames(source, threads=threads):
            check()
            _write(part, b"".join(frame), path=storage.root / path)
            lengths.append(sum(len(piece) for piece in frame))
            if sum(lengths) > content.size_bytes * MOST_PART:
                raise NoTwinError(f"{source.item.path} does not shrink by {1 - MOST_PART:.0%}.")
        if not lengths:
            raise NoTwinError(f"{source.item.path} is empty.")
        _write(part, _index_of(content, lengths), path=storage.root / path)
    return Twin(path, tuple(lengths))


def _write(part: io.FileIO, content: bytes, *, path: Path) -> None:
    with disk_errors(path):
        if part.write(content) != len(content):
            raise NoTwinError(f"The disk took only a part of {path}.")


def _frames(source: _Source, *, threads: int) -> Iterator[list[bytes]]:
    """The frames in order; as many are in work, or wait to be written, as there are threads."""
    waiting: deque[Future[list[bytes]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="compressing") as pool:
        try:
            for block in blocks_of(source.item.content):
                if len(waiting) >= threads:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(partial(_frame, source, block)))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _frame(source: _Source, block: Block) -> list[bytes]:
    """A twin of wrong bytes would be sent in vain: the block is checked on the way."""
    hasher = Hasher()
    packer = zstandard.ZstdCompressor(level=LEVEL).compressobj(size=block.length)
    frame: list[bytes] = []
    for piece in source.pieces(offset=block.offset, length=block.length):
        hasher.update(piece)
        frame.append(packer.compress(piece))
    frame.append(packer.flush())
    if hasher.value() != block.checksum:
        raise NoTwinError(f"Block {block.number} of {source.item.path} is not what it should be.")
    return frame


def _index_of(content: Content, lengths: list[int]) -> bytes:
    index = _Index(checksum=content.checksum, size_bytes=content.size_bytes, frame_bytes=tuple(lengths))
    words = index.model_dump_json().encode()
    told = words + b"\n" + checksum_of([words]).encode()
    return _HEADER.pack(_SKIPPED, len(told) + _FOOTER.size) + told + _FOOTER.pack(len(told), _MARK)


def _read_index(descriptor: int, *, size_bytes: int) -> _Index | None:
    """None unless all of it fits: mark, length, checksum, and the frames before it."""
    footer = os.pread(descriptor, _FOOTER.size, max(0, size_bytes - _FOOTER.size))
    if len(footer) < _FOOTER.size:
        return None
    length, mark = _FOOTER.unpack(footer)
    start = size_bytes - _FOOTER.size - length
    if mark != _MARK or start < _HEADER.size or length > _MOST_INDEX_BYTES:
        return None
    words, _, checksum = os.pread(descriptor, length, start).rpartition(b"\n")
    if checksum_of([words]).encode() != checksum:
        return None
    try:
        index = _Index.model_validate_json(words)
    except ValidationError:
        return None
    return index if sum(index.frame_bytes) + _HEADER.size == start else None
