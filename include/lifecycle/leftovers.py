"""What a killed extraction or packaging leaves behind: `.part` files, which nobody writes to any more."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.storage.disk import DiskStorage
from include.storage.part_names import is_part_name

# Packages are made, or extracted, side by side in the same folders, so a part may be in work. The longest silence is a
# stalled read, of minutes (storage/s3_client.py).
LEFT_BEHIND_AFTER = timedelta(hours=1)


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
