"""Whether folders are there, without waiting for a dead file server for ever."""

import errno
import os
import threading
from pathlib import Path

PATIENCE_SECONDS = 5.0


class Reach:
    """Asks for a folder in a thread of its own; while one hangs it is not asked for again."""

    def __init__(self, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._hanging: dict[Path, threading.Thread] = {}

    def __call__(self, folder: Path) -> None:
        """Return if it is there.

        Raises:
            OSError: it is not, or does not answer.
        """
        hanging = self._hanging.get(folder)
        if hanging is None or not hanging.is_alive():
            found: list[OSError | None] = []
            asking = threading.Thread(target=_ask, args=(folder, found), daemon=True, name=f"reach {folder}")
            asking.start()
            asking.join(self._patience_seconds)
            if found:
                self._hanging.pop(folder, None)
                if found[0] is not None:
                    raise found[0]
                return
            self._hanging[folder] = asking
        raise OSError(errno.ETIMEDOUT, f"the file system of {folder} does not answer")


def _ask(folder: Path, found: list[OSError | None]) -> None:
    try:
        os.statvfs(folder)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "no folder", str(folder))
    except OSError as error:
        found.append(error)
    else:
        found.append(None)
