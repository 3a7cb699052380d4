"""Blocks on their way into a store, each compared with its checksum before its last byte is handed out."""

import io
import threading
from collections.abc import Callable, Generator, Iterator, Sequence

from include.errors import DtsError, TransientError
from include.integrity.checksum import Hasher
from include.storage.interface import Chunk, Storage
from include.transfer.blocks import Block


class DamagedBlockError(TransientError):
    """A block is not what it should be; it is read again before that is believed."""


Reader = Callable[[int, int], Iterator[Chunk]]
ReaderOf = Callable[[Storage, str], Reader]


def partial_reader(storage: Storage, path: str) -> Reader:
    """Return what reads a range of a file: offset and length in bytes."""
    return lambda offset, length: storage.read(path, offset=offset, length=length)


class VerifiedBody(io.RawIOBase):
    """Blocks as a file to be sent, each compared with its checksum before its last byte is handed out.

    botocore begins again (`seek`) if a request failed. `error` is what reading ended with. `on_read` hears of the bytes
    that are handed out.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        reader: Reader,
        *,
        name: str,
        stopped: threading.Event,
        on_read: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.error: DtsError | None = None
        self._blocks = blocks
        self._reader = reader
        self._name = name
        self._stopped = stopped
        self._on_read = on_read
        self._size = blocks[-1].end - blocks[0].offset if blocks else 0
        self._position = 0
        self._chunks = self.chunks()
        self._rest = memoryview(b"")

    def __len__(self) -> int:
        return self._size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence] + offset
        if self._position == 0:
            self._chunks.close()
            self._chunks, self._rest, self.error = self.chunks(), memoryview(b""), None
        return self._position

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        piece = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(piece) :]
        self._position += len(piece)
        self._on_read(len(piece))
        return bytes(piece)

    def chunks(self) -> Generator[Chunk, None, None]:
        """Read and verify."""
        try:
            yield from self._verified()
        except DtsError as error:
            self.error = error
            raise

    def _verified(self) -> Generator[Chunk, None, None]:
        if not self._blocks:
            return
        chunks = iter(self._reader(self._blocks[0].offset, self._size))
        rest = memoryview(b"")
        for block in self._blocks:
            hasher, left = Hasher(), block.length
            while left:
                if self._stopped.is_set():
                    raise TransientError(f"sending {self._name} was stopped")
                rest = rest or memoryview(next(chunks, b""))
                if not rest:
                    raise TransientError(f"{self._name} ended before byte {block.end}")
                piece, rest = rest[:left], rest[left:]
                hasher.update(piece)
                left -= len(piece)
                if not left and hasher.value() != block.checksum:
                    raise DamagedBlockError(
                        f"{self._name}: block {block.number} (bytes {block.offset} to {block.end}) has checksum"
                        f" {hasher.value()} instead of {block.checksum}"
                    )
                yield piece
