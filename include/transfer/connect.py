"""Make one connection for reading: the TCP connection with a short patience, then SSH, then the session.

A connect takes about ten round trips. SYNs that a cut link swallowed are sent again after 1, 3, 7, 15, 31 s, so a
connect that was begun during a cut would sleep long after the mend: each is given up early, and another one is begun.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import asyncssh

from include.storage.sftp_connection import WINDOW_BYTES, SftpAddress, log_in
from include.transfer.packets import by_packets
from include.transfer.sftp_reads import SftpReads

TCP_SECONDS = 2.5
LOGIN_SECONDS = 20.0
SHORT_SECONDS = 0.05
MORE_TRIPS = 3


@dataclass(eq=False, slots=True)
class Line:
    """A connection and its session, ready to be read through. `round_trip_seconds` is that of one request."""

    reads: SftpReads
    connection: asyncssh.SSHClientConnection
    round_trip_seconds: float

    @property
    def is_usable(self) -> bool:
        """Tell whether nobody has noticed that it is gone."""
        return self.reads.lost is None and not self.connection.is_closed()

    def abort(self, reason: str) -> None:
        """End it at once; whoever waits for it is told why."""
        self.reads.fail(ConnectionError(reason))
        self.connection.abort()


async def connect(
    address: SftpAddress,
    *,
    on_trip: Callable[[float], None] = lambda _: None,
    on_login: Callable[[], None] = lambda: None,
) -> Line:
    """Return a new connection. `on_trip` hears the seconds that TCP took, `on_login` that the server knows us now.

    Raises:
        PermanentError: a key cannot be read.
        asyncssh.Error, OSError: server or link do not answer, or refuse us; `translated` of an SftpConnection names it.
    """
    began = time.perf_counter()
    opened = await _tcp(address.host, address.port)
    on_trip(time.perf_counter() - began)
    try:
        async with asyncio.timeout(LOGIN_SECONDS):
            connection = await log_in(address, opened=opened, seconds=LOGIN_SECONDS)
        on_login()
    except BaseException:
        opened.close()
        raise
    try:
        async with asyncio.timeout(LOGIN_SECONDS):
            reads = SftpReads()
            await connection.create_session(lambda: reads, subsystem="sftp", encoding=None, window=WINDOW_BYTES)
            by_packets(connection)
            await reads.start()
            return Line(reads, connection, await _round_trip(reads))
    except BaseException:
        connection.abort()
        raise


async def _round_trip(reads: SftpReads) -> float:
    """Return the shortest of some: one alone may meet a server that is still busy with the login."""
    shortest = await reads.round_trip()
    for _ in range(MORE_TRIPS if shortest < SHORT_SECONDS else 0):
        shortest = min(shortest, await reads.round_trip())
    return shortest


async def _tcp(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    family, kind, protocol, _, place = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    try:
        async with asyncio.timeout(TCP_SECONDS):
            await loop.sock_connect(made, place)
    except BaseException:
        made.close()
        raise
    return made
