"""The mark of a location (mark.py) in a folder of this host."""

import logging
import os
from pathlib import Path

from include.storage.durable import fsync_folder
from include.storage.mark import MARK, Mark, UnmarkedError
from include.storage.part_names import part_name

logger = logging.getLogger(__name__)


def require_mark(root: Path, mark: Mark) -> None:
    """Raise UnmarkedError or PermanentError unless `root` has it, or may be given it now."""
    try:
        mark.require(_content(root / MARK), root=str(root), at=f"on {os.uname().nodename}")
    except UnmarkedError:
        if not mark.marks.may_be_set(mark.full_name, lambda path: os.path.lexists(root / path)):
            raise
        try:
            set_mark(root, mark)
        except OSError as error:  # the disk is the right one all the same; whoever may write to it marks it
            logger.warning("%s cannot be marked as %s's: %s", root, mark.full_name, error)


def set_mark(root: Path, mark: Mark) -> None:
    """Set it, durably. Raises OSError."""
    part = root / part_name(MARK)
    try:
        with part.open("xb") as opened:
            opened.write(mark.content)
            opened.flush()
            os.fsync(opened.fileno())
        part.rename(root / MARK)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    fsync_folder(root)
    mark.marks.was_set(mark.full_name)
    logger.info("%s is marked as the folder of %s.", root, mark.full_name)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
