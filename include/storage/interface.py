"""What every storage can do. Backends: `disk.py`, `sftp.py`, `s3.py`; one contract test holds them all to this.

Paths are relative to the location's root, with `/` between components (see `paths.py`). Errors, everywhere:

- BadInputError: the path is absolute, leaves the root, or is no path; nothing was touched
- MissingFileError: there is no such file
- NoSpaceError: the location is full
- TransientError: network, server or disk is busy or gone; the message names the host
- PermanentError: no permission, no bucket, wrong host key: the message says what to change
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

CHUNK_BYTES = 1024 * 1024

Chunk = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class FileStat:
    """A file as its storage sees it; times are UTC."""

    path: str
    size_bytes: int
    modified_at: datetime
    """As whoever wrote it says: copying and unpacking tools give a file the time of what it was made from."""
    changed_at: datetime | None = None
    """When it really came to be as it is, by the disk's own clock; None where the storage cannot tell."""


@dataclass(frozen=True, slots=True)
class Space:
    """`free_bytes` is what an ordinary user may still write, `total_bytes` all that he could on an empty disk."""

    total_bytes: int
    free_bytes: int
    is_read_only: bool = False

    @property
    def used_bytes(self) -> int:
        """What is written there, by anybody."""
        return self.total_bytes - self.free_bytes


class Storage(Protocol):
    """Files at one DataLocation. Not for use from several threads at once; open one for each."""

    def stat(self, path: str) -> FileStat | None:
        """None where no file is: nothing, a folder, or something that is not a regular file."""

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """`length` bytes from `offset` on (None: up to the end) in chunks of at most 1 MiB.

        Errors come with the first chunk asked for. A file that ends before `offset + length` raises TransientError.
        """

    def write(self, path: str, chunks: Iterable[Chunk], *, size_bytes: int | None = None) -> None:
        """The chunks as one file, which appears under its name, replacing an older one, only once complete and durable.

        `size_bytes` is the expected size: another one raises TransientError. Whatever `chunks` raises goes through, and
        leaves nothing behind.
        """

    def delete(self, path: str) -> bool:
        """Whether the file was there. Folders left empty go too, up to the root, which stays."""

    def list(self, prefix: str = "") -> Iterator[FileStat]:
        """All files in the folder `prefix` and below it, in no particular order; nothing if there is no such folder.

        Files still being written are not shown.
        """

    def space(self) -> Space | None:
        """None where the storage cannot tell (S3)."""

    def close(self) -> None:
        """Give connections back. Safe to repeat; the next call connects again."""
