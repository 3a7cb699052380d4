"""The mark of a location (mark.py) at an SFTP server."""

import posixpath
from typing import cast

import asyncssh

from include.storage.mark import MARK, Mark, UnmarkedError
from include.storage.part_names import part_name


async def require_mark(client: asyncssh.SFTPClient, mark: Mark, *, root: str, place: str) -> None:
    """Raise UnmarkedError or PermanentError unless `root` has it; `place` is for messages."""
    try:
        async with client.open(posixpath.join(root, MARK), "rb") as opened:
            found = cast(bytes, await opened.read())
    except asyncssh.SFTPNoSuchFile:
        mark.require(None, root=root, at=f"at {place}")
    else:
        mark.require(found, root=root, at=f"at {place}")


async def set_mark(client: asyncssh.SFTPClient, mark: Mark, *, root: str, unmarked: UnmarkedError) -> None:
    """Set it; who may not write there raises `unmarked`: whoever may, sets it with the next file."""
    part = posixpath.join(root, part_name(MARK))
    try:
        async with client.open(part, "xb") as opened:
            await opened.write(mark.content)
            await opened.fsync()
        await client.posix_rename(part, posixpath.join(root, MARK))
    except asyncssh.SFTPPermissionDenied as error:
        raise unmarked from error
