"""One sandbox per clone: the kernel keeps the lock for as long as its process lives, so it is never stale."""

import fcntl
import os
from pathlib import Path
from typing import IO

from include.errors import SandboxError

_HELD = "A sandbox is already running from this clone: `dts sandbox status` shows it, `dts sandbox stop` ends it."


class Lock:
    """An exclusive lock on a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def acquire(self) -> None:
        """Take it.

        Raises:
            SandboxError: another process has it.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self.path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise SandboxError(_HELD) from error
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        self._file = file

    def owner(self) -> int:
        """Return the process that took it last."""
        return int(self.path.read_text())

    def release(self) -> None:
        """Give it back; harmless where it is not held."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def require_free(self) -> None:
        """Raise the error of `acquire` where another process has it."""
        if self.is_held():
            raise SandboxError(_HELD)

    def is_held(self) -> bool:
        """Tell whether any process has it."""
        if not self.path.exists():
            return False
        with self.path.open("rb") as probe:
            try:
                fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False
