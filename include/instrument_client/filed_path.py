"""Which files can be filed, and under which path. What the server would refuse is refused where it can be mended."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from .errors import WrongInputError
from .segment import File

PATH_BYTES_MAX = 2500
TEMPLATE_MARKS = ("{{", "}}", "{%", "%}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")


def name_of(value: str, *, what: str) -> str:
    """Return a name of an instrument, module or location. Raises WrongInputError."""
    if not _NAME.match(value):
        raise WrongInputError(f"{what} {value[:100]!r} is no name: letters, digits, _, . and - make one.")
    return value


def file_of(path: str | os.PathLike[str], *, root: Path) -> File:
    """Look at a file that is complete, and return it as it is filed.

    Args:
        path: absolute, or from the working folder.
        root: the location's root on this host.

    Raises:
        WrongInputError: it is not a regular file below the root, or has a name that no filing may hold.
    """
    try:
        found = os.lstat(path)
    except (OSError, ValueError) as error:
        raise WrongInputError(f"{os.fspath(path)!r} cannot be filed: {error}. Add files that are there.") from error
    if not stat.S_ISREG(found.st_mode):
        raise WrongInputError(f"{os.fspath(path)!r} is no regular file, so it cannot be filed; add the file itself.")
    return File(path=_relative(os.fspath(path), root=root), size_bytes=found.st_size)


def _relative(path: str, *, root: Path) -> str:
    for written_out in (os.path.abspath, os.path.realpath):  # as it is written; else where its links lead
        absolute, base = written_out(path), written_out(root).rstrip("/") + "/"
        if absolute.startswith(base):
            relative = absolute[len(base) :]
            _refuse_strange(relative)
            return relative
    raise WrongInputError(f"{path!r} is not below {str(root)!r}, the root of the data location; nothing was added.")


def _refuse_strange(path: str) -> None:
    try:
        length = len(path.encode())
    except UnicodeEncodeError as error:
        raise WrongInputError(f"{path!r} is not valid UTF-8, so it cannot be filed; rename it.") from error
    if length > PATH_BYTES_MAX:
        raise WrongInputError(f"{path[:80]!r}… is longer than {PATH_BYTES_MAX:,} bytes; give it a shorter path.")
    for mark in TEMPLATE_MARKS:
        if mark in path:
            raise WrongInputError(f"{path!r} holds {mark!r}, which no filing may; rename it.")
