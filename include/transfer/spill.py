"""Where bytes wait on the disk for the rest of their block, when they would fill the memory.

Of many connections some are slow for a while, and each holds up the block that it has a piece of. What has come of
such blocks goes into a file without a name, which ends with the process, and only whole, verified blocks go on from
there (part_file.py says why). Mostly it never reaches the disk itself: it is gone from the kernel's cache in seconds.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

from include.transfer.sftp_reads import REQUEST_BYTES

SPILL_BYTES = 768 * 1024 * 1024


class Spill:
    """Places of REQUEST_BYTES in a file below `folder`, which is made when it is first needed."""

    def __init__(self, folder: Path, *, size_bytes: int = SPILL_BYTES) -> None:
        self.folder = folder
        self._descriptor = -1
        self._free = list(reversed(range(size_bytes // REQUEST_BYTES)))

    @property
    def free(self) -> int:
        """How many places can be lent."""
        return len(self._free)

    def take(self) -> int:
        """Lend a place. IndexError where none is free."""
        return self._free.pop()

    def give_back(self, place: int) -> None:
        """It may be lent again."""
        self._free.append(place)

    def write(self, place: int, content: memoryview) -> None:
        """Fill a place. Raises OSError."""
        if self._descriptor < 0:
            self._open()
        position = place * REQUEST_BYTES
        while content:
            written = os.pwrite(self._descriptor, content, position)
            content, position = content[written:], position + written

    def read(self, place: int, length: int) -> memoryview:
        """Return what a place was filled with. Raises OSError."""
        content = os.pread(self._descriptor, length, place * REQUEST_BYTES)
        if len(content) != length:
            raise OSError(f"a file of this transfer's own in {self.folder} lost bytes")
        return memoryview(content)

    def close(self) -> None:
        """Give the disk back. Safe to repeat."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _open(self) -> None:
        with tempfile.TemporaryFile(dir=self.folder) as file:
            self._descriptor = os.dup(file.fileno())


class Pieces(Sequence[memoryview]):
    """A block's bytes piece by piece: those in memory, and those to be read back, which are held only while in use."""

    def __init__(self, pieces: Sequence[memoryview | tuple[int, int]], *, spill: Spill) -> None:
        self._pieces = pieces
        self._spill = spill

    def __len__(self) -> int:
        return len(self._pieces)

    def __iter__(self) -> Iterator[memoryview]:
        return map(self._content, self._pieces)

    @overload
    def __getitem__(self, index: int) -> memoryview: ...
    @overload
    def __getitem__(self, index: slice) -> list[memoryview]: ...
    def __getitem__(self, index: int | slice) -> memoryview | list[memoryview]:
        if isinstance(index, slice):
            return [self._content(piece) for piece in self._pieces[index]]
        return self._content(self._pieces[index])

    def _content(self, piece: memoryview | tuple[int, int]) -> memoryview:
        return piece if isinstance(piece, memoryview) else self._spill.read(*piece)
