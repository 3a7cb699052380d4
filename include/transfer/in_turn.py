"""Pull one block after the other, from whatever has no engine of its own: over one stream, or as `way` brings them.

Memory over one stream: one block, and what the origin's storage has under way.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from include.errors import MissingFileError, TransientError
from include.integrity.checksum import Hasher
from include.transfer.blocks import Block, Item, missing_blocks, runs
from include.transfer.pace import LUMP_BYTES
from include.transfer.part_file import PartFile
from include.transfer.pool import pool
from include.transfer.pulled import DamagedOriginError, Origin, Progress, Pulled
from include.transfer.terms import Terms

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A block as it came, with the checksum of what came; `keep` puts it into the part file, durably.

    To be used, or not, before the next one is asked for.
    """

    block: Block
    checksum: str
    keep: Callable[[PartFile], None]


class Way(Protocol):
    """How blocks come."""

    def arriving(self, run: Sequence[Block], item: Item) -> Iterator[Arrived]:
        """Bring neighbouring blocks, in order."""


@dataclass(slots=True)
class _Pull:
    """A pull under way."""

    origin: Origin
    way: Way
    root: Path
    terms: Terms
    ends_at: float
    bytes_sent: int = 0
    bytes_skipped: int = 0
    damaged: dict[str, tuple[Item, str]] = field(default_factory=dict)
    """By path: what is damaged at the origin or not there, and a sentence about it."""
    missing: list[Item] = field(default_factory=list)
    """Those that are not there."""

    def is_time_up(self) -> bool:
        """Tell whether to hand back; never before a block has arrived, so that each call gets further."""
        return self.bytes_sent > 0 and time.monotonic() >= self.ends_at


def pull_in_turn(
    items: Sequence[Item],
    *,
    origin: Origin,
    root: Path,
    terms: Terms,
    way: Way | None = None,
) -> Pulled:
    """As `pull`."""
    ends_at = time.monotonic() + terms.yield_after_seconds
    under_way = _Pull(origin, way or _OneStream(origin), root, terms, ends_at)
    finished = True
    for item in items:
        finished = not under_way.is_time_up() and _pull_item(item, under_way)
        if not finished:
            break
    if finished and under_way.damaged:
        sentences = " ".join(sentence for _, sentence in under_way.damaged.values())
        raise DamagedOriginError(
            sentences, items=tuple(item for item, _ in under_way.damaged.values()), missing=tuple(under_way.missing)
        )
    return Pulled(under_way.bytes_sent, under_way.bytes_skipped, finished)


def _pull_item(item: Item, under_way: _Pull) -> bool:
    """Return False if time was up before it was complete (or known to be damaged)."""
    part = PartFile(item, root=under_way.root)
    if part.is_complete():
        part.remove_leftovers()
        under_way.bytes_skipped += item.content.size_bytes
        return True
    with part.opened():
        missing = missing_blocks(item.content, verified=part.verified)
        under_way.bytes_skipped += item.content.size_bytes - sum(block.length for block in missing)
        try:
            if not _fetch(missing, part=part, under_way=under_way):
                return False
        except _Damaged as damaged:
            logger.warning("%s", damaged)
            under_way.damaged[item.path] = (item, str(damaged))
            return True
        except MissingFileError as error:
            logger.warning("%s", error)
            under_way.damaged[item.path] = (item, f"{item.content.name} is not at {under_way.origin.name}: {error}.")
            under_way.missing.append(item)
            return True
        part.finish()
    return True


class _Damaged(Exception):  # noqa: N818 - it ends one item; the error is raised when the others are done
    """A sentence about what is wrong with the file at the origin."""


def _fetch(missing: Sequence[Block], *, part: PartFile, under_way: _Pull) -> bool:
    """Get the missing blocks into the part file. Return False if time was up before the last of them."""
    left = len(missing)
    terms = under_way.terms
    try:
        for run in runs(missing) if terms.pace is None else [[block] for block in missing]:
            _wait_for(sum(block.length for block in run), terms)
            for arrived in under_way.way.arriving(run, part.item):
                _add(arrived, part=part, under_way=under_way)
                left -= 1
                if left and under_way.is_time_up():
                    return False
    except TransientError:
        _raise_if_short(part.item, under_way.origin)
        raise
    return True


def _wait_for(size_bytes: int, terms: Terms) -> None:
    """Return when the route's timetable lets so many bytes be read."""
    while terms.pace is not None and size_bytes > 0:
        lump = min(size_bytes, LUMP_BYTES)
        pool().loop.run(terms.pace.acquire(lump))
        terms.check()
        size_bytes -= lump


def _raise_if_short(item: Item, origin: Origin) -> None:
    """A file that is too short there makes reading fail, but trying again does not help."""
    found = origin.storage.stat(item.path)
    if found is not None and found.size_bytes < item.content.size_bytes:
        raise _Damaged(
            f"{item.content.name} has {found.size_bytes} bytes at {origin.name} instead of {item.content.size_bytes}:"
            f" the copy of {item.path} there is damaged."
        )


def _add(arrived: Arrived, *, part: PartFile, under_way: _Pull) -> None:
    block = arrived.block
    if arrived.checksum != block.checksum:
        place = under_way.origin.name
        logger.warning("Block %d of %s came wrong from %s; it is fetched again.", block.number, part.path, place)
        under_way.bytes_sent += block.length
        _wait_for(block.length, under_way.terms)
        again = under_way.way.arriving([block], part.item)
        arrived = next(again)
    under_way.bytes_sent += block.length
    if arrived.checksum != block.checksum:
        raise _Damaged(
            f"{part.item.content.name}: block {block.number} (bytes {block.offset} to {block.end}) came from"
            f" {under_way.origin.name} with checksum {arrived.checksum} instead of {block.checksum}, twice:"
            f" the copy of {part.item.path} there is damaged."
        )
    arrived.keep(part)
    under_way.terms.on_progress(Progress(part.item, under_way.bytes_sent, under_way.bytes_skipped))
    under_way.terms.check()


class _OneStream:
    """Neighbouring blocks in one request, hashed as they pass, in one buffer that is used again."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._buffer = bytearray()

    def arriving(self, run: Sequence[Block], item: Item) -> Iterator[Arrived]:
        longest = max(block.length for block in run)
        if len(self._buffer) < longest:
            self._buffer = bytearray(longest)
        whole = memoryview(self._buffer)
        chunks = self._chunks(run, item)
        rest = memoryview(b"")
        for block in run:
            hasher = Hasher()
            filled = 0
            while filled < block.length:
                rest = rest or memoryview(next(chunks))
                piece = rest[: block.length - filled]
                whole[filled : filled + len(piece)] = piece
                hasher.update(piece)
                filled += len(piece)
                rest = rest[len(piece) :]
            yield Arrived(block, hasher.value(), partial(_add_bytes, block=block, content=whole[: block.length]))

    def _chunks(self, run: Sequence[Block], item: Item) -> Iterator[bytes]:
        start, end = run[0].offset, run[-1].end
        yield from self._origin.storage.read(item.path, offset=start, length=end - start)
        raise TransientError(f"{item.path} at {self._origin.name} ended before byte {end}")


def _add_bytes(part: PartFile, *, block: Block, content: memoryview) -> None:
    part.add(block, content)
