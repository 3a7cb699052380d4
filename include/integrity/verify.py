"""Read a package once and compare every hash with its manifest, handing the members out on the way.

Bounded in memory whatever the sizes: nothing is kept but the current hashes.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from include.errors import ChecksumMismatchError
from include.integrity.checksum import BlockHasher, Chunk, Hasher
from include.integrity.manifest import Member, PackageManifest

NAMED_MEMBERS = 3  # in a message about a bad block: enough to know where, short enough to read


class MemberWriter(Protocol):
    """What takes a member's bytes; they are valid during the call only."""

    def write(self, data: memoryview, /) -> object: ...


Sink = Callable[[Member], AbstractContextManager[MemberWriter]]
"""Where a member's content goes. The context is left normally only once the member's size and checksum matched (give
the file its final name there), and with an exception otherwise (remove the part there)."""


def read_package(chunks: Iterable[Chunk], *, manifest: PackageManifest, sink: Sink | None = None) -> None:
    """Returns if every byte is what the manifest says.

    Raises ChecksumMismatchError naming the package, and the member or the place, at the first difference.
    """
    reader = _Reader(chunks, manifest)
    for member in manifest.members:
        reader.skip_to(member.offset_bytes)
        with sink(member) if sink else nullcontext() as writer:
            hasher = Hasher()
            for view in reader.take(member.size_bytes):
                hasher.update(view)
                if writer is not None:
                    writer.write(view)
            if hasher.value() != member.checksum:
                raise ChecksumMismatchError(
                    f"package {manifest.name}: member {member.path!r} (bytes {member.offset_bytes} to "
                    f"{member.end_bytes}) has checksum {hasher.value()} instead of {member.checksum}"
                )
    reader.finish()


def checked_chunks(chunks: Iterable[Chunk], *, what: str, size_bytes: int, checksum: str) -> Iterator[Chunk]:
    """Hands the chunks on and raises ChecksumMismatchError, naming `what`, instead of ending on wrong bytes.

    Given to `Storage.write`, it keeps a damaged copy from ever getting its final name.
    """
    hasher = Hasher()
    passed = 0
    for chunk in chunks:
        hasher.update(chunk)
        passed += len(chunk)
        if passed > size_bytes:
            break
        yield chunk
    if passed != size_bytes:
        found = f"more than {size_bytes}" if passed > size_bytes else passed
        raise ChecksumMismatchError(f"{what} has {found} bytes instead of {size_bytes}")
    if hasher.value() != checksum:
        raise ChecksumMismatchError(f"{what} has checksum {hasher.value()} instead of {checksum}")


class _Reader:
    """The package's bytes in order, hashed by block and as a whole once they were used.

    Hashing comes after use, so that a damaged member, the better name, is noticed before the block in which it lies.
    """

    def __init__(self, chunks: Iterable[Chunk], manifest: PackageManifest) -> None:
        self._chunks = iter(chunks)
        self._manifest = manifest
        self._hasher = BlockHasher(block_bytes=manifest.block_bytes)
        self._compared = 0
        self._chunk: Chunk = b""
        self._rest = memoryview(b"")
        self._position = 0

    def take(self, length: int) -> Iterator[memoryview]:
        """The next `length` bytes, as views that are valid until the next one is asked for."""
        while length:
            if not self._rest and not self._next_chunk():
                raise ChecksumMismatchError(self._wrong_size(str(self._position)))
            view = self._rest[:length]
            self._rest = self._rest[len(view) :]
            self._position += len(view)
            length -= len(view)
            yield view

    def skip_to(self, position: int) -> None:
        for _ in self.take(position - self._position):
            pass

    def finish(self) -> None:
        """Read what follows the last member, then compare the whole."""
        self.skip_to(self._manifest.size_bytes)
        while not self._rest and self._next_chunk():  # empty chunks are no surplus
            pass
        if self._rest:
            raise ChecksumMismatchError(self._wrong_size(f"more than {self._position}"))
        found = self._hasher.value()
        self._compare(found.block_checksums)
        if found.checksum != self._manifest.checksum:
            raise ChecksumMismatchError(
                f"package {self._manifest.name} has checksum {found.checksum} instead of {self._manifest.checksum}, "
                "though all its blocks match: the manifest contradicts itself"
            )

    def _next_chunk(self) -> bool:
        """Account for the used chunk, then get another; False at the end."""
        self._hasher.update(self._chunk)
        if self._hasher.full_block_count > self._compared:
            self._compare(self._hasher.full_blocks())
        self._chunk = b""  # counted once, also if the next line raises or there is no other
        for chunk in self._chunks:
            self._chunk, self._rest = chunk, memoryview(chunk)
            return True
        return False

    def _compare(self, found: tuple[str, ...]) -> None:
        for number in range(self._compared, len(found)):
            if found[number] != self._manifest.block_checksums[number]:
                raise ChecksumMismatchError(self._bad_block(number, found[number]))
        self._compared = len(found)

    def _bad_block(self, number: int, found: str) -> str:
        start = number * self._manifest.block_bytes
        end = min(start + self._manifest.block_bytes, self._manifest.size_bytes)
        return (
            f"package {self._manifest.name}: block {number} (bytes {start} to {end}) has checksum {found} instead of "
            f"{self._manifest.block_checksums[number]}; in it lie {_members_between(self._manifest, start, end)}"
        )

    def _wrong_size(self, found: str) -> str:
        missing = _members_between(self._manifest, self._position, self._manifest.size_bytes)
        return (
            f"package {self._manifest.name} has {found} bytes instead of {self._manifest.size_bytes}; "
            f"not complete: {missing}"
        )


def _members_between(manifest: PackageManifest, start: int, end: int) -> str:
    touched = [member.path for member in manifest.members if member.offset_bytes < end and member.end_bytes > start]
    names = ", ".join(repr(path) for path in touched[:NAMED_MEMBERS])
    more = f" and {len(touched) - NAMED_MEMBERS} more" if len(touched) > NAMED_MEMBERS else ""
    return f"{names}{more}" if touched else "no members"
