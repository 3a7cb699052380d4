"""Files below a folder of an SFTP server (OpenSSH at the sites).

Many requests are under way at once, because the server may be 250 ms away. A file gets its name only when it is
complete: `<name>.<unique>.part`, fsync, posix-rename; OpenSSH offers these, and a server that does not is refused.
Which files the account may reach, links included, is the server's to decide.
"""

import posixpath
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import asyncssh

from include.errors import NoSpaceError, TransientError
from include.storage.interface import Chunk, FileStat, Space
from include.storage.mark import MARK, Mark, UnmarkedError
from include.storage.part_names import part_name
from include.storage.paths import checked_folder, checked_path
from include.storage.sftp_connection import SftpAddress, SftpConnection
from include.storage.sftp_files import AT_ONCE, SftpFiles
from include.storage.sized import sized

# Four of OpenSSH's largest requests (255 kB), so that none is a small remainder.
PIECE_BYTES = 4 * 255 * 1024
# As much is under way as a link of 1 Gbit/s holds: 32 MB at a round trip of 250 ms. Not more: on loopback 32 pieces
# were three times slower than 4 (130 and 470 MB/s).
LINK_BYTES_PER_SECOND = 125_000_000
FEWEST_PIECES = 4
MOST_PIECES = 32

FULL_BYTES = 16 * 1024 * 1024
"""A write that failed with less than this free failed for want of space."""

Result = TypeVar("Result")


def pieces_under_way(round_trip_seconds: float) -> int:
    """How many pieces to ask for before the first has come."""
    held = round(round_trip_seconds * LINK_BYTES_PER_SECOND / PIECE_BYTES)
    return max(FEWEST_PIECES, min(FEWEST_PIECES + held, MOST_PIECES))


class SftpStorage:
    """The files below `address.root`, which must exist, and have the mark if there is one.

    A read or a write has up to `most_pieces` under way, and holds as many.
    """

    def __init__(self, address: SftpAddress, *, mark: Mark | None = None, most_pieces: int = MOST_PIECES) -> None:
        self.address = address
        self.mark = mark
        self._most_pieces = most_pieces
        self._connection = SftpConnection(address)
        self._files = SftpFiles(self._connection, mark=mark)

    def stat(self, path: str) -> FileStat | None:
        return self.stat_all([path])[0]

    def stat_all(self, paths: Sequence[str]) -> Sequence[FileStat | None]:
        """As `stat`, of many at once: over a long link each alone would take a round trip."""
        checked = [checked_path(path) for path in paths]
        return self._run(partial(self._files.stat_all, checked), checked[0]) if checked else []

    def read_all(self, paths: Sequence[str]) -> Sequence[bytes | None]:
        """Return all of each of these small files, None where none is; many at once, too."""
        checked = [checked_path(path) for path in paths]
        return self._run(partial(self._files.together, self._files.content, checked), checked[0]) if checked else []

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        file, size = self._run(lambda: self._files.open(checked_path(path)), path)
        under_way: deque[tuple[int, Future[bytes]]] = deque()
        try:
            end = size if length is None else offset + length
            if max(offset, end) > size:
                raise TransientError(f"{self._files.place(path)} has only {size} bytes, not {max(offset, end)}")
            position = offset
            most = min(self._most_pieces, pieces_under_way(self._connection.round_trip_seconds))
            while position < end or under_way:
                while position < end and len(under_way) < most:
                    wanted = min(PIECE_BYTES, end - position)
                    under_way.append((wanted, self._connection.start(file.read(wanted, position))))
                    position += wanted
                wanted, future = under_way.popleft()
                piece = self._connection.result(future, path)
                if len(piece) != wanted:
                    raise TransientError(f"{self._files.place(path)} ended while it was read")
                yield piece
        finally:
            for _, future in under_way:
                future.cancel()
            if self._connection.is_open:
                with suppress(TransientError):
                    self._connection.run(file.close(), path)

    def write(self, path: str, chunks: Iterable[Chunk], *, size_bytes: int | None = None) -> None:
        final = self._files.absolute(checked_path(path))
        part = posixpath.join(posixpath.dirname(final), part_name(posixpath.basename(final)))
        file = self._run(lambda: self._files.open_part(part), path)
        try:
            self._fill(file, sized(chunks, size_bytes=size_bytes, what=self._files.place(path)), path=path)
            self._connection.run(self._files.finish(file, part, final), path)
        except BaseException:
            with suppress(Exception):  # the first error is the one that counts
                self._connection.run(self._files.discard(file, part), path)
            raise

    def rename(self, path: str, to: str) -> bool:
        """Give a file another name at the server; False if it is not there. No bytes are moved."""
        return self._run(lambda: self._files.rename(checked_path(path), checked_path(to)), path)

    def delete(self, path: str) -> bool:
        return self._run(lambda: self._files.delete(checked_path(path)), path)

    def list(self, prefix: str = "") -> Iterator[FileStat]:
        waiting = [checked_folder(prefix)]
        while waiting:
            some, waiting = waiting[-AT_ONCE:], waiting[:-AT_ONCE]
            for found in self._run(partial(self._files.together, self._files.listed, some), some[0]):
                yield from found.files
                waiting += found.folders

    def space(self) -> Space | None:
        return self._run(self._files.space, "")

    def raise_if_full(self, path: str, error: TransientError) -> None:
        """Raise NoSpaceError if a write failed because the disk is full: SFTP 3 has no error for that."""
        if not isinstance(error.__cause__, asyncssh.SFTPFailure):
            return
        space = self.space()
        if space is not None and space.free_bytes < FULL_BYTES:
            raise NoSpaceError(f"no space left for {self._files.place(path)}: {space.free_bytes} bytes free") from error

    def close(self) -> None:
        self._connection.close()

    def _run(self, work: Callable[[], Coroutine[Any, Any, Result]], path: str) -> Result:
        """Do it; where the root lacks its mark, and may have it, set it and do it again."""
        try:
            return self._connection.run(work(), path)
        except UnmarkedError as error:
            if self.mark is None or not self.mark.marks.may_be_set(self.mark.full_name, self._holds):
                raise
            self._connection.run(self._files.set_mark(self.mark, error), MARK)
            self.mark.marks.was_set(self.mark.full_name)
        return self._connection.run(work(), path)

    def _holds(self, path: str) -> bool:
        return self._connection.run(self._files.holds(path), path)

    def _fill(self, file: asyncssh.SFTPClientFile, chunks: Iterable[Chunk], *, path: str) -> None:
        under_way: deque[Future[int]] = deque()
        position = 0
        most = min(self._most_pieces, pieces_under_way(self._connection.round_trip_seconds))
        try:
            for piece in _pieces(chunks):
                under_way.append(self._connection.start(file.write(piece, position)))
                position += len(piece)
                if len(under_way) >= most:
                    self._connection.result(under_way.popleft(), path)
            while under_way:
                self._connection.result(under_way.popleft(), path)
        except TransientError as error:
            self.raise_if_full(path, error)
            raise
        finally:
            for future in under_way:
                future.cancel()


def _pieces(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """The same bytes in pieces of PIECE_BYTES, copied: a chunk may be used again for the next one."""
    gathered = bytearray()
    for chunk in chunks:
        gathered += chunk
        while len(gathered) >= PIECE_BYTES:
            yield bytes(memoryview(gathered)[:PIECE_BYTES])
            del gathered[:PIECE_BYTES]
    if gathered:
        yield bytes(gathered)
