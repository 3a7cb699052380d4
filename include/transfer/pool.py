"""Connections that outlive a transfer, one set for each address, in one loop of the process.

To connect takes 3.4 s across an ocean, and a new connection begins slowly; the next transfer finds them warm. One that
is still logging in when its transfer ends goes on doing so.
"""

import asyncio
import atexit
import os
import time
from collections import defaultdict
from functools import partial
from threading import Lock

from include.storage.loop_thread import LoopThread
from include.storage.sftp_connection import SftpAddress
from include.transfer.connect import Line
from include.transfer.dial import Dial

KEPT_SECONDS = 600.0


class Pool:
    """The idle connections of this process, and the loop they live in."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = LoopThread("transfer")
        self._idle: dict[SftpAddress, list[tuple[float, Line]]] = defaultdict(list)
        self._coming: dict[SftpAddress, list[Dial]] = defaultdict(list)

    def take(self, address: SftpAddress) -> Line | None:
        """Return the connection used last, if there is one. In the loop's thread."""
        idle = self._idle[address]
        while idle:
            since, line = idle.pop()
            if line.is_usable and time.monotonic() - since < KEPT_SECONDS:
                return line
            line.abort("it was idle for too long")
        return None

    def keep(self, address: SftpAddress, line: Line) -> None:
        """Have a connection that nobody uses now. In the loop's thread."""
        if line.is_usable:
            self._idle[address].append((time.monotonic(), line))

    def expect(self, address: SftpAddress, dial: Dial) -> None:
        """Have a connection that is being made and that nobody waits for now. In the loop's thread."""
        dial.tell = partial(self._heard, address)
        self._coming[address].append(dial)

    def take_coming(self, address: SftpAddress) -> Dial | None:
        """Return the one that was begun first, if there is one. In the loop's thread."""
        coming = self._coming[address]
        return coming.pop(0) if coming else None

    def _heard(self, address: SftpAddress, dial: Dial) -> None:
        if dial.is_done:
            self._coming[address].remove(dial)
        if dial.line is not None:
            self.keep(address, dial.line)

    async def close(self) -> None:
        """End all connections that nobody uses, and those that are being made."""
        coming = [dial for dials in self._coming.values() for dial in dials]
        self._coming.clear()
        await asyncio.gather(*(dial.end() for dial in coming))
        for idle in self._idle.values():
            while idle:
                line = idle.pop()[1]
                line.connection.close()
                await line.connection.wait_closed()


_pool: Pool | None = None
_lock = Lock()


def pool() -> Pool:
    """Return the pool of this process: a child made by fork gets its own."""
    global _pool  # noqa: PLW0603 - one for each process is what it is
    with _lock:
        if _pool is None or _pool.pid != os.getpid():
            _pool = Pool()
        return _pool


def close_connections() -> None:
    """End all idle connections and the loop; the next transfer begins anew. For the end of a process."""
    global _pool
    with _lock:
        closing, _pool = _pool, None
    if closing is not None and closing.pid == os.getpid():
        closing.loop.run(closing.close())
        closing.loop.stop()


atexit.register(close_connections)
