"""Pull between two folders of one host: the bytes do not pass through this process more than to be verified.

Each block is read once and compared with its checksum; then the filesystem shares its extents (reflink: XFS, Btrfs), or
the kernel copies what was just read (`copy_file_range`), or, where it can do neither, it is written from here. Journal,
part file and rename are those of any other pull, so that it is safe to kill and to repeat.

There are no hard links. With one inode under two names, whatever damages one copy (a stray writer, a bad sector) has
damaged the other, and ops-db would count two where there is one. Extents that are shared part as soon as one is
written.

Memory: CHUNK_BYTES.
"""

import errno
import fcntl
import logging
import os
import struct
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from functools import partial
from pathlib import Path

from include.errors import TransientError
from include.integrity.checksum import Hasher
from include.storage.disk import DiskStorage
from include.transfer.blocks import Block, Item
from include.transfer.disk_errors import disk_errors
from include.transfer.in_turn import Arrived, pull_in_turn
from include.transfer.part_file import PartFile
from include.transfer.pulled import Origin, Pulled
from include.transfer.terms import Terms

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1024 * 1024

FICLONERANGE = 0x4020940D
"""linux/fs.h: _IOW(0x94, 13, struct file_clone_range)."""

_CANNOT = {errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.EINVAL, errno.EPERM}
"""What a filesystem, or a pair of them, answers that cannot do it in this way."""


class Copying(Enum):
    """How a block is copied; each where the one before cannot be done."""

    REFLINK = auto()
    IN_KERNEL = auto()
    HERE = auto()


def pull_on_one_host(items: Sequence[Item], *, origin: str, source: DiskStorage, root: Path, terms: Terms) -> Pulled:
    """As `pull`."""
    way = OneHost(origin, source)
    return pull_in_turn(items, origin=Origin(origin, source), root=root, terms=terms, way=way)


class OneHost:
    """Blocks of files in a folder of this host. `copying` is what worked last."""

    def __init__(self, name: str, source: DiskStorage) -> None:
        self.copying = Copying.REFLINK
        self._name = name
        self._source = source
        self._buffer = memoryview(bytearray(CHUNK_BYTES))

    def arriving(self, run: Sequence[Block], item: Item) -> Iterator[Arrived]:
        """Verify blocks where they lie; `keep` copies them.

        Raises:
            MissingFileError, PermanentError, TransientError: the file cannot be read, or ends too early.
        """
        with self._source.open(item.path) as opened:
            descriptor = opened.fileno()
            os.posix_fadvise(descriptor, run[0].offset, run[-1].end - run[0].offset, os.POSIX_FADV_SEQUENTIAL)
            for block in run:
                checksum = self._checksum(descriptor, block, item)
                yield Arrived(block, checksum, partial(self._keep, descriptor=descriptor, block=block))

    def _checksum(self, descriptor: int, block: Block, item: Item) -> str:
        hasher = Hasher()
        position = block.offset
        with disk_errors(self._source.root / item.path):
            while position < block.end:
                size = os.preadv(descriptor, [self._buffer[: min(CHUNK_BYTES, block.end - position)]], position)
                if not size:
                    raise TransientError(f"{item.path} at {self._name} ended before byte {block.end}")
                hasher.update(self._buffer[:size])
                position += size
            if hasher.value() != block.checksum:  # let the second look be one at the disk
                os.posix_fadvise(descriptor, block.offset, block.length, os.POSIX_FADV_DONTNEED)
        return hasher.value()

    def _keep(self, part: PartFile, *, descriptor: int, block: Block) -> None:
        self._copy(descriptor, part.descriptor, block)
        part.commit(block)

    def _copy(self, source: int, target: int, block: Block) -> None:
        while True:
            try:
                match self.copying:
                    case Copying.REFLINK:
                        _share(source, target, block)
                    case Copying.IN_KERNEL:
                        _copy_in_kernel(source, target, block)
                    case Copying.HERE:
                        self._copy_here(source, target, block)
            except OSError as error:
                if self.copying is Copying.HERE or error.errno not in _CANNOT:
                    raise
                logger.debug("%s cannot be done here: %s", self.copying.name, error)
                self.copying = Copying(self.copying.value + 1)
            else:
                return

    def _copy_here(self, source: int, target: int, block: Block) -> None:
        position = block.offset
        while position < block.end:
            size = os.preadv(source, [self._buffer[: min(CHUNK_BYTES, block.end - position)]], position)
            if not size:
                raise OSError(errno.EIO, "it became shorter while it was copied")
            written = 0
            while written < size:
                written += os.pwrite(target, self._buffer[written:size], position + written)
            position += size


def _share(source: int, target: int, block: Block) -> None:
    """Raises OSError, EINVAL where the block does not end with one of the filesystem's, or with the file."""
    fcntl.ioctl(target, FICLONERANGE, struct.pack("@qQQQ", source, block.offset, block.length, block.offset))


def _copy_in_kernel(source: int, target: int, block: Block) -> None:
    position = block.offset
    while position < block.end:
        size = os.copy_file_range(source, target, block.end - position, position, position)
        if not size:  # some kernels do so where they cannot
            raise OSError(errno.EINVAL, "nothing was copied")
        position += size
