"""What lies in a folder of this host."""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from include.storage.interface import FileStat
from include.storage.mark import MARK
from include.storage.part_names import is_part_name


def file_stat(path: str, status: os.stat_result) -> FileStat:
    """Return what is known of a regular file."""
    return FileStat(
        path=path,
        size_bytes=status.st_size,
        modified_at=datetime.fromtimestamp(status.st_mtime_ns / 1e9, UTC),
        changed_at=datetime.fromtimestamp(status.st_ctime_ns / 1e9, UTC),
    )


def files_below(folder: Path, prefix: str) -> Iterator[FileStat]:
    """Regular files; links are not followed, so that nothing is listed twice or from outside."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(Path(entry.path), f"{prefix}{entry.name}/")
        elif entry.is_file(follow_symlinks=False) and not is_part_name(entry.name) and prefix + entry.name != MARK:
            with suppress(FileNotFoundError):  # deleted since
                yield file_stat(f"{prefix}{entry.name}", entry.stat(follow_symlinks=False))
