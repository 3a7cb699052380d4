"""A program as a daemon: own session, own log file, perhaps another account, and a readiness that is awaited.

    daemon = Daemon.launch(Command(name="redis", arguments=(...), log=folder / "redis.log"))
    daemon.await_ready(lambda: answers(port))
    daemon.stop()

Nothing survives: `stop` ends every process of the daemon's session and every descendant, and the guard (guard.py) does
so should this process be killed. PR_SET_PDEATHSIG would not do: it goes with the *thread* that started the child, and
reaches no grandchildren.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from include.errors import SandboxError
from include.sandbox import guard
from include.sandbox.accounts import Account
from include.sandbox.family import end, family

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Command:
    """What to run, how and as whom."""

    name: str
    """What people call it."""
    arguments: tuple[str | Path, ...]
    log: Path
    """Standard output and error are appended here."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables besides those of `base_environment`; nothing else is inherited."""
    account: Account | None = None
    """Whom it drops to (needs root); None: oneself."""
    folder: Path = Path("/")
    """Working directory."""
    stop_signal: signal.Signals = signal.SIGTERM
    umask: int = 0o027


def base_environment() -> dict[str, str]:
    """Return what every process gets; no variable of the caller's leaks in, least of all a proxy or credentials."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "HOME": "/nonexistent",
        "NO_PROXY": "*",
    }


class Daemon:
    """A started program."""

    def __init__(self, command: Command, *, popen: subprocess.Popen[bytes]) -> None:
        self.command = command
        self._popen = popen

    @classmethod
    def launch(cls, command: Command) -> Self:
        """Start it and return at once.

        Raises:
            SandboxError: it cannot be executed.
        """
        account = command.account
        command.log.parent.mkdir(parents=True, exist_ok=True)
        with command.log.open("ab") as log:
            try:
                popen = subprocess.Popen(
                    command.arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=command.folder,
                    env={**base_environment(), **command.environment},
                    start_new_session=True,
                    user=account.uid if account else None,
                    group=account.gid if account else None,
                    extra_groups=[] if account else None,
                    umask=command.umask,
                )
            except (OSError, subprocess.SubprocessError) as error:
                whom = account.name if account else "this user"
                raise SandboxError(
                    f"{command.name} cannot be run as {whom}: {command.arguments[0]}: {error}"
                ) from error
        guard.watch(popen.pid)
        return cls(command, popen=popen)

    @classmethod
    def start(cls, command: Command, *, ready: Callable[[], bool], timeout_seconds: float = 30) -> Self:
        """Start it and return once it is ready; raises like `await_ready`."""
        daemon = cls.launch(command)
        daemon.await_ready(ready, timeout_seconds=timeout_seconds)
        return daemon

    @property
    def pid(self) -> int:
        """Process id, and id of the session of everything it starts."""
        return self._popen.pid

    def is_alive(self) -> bool:
        """Tell whether its first process still runs."""
        return self._popen.poll() is None

    def await_ready(
        self, ready: Callable[[], bool], *, timeout_seconds: float = 30, poll_seconds: float = POLL_SECONDS
    ) -> None:
        """Return once `ready()` is true, which is asked every `poll_seconds`.

        Raises:
            SandboxError: it died or was too slow; the message has the last lines of its log. Nothing of it is left.
        """
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            if not self.is_alive():
                self._fail(f"{self.command.name} ended with exit code {self._popen.returncode} at start.")
            if time.monotonic() > deadline:
                self._fail(f"{self.command.name} was not ready after {timeout_seconds:g} s.")
            time.sleep(poll_seconds)

    def stop(self, *, grace_seconds: float = 10) -> None:
        """End it politely, then by force; nothing of it survives. Harmless where it has ended already."""
        members = family(self.pid)
        if self.is_alive():
            self._popen.send_signal(self.command.stop_signal)
            self._await_end(grace_seconds)
        end(self.pid, members=members, grace_seconds=min(grace_seconds, 2))
        self._has_ended()

    def kill(self) -> None:
        """End it and all it started at once, as a power cut would."""
        members = family(self.pid)
        end(self.pid, members=members, grace_seconds=0)
        self._has_ended()

    def last_lines(self, count: int = 20) -> str:
        """Return the end of its log."""
        return last_lines(self.command.log, count=count)

    def _has_ended(self) -> None:
        self._popen.wait()
        guard.forget(self.pid)

    def _await_end(self, seconds: float) -> None:
        try:
            self._popen.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return

    def _fail(self, what: str) -> None:
        self.kill()
        raise SandboxError(f"{what} Last lines of {self.command.log}:\n{self.last_lines()}")


def last_lines(log: Path, *, count: int = 20) -> str:
    """Return the last lines of a log file, empty where it does not exist."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 16_384))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-count:])
