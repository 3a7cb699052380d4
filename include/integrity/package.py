"""Write a tar package in one pass: bytes come out as chunks while every hash is made.

Deterministic: the same files and the same time give the same bytes (owner 0, mode 0644, members sorted by path). The
format is POSIX pax, so names of any length and alphabet survive; GNU tar and Python's tarfile read it. It ends with the
two zero blocks that the standard demands, without GNU's padding to 10 kB.
"""

import io
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

from include.errors import BadInputError, ChecksumMismatchError, FileChangedError
from include.integrity.checksum import BLOCK_BYTES, BlockHasher, Hasher
from include.integrity.manifest import Member, PackageManifest
from include.storage.paths import checked_path

# Measured fastest on a warm cache; larger chunks fall out of the processor's cache between hashing and writing.
READ_BYTES = 256 * 1024

_END = bytes(2 * tarfile.BLOCKSIZE)

OpenFile = Callable[[str], io.FileIO]
"""Opens a SourceFile's path for reading, unbuffered: `DiskStorage.open`."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A raw data file as registered. `checksum` is None where the instrument gave none."""

    path: str
    size_bytes: int
    checksum: str | None
    raw_data_file_id: UUID


def package_size(files: Iterable[SourceFile], *, modified_at: int = 0) -> int:
    """Exact size in bytes of the package that write_package would make."""
    return sum(len(_header(file, modified_at)) + _padded(file.size_bytes) for file in files) + len(_END)


def write_package(
    files: Iterable[SourceFile], *, open_file: OpenFile, modified_at: int, block_bytes: int = BLOCK_BYTES
) -> "PackageStream":
    """A package of the files, to be iterated once; `modified_at` is in seconds since 1970, the observation's start.

    Raises BadInputError for a path that cannot be a member, or is given twice.
    """
    return PackageStream(files, open_file=open_file, modified_at=modified_at, block_bytes=block_bytes)


class PackageStream:
    """Iterate for the package's chunks (a new pass each time); afterwards ask for the manifest.

    Raises, while iterated, FileChangedError for a file that is not as registered or changes while it is read, and
    ChecksumMismatchError for one whose checksum is not the registered one; both name the file.
    """

    def __init__(
        self, files: Iterable[SourceFile], *, open_file: OpenFile, modified_at: int, block_bytes: int = BLOCK_BYTES
    ) -> None:
        self.files: Sequence[SourceFile] = _in_order(files)
        self.size_bytes = package_size(self.files, modified_at=modified_at)
        self._open_file = open_file
        self._modified_at = modified_at
        self._block_bytes = block_bytes
        self._members: list[Member] = []
        self._package = BlockHasher(block_bytes=block_bytes)

    def __iter__(self) -> Iterator[bytes]:
        self._members = []
        self._package = package = BlockHasher(block_bytes=self._block_bytes)
        for file in self.files:
            for chunk in self._file_chunks(file):
                package.update(chunk)
                yield chunk
        package.update(_END)
        yield _END

    def _file_chunks(self, file: SourceFile) -> Iterator[bytes]:
        header = _header(file, self._modified_at)
        offset = self._package.size_bytes + len(header)
        padding = bytes(-file.size_bytes % tarfile.BLOCKSIZE)
        hasher = Hasher()
        if file.size_bytes <= READ_BYTES:  # one chunk for a small file: three writes fewer for each of 50,000
            content = b"".join(_content(file, self._open_file))
            hasher.update(content)
            self._file_read(file, offset=offset, checksum=hasher.value())
            yield b"".join((header, content, padding))
            return
        yield header
        for chunk in _content(file, self._open_file):
            hasher.update(chunk)
            yield chunk
        self._file_read(file, offset=offset, checksum=hasher.value())
        if padding:
            yield padding

    def _file_read(self, file: SourceFile, *, offset: int, checksum: str) -> None:
        if file.checksum is not None and file.checksum != checksum:
            raise ChecksumMismatchError(
                f"{file.path!r} was registered with checksum {file.checksum} but is {checksum}: "
                "the file is damaged or was filed wrongly"
            )
        self._members.append(
            Member(
                path=file.path,
                size_bytes=file.size_bytes,
                offset_bytes=offset,
                checksum=checksum,
                raw_data_file_id=file.raw_data_file_id,
            )
        )

    def manifest(self, name: str) -> PackageManifest:
        """Raises RuntimeError before the last chunk was taken."""
        found = self._package.value()
        if found.size_bytes != self.size_bytes:
            raise RuntimeError(f"the manifest of {name} is known only after its last chunk")
        return PackageManifest(
            name=name,
            size_bytes=found.size_bytes,
            checksum=found.checksum,
            block_bytes=found.block_bytes,
            block_checksums=found.block_checksums,
            members=tuple(self._members),
        )


def _in_order(files: Iterable[SourceFile]) -> tuple[SourceFile, ...]:
    ordered = tuple(sorted(files, key=lambda file: file.path))
    for file in ordered:
        checked_path(file.path)
    for before, after in pairwise(ordered):
        if before.path == after.path:
            raise BadInputError(f"{after.path!r} is given twice for one package")
    return ordered


def _header(file: SourceFile, modified_at: int) -> bytes:
    entry = tarfile.TarInfo(file.path)
    entry.size = file.size_bytes
    entry.mtime = modified_at
    return entry.tobuf(format=tarfile.PAX_FORMAT, encoding="utf-8", errors="strict")


def _padded(size_bytes: int) -> int:
    return size_bytes + -size_bytes % tarfile.BLOCKSIZE


def _content(file: SourceFile, open_file: OpenFile) -> Iterator[bytes]:
    """Exactly the registered number of bytes, or FileChangedError."""
    with open_file(file.path) as opened:
        descriptor = opened.fileno()
        before = os.fstat(descriptor)
        if before.st_size != file.size_bytes:
            raise FileChangedError(
                f"{file.path!r} was registered with {file.size_bytes} bytes but has {before.st_size}: "
                "it changed after it was filed, or was filed wrongly"
            )
        left = file.size_bytes
        while left:
            chunk = os.read(descriptor, min(left, READ_BYTES))
            if not chunk:
                raise FileChangedError(f"{file.path!r} became shorter while it was read; file it once it is closed")
            left -= len(chunk)
            yield chunk
        if _version(before) != _version(os.fstat(descriptor)):
            raise FileChangedError(f"{file.path!r} changed while it was read; file it once it is closed")


def _version(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
