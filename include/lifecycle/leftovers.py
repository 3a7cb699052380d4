"""What is left behind of work that nobody goes on with: `.part` files, and the journals beside those of transfers.

A killed extraction or packaging leaves some, and a transfer that was cancelled or went on without a package.
"""

import os
import posixpath
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.storage.disk import DiskStorage
from include.storage.interface import Storage
from include.storage.part_names import is_part_name

# Packages are made, or extracted, side by side in the same folders, so a part may be in work. The longest silence is a
# stalled read, of minutes (storage/s3_client.py).
LEFT_BEHIND_AFTER = timedelta(hours=1)

TRANSFER_LEFT_BEHIND_AFTER = timedelta(days=1)
"""A person may cancel a transfer by mistake: for a day what has arrived need not be sent again."""


def sweep_transfers(storage: Storage, folders: Iterable[str], *, still_coming: Callable[[list[str]], set[str]]) -> int:
    """Delete what pulls or pushes left behind in these folders of a buffer and below them; return how many files.

    It looks at every file there is: once a day is enough. `still_coming` is given names of packages, and returns those
    that some transfer has yet to bring here.
    """
    before = datetime.now(UTC) - TRANSFER_LEFT_BEHIND_AFTER
    found = [old for folder in folders for old in _old_parts_of_packages(storage, folder, before=before)]
    coming = still_coming(sorted({name for name, _ in found})) if found else set()
    doomed = [path for name, path in found if name not in coming]
    return sum(storage.delete(path) for path in doomed)


def _old_parts_of_packages(storage: Storage, folder: str, *, before: datetime) -> Iterator[tuple[str, str]]:
    """Yield the package's name and the path of every old `NAME.tar.part` and `NAME.tar.journal`."""
    for file in storage.list(folder):
        name, _, rest = posixpath.basename(file.path).rpartition(".tar.")
        if name and rest in ("part", "journal") and file.modified_at < before:
            yield name, file.path


def sweep_parts(storage: DiskStorage, folders: Iterable[str]) -> int:
    """Delete the parts in these folders (not below them) that are long untouched; return how many."""
    before = (datetime.now(UTC) - LEFT_BEHIND_AFTER).timestamp()
    swept = 0
    for folder in sorted(set(folders)):
        for name in _old_parts(storage.root / folder, before=before):
            swept += storage.delete(f"{folder}/{name}")
    return swept


def _old_parts(folder: Path, *, before: float) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [
                entry.name
                for entry in entries
                if is_part_name(entry.name)
                and entry.is_file(follow_symlinks=False)
                and entry.stat(follow_symlinks=False).st_mtime < before
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []
