"""What a person does with what was refused: have it filed again, or forget it. The data itself is never touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .durable import write_whole
from .errors import WrongInputError
from .folder import REFUSED_WHOLE, Folder
from .lock import locked
from .segment import File
from .spool import Spool


def refused_folder(spool: Spool, observation: str) -> Folder:
    """Return an observation's folder that has something refused in it. Raises WrongInputError."""
    folder = spool.folder(observation)
    if folder is None:
        raise WrongInputError(f"Nothing of observation {observation} is in {spool.path}; `dts-file status` lists it.")
    if not has_refused(folder):
        raise WrongInputError(f"Nothing of observation {observation} is refused; it waits to be sent by itself.")
    return folder


def has_refused(folder: Folder) -> bool:
    """Return True if a person has to decide on something of it."""
    return bool(folder.refused_segments() or folder.damaged_segments() or folder.why_refused_whole() is not None)


def retry(folder: Folder) -> int:
    """File the refused files as they are now, and return how many. Killed in between: do it again.

    Raises:
        SpoolError: the disk refuses.
    """
    count = 0
    with locked(folder.path):
        if folder.why_refused_whole() is not None:
            folder.remove(folder.path / REFUSED_WHOLE)
        for path in folder.refused_segments():
            segment = folder.segment(path)
            files = tuple(_as_it_is(file, Path(segment.about.root)) for file in segment.files)
            again = replace(segment, files=files, sentence="")
            write_whole(folder.next_path(segment.module), again.content())
            folder.remove(path)
            count += len(segment.files)
    return count


def drop(spool: Spool, folder: Folder) -> int:
    """Forget what was refused, and return how many files that were. Of an observation that is refused, all of it.

    Raises:
        SpoolError: the disk refuses.
    """
    with locked(folder.path):
        if folder.why_refused_whole() is not None:
            waiting = (*folder.sealed_segments(), *folder.open_segments(), *folder.refused_segments())
            count = sum(len(folder.segment(path).files) for path in waiting)
            spool.remove(folder)
            return count
        count = sum(len(folder.segment(path).files) for path in folder.refused_segments())
        for path in (*folder.refused_segments(), *folder.damaged_segments()):
            folder.remove(path)
        return count


def _as_it_is(file: File, root: Path) -> File:
    try:
        return File(path=file.path, size_bytes=(root / file.path).lstat().st_size)
    except OSError:
        return file  # the sender tells what is wrong with it
