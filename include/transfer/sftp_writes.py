"""The writing half of SFTP 3, on the same channel as the reading half. Paths are absolute, in bytes.

Errors are asyncssh's SFTPError where the server says no, and ConnectionError (or asyncssh.Error) where it is gone.
"""

import asyncio
import struct
from contextlib import suppress

import asyncssh

from include.transfer.sftp_reads import REQUEST_BYTES, FileAttributes, SftpReads, attributes_in, text_of

WRITE, APPEND, CREATE, NEW = 2, 4, 8, 0x20
"""For `open`. NEW: fail if it is there."""

_OPEN, _WRITE, _SETSTAT, _REMOVE, _MKDIR, _STAT, _EXTENDED = 3, 6, 9, 13, 14, 17, 200
_SIZE_FLAG, _MODE_FLAG = 1, 4
_MODE = 0o644


class SftpWrites:
    """One channel."""

    def __init__(self, reads: SftpReads) -> None:
        self._reads = reads

    async def open(self, path: bytes, flags: int) -> bytes:
        """Return a handle for writing."""
        answer = await self._reads.begin(_OPEN, text_of(path) + struct.pack(">III", flags, _MODE_FLAG, _MODE))
        return bytes(answer[13:])

    def close(self, handle: bytes) -> None:
        """Nobody waits for the answer."""
        if self._reads.lost is None:
            self._reads.close(handle)

    def write(self, handle: bytes, *, offset: int, content: bytes | bytearray) -> "asyncio.Future[bytearray]":
        """At most REQUEST_BYTES. The future is done when the server has written all of it."""
        place = struct.pack(">QI", offset, len(content))
        return self._reads.begin(_WRITE, text_of(handle) + place, content)

    async def append(self, path: bytes, content: bytes) -> None:
        """Add to the end of a file, in one piece, durably; it is made if need be."""
        handle = await self.open(path, WRITE | APPEND | CREATE)
        try:
            await self.write(handle, offset=0, content=content)
            await self.fsync(handle)
        finally:
            self.close(handle)

    async def fsync(self, handle: bytes) -> None:
        """What was written is on the disk, if the server offers that (OpenSSH does)."""
        with suppress(asyncssh.SFTPOpUnsupported):
            await self._reads.begin(_EXTENDED, text_of(b"fsync@openssh.com") + text_of(handle))

    async def rename(self, path: bytes, target: bytes) -> None:
        """In place of what has that name."""
        await self._reads.begin(_EXTENDED, text_of(b"posix-rename@openssh.com") + text_of(path) + text_of(target))

    async def remove(self, path: bytes) -> None:
        """It may be gone already."""
        with suppress(asyncssh.SFTPNoSuchFile):
            await self._reads.begin(_REMOVE, text_of(path))

    async def make_folder(self, path: bytes) -> None:
        """SFTPNoSuchFile if the folder above is not there; SFTPFailure if it is there itself."""
        await self._reads.begin(_MKDIR, text_of(path) + struct.pack(">I", 0))

    async def truncate(self, path: bytes, size_bytes: int) -> None:
        """Give a file this size."""
        await self._reads.begin(_SETSTAT, text_of(path) + struct.pack(">IQ", _SIZE_FLAG, size_bytes))

    async def followed(self, path: bytes) -> FileAttributes | None:
        """Of what a path leads to, links followed; None where nothing is."""
        with suppress(asyncssh.SFTPNoSuchFile):
            return attributes_in(await self._reads.begin(_STAT, text_of(path)))
        return None

    async def attributes(self, path: bytes) -> FileAttributes | None:
        """Of a file, links not followed; None where nothing is."""
        with suppress(asyncssh.SFTPNoSuchFile):
            return await self._reads.attributes(path)
        return None

    async def content(self, path: bytes) -> bytes:
        """Return all of a small file; nothing where none is."""
        try:
            handle = await self._reads.open(path)
        except asyncssh.SFTPNoSuchFile:
            return b""
        found = bytearray()
        try:
            while piece := await self._piece(handle, len(found)):
                found += piece
        finally:
            self.close(handle)
        return bytes(found)

    async def _piece(self, handle: bytes, offset: int) -> bytes:
        came: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        into = bytearray(REQUEST_BYTES)

        def done(result: int | Exception) -> None:
            if isinstance(result, asyncssh.SFTPEOFError):
                result = 0
            if came.done():
                return
            if isinstance(result, Exception):
                came.set_exception(result)
            else:
                came.set_result(result)

        self._reads.read(handle, offset=offset, into=memoryview(into), done=done)
        return bytes(memoryview(into)[: await came])
