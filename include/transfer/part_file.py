"""A file on its way in: `<path>.part` with `<path>.journal` beside it, renamed to `<path>` once all blocks are in.

Power may fail, or the process be killed, between any two lines. What holds that together:

- only verified bytes are ever written, so that a writer who was overtaken, and still holds the file after it got its
  final name, can only write there what is there already;
- a block's bytes are on the disk before its line is in the journal;
- whoever makes a part file anew removes the journal first of all, and a journal that claims more than the part file
  holds is not its journal: it was left by a file that was renamed since.
"""

import logging
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from include.errors import TransientError
from include.storage.durable import fsync_folder, make_folders
from include.storage.paths import checked_path
from include.transfer.blocks import Block, Item, missing_blocks
from include.transfer.disk_errors import disk_errors
from include.transfer.journal import Journal

logger = logging.getLogger(__name__)

# Where somebody else works too, a folder can vanish between making and using it, and a part file get its final name.
OPENING_TRIES = 5

MOST_PIECES = 16
"""Written in one call (Linux takes 1,024): those that come from a disk are held meanwhile."""


class PartFile:
    """The part file of `item` below the folder `root`, open for writing. Made by `opened`."""

    def __init__(self, item: Item, *, root: Path) -> None:
        self.item = item
        self.final = root / checked_path(item.path)
        self.path = self.final.with_name(f"{self.final.name}.part")
        self._journal = Journal(self.final.with_name(f"{self.final.name}.journal"), content=item.content)
        self._descriptor = -1
        self._lock = Lock()
        self.is_single = len(item.content.block_checksums) <= 1
        """It has one block, and so no journal."""
        self.verified: frozenset[int] = frozenset()
        """Numbers of the blocks that need not be sent again."""

    def is_complete(self) -> bool:
        """Tell whether the file is there under its final name: it never is unless whole."""
        with disk_errors(self.final):
            try:
                return self.final.stat().st_size == self.item.content.size_bytes
            except (FileNotFoundError, NotADirectoryError):
                return False

    @contextmanager
    def opened(self) -> Iterator["PartFile"]:
        """Open it, or make it and its folders, and learn from its journal what has arrived before.

        Raises:
            NoSpaceError, PermanentError, TransientError: here and from every method; the file and this host are named.
        """
        with disk_errors(self.path):
            self.open()
            try:
                yield self
            finally:
                self.close()

    def open(self) -> None:
        """As `opened`, until `close`. Raises OSError too."""
        self._open()
        if not self.is_single:
            self._journal.open()
            fsync_folder(self.path.parent)

    @property
    def is_open(self) -> bool:
        """Tell whether it can be written."""
        return self._descriptor >= 0

    @property
    def descriptor(self) -> int:
        """Of the open file, for whoever has the kernel write a verified block; `commit` follows."""
        return self._descriptor

    def close(self) -> None:
        """Safe to repeat."""
        self._journal.close()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def look(self) -> Collection[int]:
        """Return the numbers of verified blocks without opening it for writing; nothing is changed."""
        with disk_errors(self.path):
            try:
                return self._claimed(self.path.stat().st_size) or frozenset()
            except (FileNotFoundError, NotADirectoryError):
                return frozenset()

    def add(self, block: Block, content: memoryview) -> None:
        """Write a verified block; durable on return."""
        self.write(block, [content])
        self.commit(block)

    def write(self, block: Block, pieces: Sequence[memoryview]) -> None:
        """Write a verified block, given in pieces; the memory may be used again on return."""
        position = block.offset
        for first in range(0, len(pieces), MOST_PIECES):
            position += self._write_some(pieces[first : first + MOST_PIECES], position)

    def commit(self, block: Block) -> None:
        """Note that a block was written; durable on return. For several threads at once."""
        if self.is_single:
            return  # `finish` follows, and makes the one block durable: a journal would say nothing
        os.fdatasync(self._descriptor)
        with self._lock:
            self._journal.add(block)
            self.verified |= {block.number}

    def finish(self) -> None:
        """Give it its final name, now that all blocks are in.

        Raises:
            TransientError: somebody took it away meanwhile.
        """
        if os.fstat(self._descriptor).st_size > self.item.content.size_bytes:  # it was the part of another, longer file
            os.ftruncate(self._descriptor, self.item.content.size_bytes)
        os.fsync(self._descriptor)
        try:
            self._require_own_name()
            self.path.rename(self.final)
        except FileNotFoundError:
            if self.is_complete():
                logger.info("%s was finished by another worker meanwhile.", self.final)
                return
            raise TransientError(f"{self.path} was taken away while it was written; it is begun again") from None
        fsync_folder(self.path.parent)
        self._journal.remove()

    def remove_leftovers(self) -> None:
        """Remove what a finished file may have left: power can fail between the rename and the end of the journal."""
        with disk_errors(self.path), suppress(FileNotFoundError):
            self._journal.remove()
            self.path.unlink()

    def _write_some(self, pieces: Sequence[memoryview], position: int) -> int:
        size = sum(len(piece) for piece in pieces)
        written = os.pwritev(self._descriptor, pieces, position)
        while written < size:  # a disk that is filling up, or a signal
            whole = memoryview(b"".join(pieces))[written:]
            written += os.pwrite(self._descriptor, whole, position + written)
        return size

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        for left in reversed(range(OPENING_TRIES)):
            try:
                make_folders(self.path.parent)
                self._descriptor = os.open(self.path, flags | os.O_CREAT | os.O_EXCL, 0o644)
                self._journal.remove()
                return
            except FileExistsError:
                pass
            except FileNotFoundError:
                if not left:
                    raise
                continue
            with suppress(FileNotFoundError):
                self._descriptor = os.open(self.path, flags)
                break
        else:
            raise TransientError(f"{self.path} appears and disappears: several workers are at work on it")
        claimed = self._claimed(os.fstat(self._descriptor).st_size)
        if claimed is None:
            logger.warning("%s is about another file, and is discarded.", self._journal.path)
            self._journal.remove()
        self.verified = claimed or frozenset()

    def _claimed(self, size_bytes: int) -> frozenset[int] | None:
        """The blocks that the journal vouches for; None if it is no journal of a part file of this size."""
        blocks = self._journal.blocks()
        if blocks is None or any(block.end > size_bytes for block in blocks):
            return None
        return frozenset(block.number for block in blocks)

    def _require_own_name(self) -> None:
        """FileNotFoundError unless the name is still that of the file we wrote: another one may be half full."""
        named, written = self.path.stat(), os.fstat(self._descriptor)
        if (named.st_dev, named.st_ino) != (written.st_dev, written.st_ino):
            raise FileNotFoundError(self.path)


def missing_bytes(item: Item, *, root: Path) -> int:
    """How many bytes of `item` have yet to arrive below `root`. Changes nothing."""
    part = PartFile(item, root=root)
    if part.is_complete():
        return 0
    return sum(block.length for block in missing_blocks(item.content, verified=part.look()))
