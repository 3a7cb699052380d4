"""All memory that a transfer may use for bytes, taken once and lent in slots of one request each.

Whatever the link or the disk does, no more than this is held: who gets no slot does not ask the origin for more.
"""

import mmap
from contextlib import suppress

from include.transfer.sftp_reads import REQUEST_BYTES

ARENA_BYTES = 192 * 1024 * 1024
"""What a link of 1 Gbit/s holds at 250 ms with its queue full (62 MB), one block of 64 MiB that is not complete, and
one that is being written."""


class Arena:
    """Slots of REQUEST_BYTES. Memory is used only once a slot is; the slot given back last is lent first."""

    def __init__(self, size_bytes: int = ARENA_BYTES) -> None:
        self.slots = size_bytes // REQUEST_BYTES
        self._memory = mmap.mmap(-1, self.slots * REQUEST_BYTES)
        self._view = memoryview(self._memory)
        self._free = list(reversed(range(self.slots)))

    @property
    def free(self) -> int:
        """How many slots can be lent."""
        return len(self._free)

    def take(self) -> int:
        """Lend a slot. IndexError where none is free."""
        return self._free.pop()

    def give_back(self, slot: int) -> None:
        """It may be lent again: nobody reads or writes it any more."""
        self._free.append(slot)

    def release(self) -> None:
        """Give the memory back: nobody wants any more what is in it."""
        with suppress(OSError):  # a kernel that cannot
            self._memory.madvise(mmap.MADV_REMOVE)

    def view(self, slot: int, length: int) -> memoryview:
        """Return the first `length` bytes of a slot."""
        start = slot * REQUEST_BYTES
        return self._view[start : start + length]
