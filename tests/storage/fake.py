"""A storage in memory that keeps the contract, for tests of whatever uses a storage."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from include.errors import MissingFileError, TransientError
from include.storage.interface import CHUNK_BYTES, Chunk, FileStat, Space
from include.storage.paths import checked_folder, checked_path
from include.storage.sized import sized


class FakeStorage:
    """`files` may be looked at and changed by a test, to damage one for example."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._modified_at: dict[str, datetime] = {}

    def stat(self, path: str) -> FileStat | None:
        content = self.files.get(checked_path(path))
        return None if content is None else self._stat(path, content)

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        if checked_path(path) not in self.files:
            raise MissingFileError(f"{path} is not there")
        content = self.files[path]
        end = max(offset, len(content) if length is None else offset + length)
        if end > len(content):
            raise TransientError(f"{path} has only {len(content)} bytes, not {end}")
        for start in range(offset, end, CHUNK_BYTES):
            yield content[start : min(start + CHUNK_BYTES, end)]

    def write(self, path: str, chunks: Iterable[Chunk], *, size_bytes: int | None = None) -> None:
        checked_path(path)
        self.files[path] = b"".join(bytes(chunk) for chunk in sized(chunks, size_bytes=size_bytes, what=path))
        self._modified_at[path] = datetime.now(UTC)

    def delete(self, path: str) -> bool:
        return self.files.pop(checked_path(path), None) is not None

    def list(self, prefix: str = "") -> Iterator[FileStat]:
        folder = checked_folder(prefix)
        for path, content in self.files.items():
            if not folder or path.startswith(f"{folder}/"):
                yield self._stat(path, content)

    def space(self) -> Space | None:
        return None

    def close(self) -> None:
        """Nothing is open."""

    def _stat(self, path: str, content: bytes) -> FileStat:
        return FileStat(path=path, size_bytes=len(content), modified_at=self._modified_at[path])
