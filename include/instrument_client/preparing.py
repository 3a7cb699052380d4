"""The last look at a segment before it is filed: are its files still as they were added, and have they their checksums?

One file that changed would have the whole filing refused, so it is set aside here, with the reason.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from .durable import read, write_whole
from .errors import TryAgainError
from .folder import DAMAGED_SUFFIX, REFUSED_SUFFIX, Folder
from .hashing import checksum_of
from .lock import locked
from .segment import File, Segment

SHOWN = 5


def prepared(folder: Folder, path: Path, *, mb_per_second: float, stop: threading.Event) -> Segment | None:
    """Return a sealed segment as it is to be filed, None if none of its files can be. The spool has it the same.

    Raises:
        SpoolError: the disk of the spool refuses.
        TryAgainError: the disk of the data is away.
        StoppedError: `stop` was set.
    """
    segment = folder.segment(path)
    if segment.damaged_lines:
        with locked(folder.path):
            write_whole(path.with_suffix(DAMAGED_SUFFIX), read(path))
            write_whole(path, replace(segment, damaged_lines=0).content())
    root = Path(segment.about.root)
    if not root.is_dir():  # sent from another host or account than it was added
        return segment
    if not any(root.iterdir()):
        raise TryAgainError(f"{root} is empty: is its disk mounted? Nothing of it is filed before.")
    good, changed = _looked_at(segment, lambda file: _with_checksum(file, root, segment, mb_per_second, stop))
    if changed:
        with locked(folder.path):
            _set_aside(path, segment, changed)
    if good == list(segment.files):
        return segment
    left = segment.with_files(good)
    with locked(folder.path):
        if good:
            write_whole(path, left.content())
        else:
            folder.remove(path)
    return left if good else None


def _looked_at(segment: Segment, complete: Callable[[File], File]) -> tuple[list[File], list[tuple[File, str]]]:
    good, changed = [], []
    for file in segment.files:
        try:
            size_bytes = (Path(segment.about.root) / file.path).lstat().st_size
            if size_bytes != file.size_bytes:
                changed.append((file, f"has {size_bytes:,} bytes and had {file.size_bytes:,} when it was added"))
            else:
                good.append(complete(file))
        except PermissionError:
            good.append(file)  # this account may not look; the server will
        except OSError as error:
            changed.append((file, f"cannot be read: {error.strerror}"))
    return good, changed


def _with_checksum(file: File, root: Path, segment: Segment, mb_per_second: float, stop: threading.Event) -> File:
    if not segment.is_hashed or file.checksum:
        return file
    return replace(file, checksum=checksum_of(root / file.path, mb_per_second=mb_per_second, stop=stop))


def _set_aside(path: Path, segment: Segment, changed: list[tuple[File, str]]) -> None:
    shown = "; ".join(f"{file.path} {why}" for file, why in changed[:SHOWN])
    more = f"; and {len(changed) - SHOWN:,} more" if len(changed) > SHOWN else ""
    sentence = f"Not sent: {shown}{more}. Retry files them as they are then."
    aside = replace(segment.with_files(file for file, _ in changed), sentence=sentence)
    write_whole(path.with_suffix(f".changed{REFUSED_SUFFIX}"), aside.content())
