"""Old logs of tasks on this host: files first, then the folders that are empty without them."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from include.plurals import counted
from include.sizes import size


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What went."""

    files: int
    size_bytes: int

    def sentence(self) -> str:
        """Say it."""
        return f"{counted(self.files, 'log')} with {size(self.size_bytes)} went."


def sweep_logs(folder: Path, *, days: int) -> Swept:
    """Remove log files that nobody has written to for so many days. Links are not followed, nor removed."""
    oldest = time.time() - days * 86_400
    files = size_bytes = 0
    for root, folders, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(root, name)
            try:
                status = path.lstat()
                if path.suffix == ".log" and not path.is_symlink() and status.st_mtime < oldest:
                    path.unlink()
                    files, size_bytes = files + 1, size_bytes + status.st_size
            except FileNotFoundError:
                continue  # another round was faster
        for name in folders:
            _remove_if_empty(Path(root, name), oldest=oldest)
    return Swept(files=files, size_bytes=size_bytes)


def _remove_if_empty(folder: Path, *, oldest: float) -> None:
    """Leave young folders: a task may be about to write its log."""
    try:
        if not folder.is_symlink() and folder.stat().st_ctime < oldest + 86_400:
            folder.rmdir()
    except OSError:
        return  # not empty, or gone
