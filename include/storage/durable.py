"""Folders of a disk that survive a power cut."""

import os
from contextlib import suppress
from pathlib import Path


def make_folders(folder: Path) -> None:
    """Like mkdir -p, but a folder made is on the disk before anything is put into it."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
        fsync_folder(folder.parent)


def fsync_folder(folder: Path) -> None:
    """What was made, renamed or removed in `folder` is on the disk afterwards."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
