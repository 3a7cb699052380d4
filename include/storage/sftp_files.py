"""What is done with the files of an SFTP server, in the loop of its connection. `sftp.py` is the storage."""

import asyncio
import os
import posixpath
import stat
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import asyncssh

from include.errors import MissingFileError, TransientError
from include.storage.interface import FileStat, Space
from include.storage.mark import MARK, Mark, UnmarkedError
from include.storage.part_names import is_part_name
from include.storage.sftp_connection import SftpAddress, SftpConnection
from include.storage.sftp_mark import require_mark, set_mark

AT_ONCE = 128  # questions about files; the answers to so many fill no buffer

FOLDER_TRIES = 5  # a folder can vanish between making and using it, when somebody deletes the last other file in it

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Listed:
    """What lies in one folder."""

    files: list[FileStat] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


class SftpFiles:
    """Below the root of an address, which must exist, and have the mark if there is one. Errors are asyncssh's."""

    def __init__(self, connection: SftpConnection, *, mark: Mark | None) -> None:
        self.address: SftpAddress = connection.address
        self.mark = mark
        self._connection = connection

    def absolute(self, path: str) -> str:
        """As the server knows it."""
        return posixpath.join(self.address.root, path) if path else self.address.root

    def place(self, path: str) -> str:
        """For messages."""
        return f"{self.address.place}/{path}"

    async def together(
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

    async def stat_all(self, paths: Sequence[str]) -> Sequence[FileStat | None]:
        """Of each, None where no regular file is."""
        found = await self.together(self._stat, paths)
        if None in found:
            await self._require_root(await self._connection.client())
        return found

    async def _stat(self, path: str) -> FileStat | None:
        try:
            attributes = await (await self._connection.client()).lstat(self.absolute(path))
        except asyncssh.SFTPNoSuchFile:
            return None
        return _file_stat(path, attributes) if _is_file(attributes) else None

    async def content(self, path: str) -> bytes | None:
        """Return all of a small file, None where none is."""
        client = await self._connection.client()
        try:
            async with client.open(self.absolute(path), "rb") as file:
                return cast("bytes", await file.read())
        except asyncssh.SFTPNoSuchFile:
            return None

    async def open(self, path: str) -> tuple[asyncssh.SFTPClientFile, int]:
        """Return a file open for reading, and its size in bytes."""
        client = await self._connection.client()
        try:
            attributes = await client.lstat(self.absolute(path))
        except asyncssh.SFTPNoSuchFile:
            await self._require_root(client)
            raise
        if not _is_file(attributes):
            raise MissingFileError(f"{self.place(path)} is not a regular file")
        return await client.open(self.absolute(path), "rb"), attributes.size or 0

    async def open_part(self, part: str) -> asyncssh.SFTPClientFile:
        """Return a new file, its folders made."""
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

    async def finish(self, file: asyncssh.SFTPClientFile, part: str, final: str) -> None:
        """Give what was written its name, durably."""
        await file.fsync()
        await file.close()
        try:
            await (await self._connection.client()).posix_rename(part, final)
        except asyncssh.SFTPNoSuchFile as error:
            raise TransientError(f"{part} at {self.address.place} was removed while it was written") from error

    async def discard(self, file: asyncssh.SFTPClientFile, part: str) -> None:
        """Leave nothing of what was being written."""
        with suppress(Exception):
            await file.close()
        await (await self._connection.client()).remove(part)

    async def rename(self, path: str, to: str) -> bool:
        """Give a file another name; False if it is not there."""
        client = await self._connection.client()
        source, target = self.absolute(path), self.absolute(to)
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

    async def delete(self, path: str) -> bool:
        """Remove a file, and the folders that are empty then; False if it is not there."""
        client = await self._connection.client()
        try:
            if not _is_file(await client.lstat(self.absolute(path))):
                return False
            await client.remove(self.absolute(path))
        except asyncssh.SFTPNoSuchFile:
            await self._require_root(client)
            return False
        with suppress(asyncssh.SFTPError):  # not empty, or somebody else was quicker
            folder = posixpath.dirname(path)
            while folder:
                await client.rmdir(self.absolute(folder))
                folder = posixpath.dirname(folder)
        return True

    async def listed(self, folder: str) -> Listed:
        """Return what lies in one folder."""
        client = await self._connection.client()
        found = Listed()
        try:
            async for entry in client.scandir(self.absolute(folder)):
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

    async def space(self) -> Space | None:
        """Return the room of its disk; None where the server cannot tell."""
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

    async def holds(self, path: str) -> bool:
        """Tell whether anything is there."""
        return await (await self._connection.client()).lexists(self.absolute(path))

    async def set_mark(self, mark: Mark, unmarked: UnmarkedError) -> None:
        """Set the location's mark; who may not write there raises `unmarked`."""
        await set_mark(await self._connection.client(), mark, root=self.address.root, unmarked=unmarked)


def _is_file(attributes: asyncssh.SFTPAttrs) -> bool:
    return stat.S_ISREG(attributes.permissions or 0)


def _is_folder(attributes: asyncssh.SFTPAttrs) -> bool:
    return stat.S_ISDIR(attributes.permissions or 0)


def _file_stat(path: str, attributes: asyncssh.SFTPAttrs) -> FileStat:
    return FileStat(
        path=path, size_bytes=attributes.size or 0, modified_at=datetime.fromtimestamp(attributes.mtime or 0, UTC)
    )
