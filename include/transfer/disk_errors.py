"""What the errors of a disk mean to a transfer that writes there."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from include.errors import BadInputError, DtsError, NoSpaceError, PermanentError, TransientError


def require_root(root: Path) -> None:
    """Refuse a root that is not there: it is never made, for its disk is probably not mounted.

    Raises:
        TransientError: it is not there.
    """
    if not root.is_dir():
        raise TransientError(f"folder {root} is not there: is its disk mounted on {os.uname().nodename}?")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the disk raises about `path` into the errors of errors.py."""
    try:
        yield
    except OSError as error:
        raise _translated(error, path) from error


def _translated(error: OSError, path: Path) -> DtsError:
    place = f"{path} (on {os.uname().nodename})"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return NoSpaceError(f"no space left for {place}: {error.strerror}")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return PermanentError(f"no permission for {place}, user {os.geteuid()}: {error.strerror}")
        case errno.ELOOP | errno.ENAMETOOLONG:
            return BadInputError(f"{place} is refused: {error.strerror}")
        case errno.ENOTDIR | errno.EEXIST | errno.EISDIR | errno.ENOTEMPTY:
            return PermanentError(f"{place} cannot be written: a file or folder of another kind is in the way")
        case _:
            return TransientError(f"{place}: {error.strerror or error}")
