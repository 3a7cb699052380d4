"""What all servers of a sandbox have in common: a folder, a port, an account, and a process that is awaited."""

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from include.errors import SandboxError
from include.sandbox.accounts import Account
from include.sandbox.ports import port_to_use
from include.sandbox.process import Command, Daemon


class Server:
    """One server on loopback. `name` is what people call it; a with block ends it.

    Raises:
        SandboxError: the port is taken. `setting` is the environment variable that changes it.
    """

    def __init__(
        self, name: str, *, folder: Path, port: int | None, setting: str | None, account: Account | None
    ) -> None:
        self.name = name
        self.folder = folder
        self.port = port_to_use(port, server=name, setting=setting)
        self.account = account
        self._daemon: Daemon | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def daemon(self) -> Daemon:
        """The running server's process."""
        if self._daemon is None:
            raise SandboxError(f"{self.name} has not been started.")
        return self._daemon

    def stop(self) -> None:
        """End it and cut off its clients; harmless where it does not run. What it has written stays."""
        if self._daemon is not None:
            self._daemon.stop()

    def _begin(
        self,
        *arguments: str | Path,
        log: str,
        ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Start the program and return once it is `ready`; `log` is a file's name in its folder.

        Raises:
            SandboxError: it died or was too slow, with the last lines of its log.
        """
        command = Command(
            name=self.name,
            arguments=arguments,
            log=self.folder / log,
            environment=environment or {},
            account=self.account,
            stop_signal=stop_signal,
        )
        self._daemon = Daemon.launch(command)  # known before it is awaited, so that a Ctrl-C meanwhile ends it, too
        self._daemon.await_ready(ready)
