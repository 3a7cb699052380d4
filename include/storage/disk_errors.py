"""What the errors of a disk mean to whoever reads or writes a file there."""

import errno
import os
from pathlib import Path

from include.errors import BadInputError, DtsError, MissingFileError, NoSpaceError, PermanentError, TransientError


def disk_error(error: OSError, path: Path) -> DtsError:
    """Return the error as one of errors.py, with the file and this host named."""
    host = os.uname().nodename
    match error.errno:
        case errno.ENOENT:
            return MissingFileError(f"{path} is not there (on {host})")
        case errno.ENOTDIR:
            return MissingFileError(f"{path} is not there (on {host}): one of the folders in its path is a file")
        case errno.ENOSPC | errno.EDQUOT:
            return NoSpaceError(f"no space left for {path} (on {host}): {error.strerror}")
        case errno.ELOOP:
            return BadInputError(f"{path} is refused: it is a symbolic link (on {host})")
        case errno.ENAMETOOLONG:
            return BadInputError(f"{path} is refused: a name in it is too long for the disk (on {host})")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return PermanentError(f"no permission for {path} (on {host}, user {os.geteuid()}): {error.strerror}")
        case errno.EISDIR | errno.ENOTEMPTY | errno.EEXIST:
            return PermanentError(f"{path} cannot be a file: a folder is there (on {host})")
        case _:
            return TransientError(f"{path} (on {host}): {error.strerror or error}")
