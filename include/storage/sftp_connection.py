"""One kept-open SFTP connection: made when first needed, made again after it broke, its errors translated.

A connect across an ocean takes 3.4 s (measured), so a connection is kept as long as its storage. The receive window is
64 MiB, or a pull over a long link is slow, whatever else is tuned.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncssh

from include.errors import BadInputError, DtsError, MissingFileError, NoSpaceError, PermanentError, TransientError
from include.storage.loop_thread import LoopThread

WINDOW_BYTES = 64 * 1024 * 1024
"""Of a channel: OpenSSH's own 2 MiB end at 8 MB/s with a round trip of 250 ms."""

CONNECT_SECONDS = 30
KEEPALIVE_SECONDS = 15  # three unanswered ones end the connection, so that a cut link never blocks for ever

# GCM first: 3.4 GB/s a core against half of that for chacha20, which asyncssh would choose.
_CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes256-ctr",
)

# It reports every file it opens at INFO.
logging.getLogger("asyncssh").setLevel(logging.WARNING)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class SftpAddress:
    """`host_key` is the server's public key as in known_hosts, without the host: `ssh-ed25519 AAAA...`.

    `root` is the location's folder as the server shows it.
    """

    host: str
    port: int
    username: str
    private_key_path: str = field(repr=False)
    host_key: str
    root: str

    @property
    def place(self) -> str:
        return f"sftp://{self.username}@{self.host}:{self.port}"


class SftpConnection:
    """Runs coroutines that use `client()`. All errors come out as those of errors.py, naming the server."""

    def __init__(self, address: SftpAddress) -> None:
        self.address = address
        self.round_trip_seconds = 0.0
        """Of the link, measured at each connect."""
        self._loop: LoopThread | None = None
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None
        self._connecting = asyncio.Lock()

    def start(self, coroutine: Coroutine[Any, Any, Result]) -> Future[Result]:
        if self._loop is None:
            self._loop = LoopThread(f"sftp {self.address.host}")
            self._connecting = asyncio.Lock()  # belongs to that loop
        return self._loop.start(coroutine)

    @property
    def is_open(self) -> bool:
        """Whether there is, or was, a connection since the last close."""
        return self._loop is not None

    def run(self, coroutine: Coroutine[Any, Any, Result], path: str) -> Result:
        return self.result(self.start(coroutine), path)

    def result(self, future: Future[Result], path: str) -> Result:
        """The future's result or its error, translated; `path` is what the error is about."""
        try:
            return future.result()
        except (asyncssh.Error, OSError, EOFError) as error:
            raise self.translated(error, path) from error
        except BaseException:
            future.cancel()
            raise

    async def client(self) -> asyncssh.SFTPClient:
        async with self._connecting:
            if self._client is None or self._connection is None or self._connection.is_closed():
                self._connection = await log_in(
                    self.address, seconds=CONNECT_SECONDS, keepalive_seconds=KEEPALIVE_SECONDS
                )
                self._client = await self._connection.start_sftp_client(path_errors="surrogateescape")
                self.round_trip_seconds = await _round_trip(self._client)
            return self._client

    def close(self) -> None:
        if self._loop is None:
            return
        self._loop.run(self._close())
        self._loop.stop()
        self._loop = None

    async def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            await self._connection.wait_closed()
        self._connection = self._client = None

    def translated(self, error: Exception, path: str) -> DtsError:
        place = f"{self.address.place}{'' if path.startswith('/') else '/'}{path}"
        match error:
            case asyncssh.HostKeyNotVerifiable():
                return PermanentError(
                    f"{self.address.place} shows another host key than the connection's: {error}; "
                    "if the server was set up anew, correct the connection, else somebody is in between"
                )
            case asyncssh.PermissionDenied():
                return PermanentError(f"{self.address.place} refuses the login: {error}; check user and key")
            case asyncssh.SFTPNoSuchFile() | asyncssh.SFTPNoSuchPath():
                return MissingFileError(f"{place} is not there")
            case asyncssh.SFTPPermissionDenied() | asyncssh.SFTPWriteProtect():
                return PermanentError(f"no permission for {place}: {error}; check the account's rights there")
            case asyncssh.SFTPNoSpaceOnFilesystem() | asyncssh.SFTPQuotaExceeded():
                return NoSpaceError(f"no space left for {place}: {error}")
            case asyncssh.SFTPInvalidFilename():
                return BadInputError(f"{place} is refused by the server: {error}")
            case asyncssh.SFTPOpUnsupported():
                return PermanentError(f"{place}: the server cannot do this: {error}; OpenSSH can")
            case _:
                return TransientError(f"{place}: {error or type(error).__name__}")


async def log_in(
    address: SftpAddress, *, seconds: float, keepalive_seconds: float = 0, opened: socket.socket | None = None
) -> asyncssh.SSHClientConnection:
    """Return a connection, over the socket `opened` if there is one. `seconds`: for TCP, and for the login.

    Raises:
        PermanentError: a key cannot be read.
        asyncssh.Error, OSError: the server or the link does not answer, or refuses us; `translated` names it.
    """
    try:
        trusted = asyncssh.import_public_key(address.host_key)
        return await asyncssh.connect(
            address.host,
            address.port,
            sock=opened,
            username=address.username,
            client_keys=[address.private_key_path],
            known_hosts=([trusted], [], []),
            config=None,  # what the account's ~/.ssh says is not part of the topology
            agent_path=None,
            preferred_auth="publickey",
            encryption_algs=_CIPHERS,
            compression_algs=None,
            window=WINDOW_BYTES,
            connect_timeout=seconds,
            login_timeout=seconds,
            keepalive_interval=keepalive_seconds,
        )
    except asyncssh.KeyImportError as error:
        raise PermanentError(f"a key for {address.place} cannot be read: {error}; correct the connection") from error
    except FileNotFoundError as error:
        raise PermanentError(f"the private key for {address.place} is not there: {error}") from error


async def _round_trip(client: asyncssh.SFTPClient) -> float:
    """The faster of two requests that touch nothing: the first may meet a server still busy with the login."""
    seconds = []
    for _ in range(2):
        before = time.perf_counter()
        await client.realpath("/")
        seconds.append(time.perf_counter() - before)
    return min(seconds)
