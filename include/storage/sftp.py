"""Files below a folder of an SFTP server (OpenSSH at the sites).

Many requests are under way at once, because the server may be 250 ms away. A file gets its name only when it is
complete: `<name>.<unique>.part`, fsync, posix-rename; OpenSSH offers these, and a server that does not is refused.
Which files the account may reach, links included, is the server's to decide.
"""

import asyncio
import os
import posixpath
import stat
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar, cast

import asyncssh

from include.errors import MissingFileError, NoSpaceError, TransientError
from include.storage.interface import Chunk, FileStat, Space
from include.storage.mark import MARK, Mark, UnmarkedError
from include.storage.part_names import is_part_name, part_name
from include.storage.paths import checked_folder, checked_path
from include.storage.sftp_connection import SftpAddress, SftpConnection
from include.storage.sftp_mark import require_mark, set_mark
from include.storage.sized import sized

# Four of OpenSSH's largest requests (255 kB), so that none is a small remainder.
PIECE_BYTES = 4 * 255 * 1024
# As much is under way as a link of 1 Gbit/s holds: 32 MB at a round trip of 250 ms. Not more: on loopback 32 pieces
# were three times slower than 4 (130 and 470 MB/s).
LINK_BYTES_PER_SECOND = 125_000_000
FEWEST_PIECES = 4
MOST_PIECES = 32

AT_ONCE = 128  # questions about files; the answers to so many fill no buffer

Result = TypeVar("Result")

FOLDER_TRIES = 5  # a folder can vanish between making and using it, when somebody deletes the last other file in it
FULL_BYTES = 16 * 1024 * 1024  # SFTP 3 has no error for a full disk: a failed write with less than this free is one


@dataclass(frozen=True, slots=True)
class _Listed:
    """What lies in one folder."""

    files: list[FileStat] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


def pieces_under_way(round_trip_seconds: float) -> int:
    """How many pieces to ask for before the first has come."""
    held = round(round_trip_seconds * LINK_BYTES_PER_SECOND / PIECE_BYTES)
    return max(FEWEST_PIECES, min(FEWEST_PIECES + held, MOST_PIECES))


