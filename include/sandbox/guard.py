"""The guard: a small process that ends what this one started, should this one die without having done so (kill -9).

It reads session ids from a pipe whose other end only this process holds; the end of the pipe is the end of this
process, however it came about.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import psutil

from include.sandbox.family import end

_ROOT = Path(__file__).resolve().parents[2]


class _Pipe:
    """The way to the guard of this process, which is started when there is something to guard."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pipe: IO[bytes] | None = None

    def tell(self, line: str) -> None:
        with self._lock:
            if self._pipe is None:
                self._pipe = self._begin()
            self._pipe.write(f"{line}\n".encode())
            self._pipe.flush()

    def _begin(self) -> IO[bytes]:
        guard = subprocess.Popen(
            [sys.executable, "-m", "include.sandbox.guard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PYTHONPATH": str(_ROOT), "PATH": os.environ.get("PATH", os.defpath)},
            start_new_session=True,
        )
        assert guard.stdin is not None
        guard.returncode = 0  # it outlives this process by design: no ResourceWarning about that
        return guard.stdin


_pipe = _Pipe()


def watch(session: int) -> None:
    """Have the session's processes ended when this process ends."""
    try:
        _pipe.tell(f"watch {session} {psutil.Process(session).create_time()}")
    except psutil.NoSuchProcess:
        return


def forget(session: int) -> None:
    """The session has ended; its id may become somebody else's."""
    _pipe.tell(f"forget {session} 0")


def stand_guard(lines: Iterable[bytes]) -> None:
    """Collect sessions until the pipe ends, then end those that were not forgotten."""
    sessions: dict[int, float] = {}
    for line in lines:
        word, session, created_at = line.decode().split()
        if word == "watch":
            sessions[int(session)] = float(created_at)
        else:
            sessions.pop(int(session), None)
    end(*(session for session, began_at in sessions.items() if _is_still(session, began_at)), grace_seconds=2)


def _is_still(session: int, began_at: float) -> bool:
    """Tell whether the id is not somebody else's by now; a dead leader's stays taken while its session has members."""
    try:
        return psutil.Process(session).create_time() == began_at
    except psutil.NoSuchProcess:
        return True


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    stand_guard(sys.stdin.buffer)
