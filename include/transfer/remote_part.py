"""A file on its way out to an SFTP server: the same `.part`, journal and rename there as of a pull (part_file.py).

The journal lies beside the part file, not at the origin: it lives and dies with what it vouches for, whoever pushes
next finds it, from whatever host, and so does a pull if the route is turned round. A block's line is written after its
bytes were acknowledged and the server has made them durable (fsync@openssh.com, where it offers that).

Every step may be repeated, on another connection too.
"""

import asyncio
import posixpath
import stat
from contextlib import suppress
from dataclasses import dataclass

import asyncssh

from include.errors import BadInputError, TransientError
from include.storage.paths import checked_path
from include.transfer.blocks import Block, Item, missing_blocks
from include.transfer.journal import line_of, named_in
from include.transfer.sftp_reads import FileAttributes
from include.transfer.sftp_writes import CREATE, NEW, WRITE, SftpWrites

OPENING_TRIES = 5


@dataclass(frozen=True, slots=True)
class Found:
    """What is at the destination of an item."""

    missing: tuple[Block, ...]
    is_complete: bool


class Folders:
    """Folders below the root at the destination, each made once. `place` is for messages."""

    def __init__(self, root: str, *, place: str) -> None:
        self.root = root.rstrip("/")
        self._place = place
        self._known: set[str] = set()
        self._making = asyncio.Lock()

    async def require_root(self, writes: SftpWrites) -> None:
        """Refuse a root that is not there: it is never made, for its disk is probably not mounted."""
        found = await writes.followed(self.root.encode() or b"/")
        if found is None or not stat.S_ISDIR(found.mode):
            raise TransientError(f"folder {self.root} is not there at {self._place}: is its disk mounted?")

    async def make(self, writes: SftpWrites, folder: str, *, anew: bool = False) -> None:
        """Like mkdir -p; `anew` if it is known to have vanished."""
        async with self._making:
            if anew or folder not in self._known:
                await self._make(writes, folder)
                self._known.add(folder)

    async def _make(self, writes: SftpWrites, folder: str) -> None:
        if folder == self.root:
            await self.require_root(writes)
            return
        found = await writes.followed(folder.encode())
        if found is not None:
            return
        await self._make(writes, posixpath.dirname(folder))
        with suppress(asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):  # somebody else was quicker
            await writes.make_folder(folder.encode())


class RemotePart:
    """The part file of `item` at the destination."""

    def __init__(self, item: Item, *, folders: Folders) -> None:
        final = f"{folders.root}/{checked_path(item.path)}"
        self.item = item
        self.path = f"{final}.part".encode()
        self.is_single = len(item.content.block_checksums) <= 1
        """It has one block, and so no journal."""
        self._final = final.encode()
        self._journal = f"{final}.journal".encode()
        self._folder = posixpath.dirname(final)
        self._folders = folders
        self._is_torn = False
        self._lines = asyncio.Lock()

    async def prepare(self, writes: SftpWrites) -> Found:
        """Find out what has to be sent, and have a part file if it is more than one block."""
        if await self._is_complete(writes):
            await writes.remove(self._journal)
            await writes.remove(self.path)
            return Found((), is_complete=True)
        if self.is_single:
            return Found(missing_blocks(self.item.content, verified=()), is_complete=False)
        if await self._is_made(writes):
            await writes.remove(self._journal)
            return Found(missing_blocks(self.item.content, verified=()), is_complete=False)
        claimed = await self._claimed(writes)
        if claimed is None:  # it is about another file
            await writes.remove(self._journal)
        return Found(missing_blocks(self.item.content, verified=claimed or ()), is_complete=False)

    async def open(self, writes: SftpWrites) -> bytes:
        """Return a handle for writing blocks."""
        for _ in range(OPENING_TRIES):
            await self._folders.make(writes, self._folder)
            with suppress(asyncssh.SFTPNoSuchFile):
                return await writes.open(self.path, WRITE | CREATE)
            await self._folders.make(writes, self._folder, anew=True)
        return await writes.open(self.path, WRITE | CREATE)

    async def commit(self, writes: SftpWrites, handle: bytes, block: Block) -> None:
        """Note that a block is written; durable on return."""
        await writes.fsync(handle)
        if self.is_single:
            return
        line = line_of(block, content=self.item.content) + b"\n"
        async with self._lines:
            await writes.append(self._journal, b"\n" + line if self._is_torn else line)
            self._is_torn = False

    async def finish(self, writes: SftpWrites) -> None:
        """Give it its final name, now that all blocks are in.

        Raises:
            TransientError: somebody took it away meanwhile.
        """
        found = await self._own(writes)
        if found is None:
            if await self._is_complete(writes):
                return
            raise self._taken_away()
        if found.size_bytes > self.item.content.size_bytes:  # it was the part of another, longer file
            await writes.truncate(self.path, self.item.content.size_bytes)
        try:
            await writes.rename(self.path, self._final)
        except asyncssh.SFTPNoSuchFile:
            if not await self._is_complete(writes):
                raise self._taken_away() from None
        await writes.remove(self._journal)

    async def _own(self, writes: SftpWrites) -> FileAttributes | None:
        """Return what the part file is, None if it is gone. One that its journal does not call whole was begun anew."""
        found = await writes.attributes(self.path)
        if found is None or self.is_single:
            return found
        claimed = await self._claimed(writes)
        if claimed is None or missing_blocks(self.item.content, verified=claimed):
            raise self._taken_away()
        return found

    def _taken_away(self) -> TransientError:
        return TransientError(f"{self.path.decode()} was taken away while it was written; it is begun again")

    async def _is_complete(self, writes: SftpWrites) -> bool:
        found = await writes.attributes(self._final)
        return found is not None and stat.S_ISREG(found.mode) and found.size_bytes == self.item.content.size_bytes

    async def _is_made(self, writes: SftpWrites) -> bool:
        """Make the part file; False if there is one."""
        found = await writes.attributes(self.path)
        if found is not None:
            if not stat.S_ISREG(found.mode):
                raise BadInputError(f"{self.path.decode()} is refused: it is no regular file")
            return False
        await self._folders.make(writes, self._folder)
        for _ in range(OPENING_TRIES):
            try:
                writes.close(await writes.open(self.path, WRITE | CREATE | NEW))
            except asyncssh.SFTPNoSuchFile:
                await self._folders.make(writes, self._folder, anew=True)
            except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
                if await writes.attributes(self.path) is None:
                    raise
                return False
            else:
                return True
        raise TransientError(f"{self.path.decode()} cannot be made: its folder appears and disappears")

    async def _claimed(self, writes: SftpWrites) -> frozenset[int] | None:
        """The blocks that the journal vouches for; None if it is no journal of a part file of this size."""
        found = await writes.attributes(self.path)
        text = await writes.content(self._journal)
        self._is_torn = bool(text) and not text.endswith(b"\n")
        blocks = named_in(text, content=self.item.content)
        if found is None or blocks is None or any(block.end > found.size_bytes for block in blocks):
            return None
        return frozenset(block.number for block in blocks)