class SftpStorage:
    """The files below `address.root`, which must exist, and have the mark if there is one."""

    def __init__(self, address: SftpAddress, *, mark: Mark | None = None) -> None:
        self.address = address
        self.mark = mark
        self._connection = SftpConnection(address)

    def stat(self, path: str) -> FileStat | None:
        return self.stat_all([path])[0]

    def stat_all(self, paths: Sequence[str]) -> Sequence[FileStat | None]:
        """As `stat`, of many at once: over a long link each alone would take a round trip."""
        checked = [checked_path(path) for path in paths]
        return self._run(partial(self._stat_all, checked), checked[0]) if checked else []

    def read_all(self, paths: Sequence[str]) -> Sequence[bytes | None]:
        """Return all of each of these small files, None where none is; many at once, too."""
        checked = [checked_path(path) for path in paths]
        return self._run(partial(self._together, self._content, checked), checked[0]) if checked else []

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        file, size = self._run(lambda: self._open(checked_path(path)), path)
        under_way: deque[tuple[int, Future[bytes]]] = deque()
        try:
            end = size if length is None else offset + length
            if max(offset, end) > size:
                raise TransientError(f"{self._place(path)} has only {size} bytes, not {max(offset, end)}")
            position = offset
            most = pieces_under_way(self._connection.round_trip_seconds)
            while position < end or under_way:
                while position < end and len(under_way) < most:
                    wanted = min(PIECE_BYTES, end - position)
                    under_way.append((wanted, self._connection.start(file.read(wanted, position))))
                    position += wanted
                wanted, future = under_way.popleft()
                piece = self._connection.result(future, path)
                if len(piece) != wanted:
                    raise TransientError(f"{self._place(path)} ended while it was read")
                yield piece
        finally:
            for _, future in under_way:
                future.cancel()
            if self._connection.is_open:
                with suppress(TransientError):
                    self._connection.run(file.close(), path)

    def write(self, path: str, chunks: Iterable[Chunk], *, size_bytes: int | None = None) -> None:
        final = self._absolute(checked_path(path))
        part = posixpath.join(posixpath.dirname(final), part_name(posixpath.basename(final)))
        file = self._run(lambda: self._open_part(part), path)
        try:
            self._fill(file, sized(chunks, size_bytes=size_bytes, what=self._place(path)), path=path)
            self._connection.run(self._finish(file, part, final), path)
        except BaseException:
            with suppress(Exception):  # the first error is the one that counts
                self._connection.run(self._discard(file, part), path)
            raise

    def rename(self, path: str, to: str) -> bool:
        """Give a file another name at the server; False if it is not there. No bytes are moved."""
        return self._run(lambda: self._rename(checked_path(path), checked_path(to)), path)

    def delete(self, path: str) -> bool:
        return self._run(lambda: self._delete(checked_path(path)), path)

    def list(self, prefix: str = "") -> Iterator[FileStat]:
        waiting = [checked_folder(prefix)]
        while waiting:
            some, waiting = waiting[-AT_ONCE:], waiting[:-AT_ONCE]
            for found in self._run(partial(self._together, self._listed, some), some[0]):
                yield from found.files
                waiting += found.folders

    def space(self) -> Space | None:
        return self._run(self._space, "")

    def close(self) -> None:
        self._connection.close()

    def _run(self, work: Callable[[], Coroutine[Any, Any, Result]], path: str) -> Result:
        """Do it; where the root lacks its mark, and may have it, set it and do it again."""
        try:
            return self._connection.run(work(), path)
        except UnmarkedError as error:
            if self.mark is None or not self.mark.marks.may_be_set(self.mark.full_name, self._holds):
                raise
            self._connection.run(self._set_mark(self.mark, error), MARK)
            self.mark.marks.was_set(self.mark.full_name)
        return self._connection.run(work(), path)

    def _holds(self, path: str) -> bool:
        async def found() -> bool:
            return await (await self._connection.client()).lexists(self._absolute(path))

        return self._connection.run(found(), path)

    async def _set_mark(self, mark: Mark, unmarked: UnmarkedError) -> None:
        await set_mark(await self._connection.client(), mark, root=self.address.root, unmarked=unmarked)

    def _absolute(self, path: str) -> str:
        return posixpath.join(self.address.root, path) if path else self.address.root

    def _place(self, path: str) -> str:
        return f"{self.address.place}/{path}"

    def _fill(self, file: asyncssh.SFTPClientFile, chunks: Iterable[Chunk], *, path: str) -> None:
        under_way: deque[Future[int]] = deque()
        position = 0
        most = pieces_under_way(self._connection.round_trip_seconds)
        try:
            for piece in _pieces(chunks):
                under_way.append(self._connection.start(file.write(piece, position)))
                position += len(piece)
                if len(under_way) >= most:
                    self._connection.result(under_way.popleft(), path)
            while under_way:
                self._connection.result(under_way.popleft(), path)
        except TransientError as error:
            self._raise_if_full(path, error)
            raise
        finally:
            for future in under_way:
                future.cancel()

    def _raise_if_full(self, path: str, error: TransientError) -> None:
        if not isinstance(error.__cause__, asyncssh.SFTPFailure):
            return
        space = self.space()
        if space is not None and space.free_bytes < FULL_BYTES:
            raise NoSpaceError(f"no space left for {self._place(path)}: {space.free_bytes} bytes free") from error

    async def _together(
        self, work: Callable[[str], Coroutine[Any, Any, Result]], paths: Sequence[str]
    ) -> Sequence[Result]:
        """Do it with each path, many at once. Errors name theirs."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(path: str) -> Result:
            async with gate:
                try:
                    return await work(path)
                except (asyncssh.Error, OSError, EOFError) as error:
                    raise self._connection.translated(error, path) from error

        return await asyncio.gather(*map(one, paths))

    async def _stat_all(self, paths: Sequence[str]) -> Sequence[FileStat | None]:
        found = await self._together(self._stat, paths)
        if None in found:
            await self._require_root(await self._connection.client())
        return found

    async def _stat(self, path: str) -> FileStat | None:
        try:
            attributes = await (await self._connection.client()).lstat(self._absolute(path))
        except asyncssh.SFTPNoSuchFile:
            return None
        return _file_stat(path, attributes) if _is_file(attributes) else None

    async def _content(self, path: str) -> bytes | None:
        client = await self._connection.client()
        try:
            async with client.open(self._absolute(path), "rb") as file:
                return cast("bytes", await file.read())
        except asyncssh.SFTPNoSuchFile:
            return None

    async def _open(self, path: str) -> tuple[asyncssh.SFTPClientFile, int]:
        client = await self._connection.client()
        try:
            attributes = await client.lstat(self._absolute(path))
        except asyncssh.SFTPNoSuchFile:
            await self._require_root(client)
            raise
        if not _is_file(attributes):
            raise MissingFileError(f"{self._place(path)} is not a regular file")
        return await client.open(self._absolute(path), "rb"), attributes.size or 0

    async def _open_part(self, part: str) -> asyncssh.SFTPClientFile:
        client = await self._connection.client()
        for _ in range(FOLDER_TRIES):
            with suppress(asyncssh.SFTPNoSuchFile):
                return await client.open(part, "xb")
            await self._require_root(client)
            await self._make_folders(client, posixpath.dirname(part))
        return await client.open(part, "xb")

    async def _make_folders(self, client: asyncssh.SFTPClient, folder: str) -> None:
        if folder == self.address.root.rstrip("/"):
            await self._require_root(client)
            return
        try:
            await client.mkdir(folder)
        except asyncssh.SFTPNoSuchFile:
            await self._make_folders(client, posixpath.dirname(folder))
            with suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
                await client.mkdir(folder)
        except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
            pass  # it is there already; if it is no folder, opening the part will say so

    async def _finish(self, file: asyncssh.SFTPClientFile, part: str, final: str) -> None:
        await file.fsync()
        await file.close()
        try:
            await (await self._connection.client()).posix_rename(part, final)
        except asyncssh.SFTPNoSuchFile as error:
            raise TransientError(f"{part} at {self.address.place} was removed while it was written") from error

    async def _discard(self, file: asyncssh.SFTPClientFile, part: str) -> None:
        with suppress(Exception):
            await file.close()
        await (await self._connection.client()).remove(part)

    async def _rename(self, path: str, to: str) -> bool:
        client = await self._connection.client()
        source, target = self._absolute(path), self._absolute(to)
        for _ in range(FOLDER_TRIES):
            if not await client.lexists(source):
                await self._require_root(client)
                return False
            with suppress(asyncssh.SFTPNoSuchFile):
                await client.posix_rename(source, target)
                return True
            await self._make_folders(client, posixpath.dirname(target))
        await client.posix_rename(source, target)
        return True

    async def _delete(self, path: str) -> bool:
        client = await self._connection.client()
        try:
            if not _is_file(await client.lstat(self._absolute(path))):
                return False
            await client.remove(self._absolute(path))
        except asyncssh.SFTPNoSuchFile:
            await self._require_root(client)
            return False
        with suppress(asyncssh.SFTPError):  # not empty, or somebody else was quicker
            folder = posixpath.dirname(path)
            while folder:
                await client.rmdir(self._absolute(folder))
                folder = posixpath.dirname(folder)
        return True

    async def _listed(self, folder: str) -> "_Listed":
        client = await self._connection.client()
        found = _Listed()
        try:
            async for entry in client.scandir(self._absolute(folder)):
                name = str(entry.filename)
                path = posixpath.join(folder, name)
                if _is_folder(entry.attrs) and name not in (".", ".."):
                    found.folders.append(path)
                elif _is_file(entry.attrs) and not is_part_name(name) and path != MARK:
                    found.files.append(_file_stat(path, entry.attrs))
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNotADirectory):
            pass
        if not found.files and not found.folders:
            await self._require_root(client)
        return found

    async def _space(self) -> Space | None:
        client = await self._connection.client()
        await self._require_root(client)
        try:
            found = await client.statvfs(self.address.root)
        except asyncssh.SFTPOpUnsupported:
            return None
        usable = found.blocks - found.bfree + found.bavail  # without what is kept for root
        return Space(
            total_bytes=found.frsize * usable,
            free_bytes=found.frsize * found.bavail,
            is_read_only=bool(found.flags & os.ST_RDONLY),
        )

    async def _require_root(self, client: asyncssh.SFTPClient) -> None:
        """A root that is not there is no empty one: its disk is probably not mounted."""
        if not await client.isdir(self.address.root):
            raise TransientError(
                f"folder {self.address.root} is not there at {self.address.place}: is its disk mounted?"
            )
        if self.mark is not None:
            await require_mark(client, self.mark, root=self.address.root, place=self.address.place)


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


def _is_file(attributes: asyncssh.SFTPAttrs) -> bool:
    return stat.S_ISREG(attributes.permissions or 0)


def _is_folder(attributes: asyncssh.SFTPAttrs) -> bool:
    return stat.S_ISDIR(attributes.permissions or 0)


def _file_stat(path: str, attributes: asyncssh.SFTPAttrs) -> FileStat:
    return FileStat(
        path=path, size_bytes=attributes.size or 0, modified_at=datetime.fromtimestamp(attributes.mtime or 0, UTC)
    )
