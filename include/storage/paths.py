"""Which relative paths are accepted. Everything else is refused before anything is touched."""

from include.errors import BadInputError
from include.storage.mark import MARK


def checked_path(path: str) -> str:
    """The path itself, if it names a file strictly below a root: `a/b c/ü.g3`. Raises BadInputError."""
    reason = _why_refused(path)
    if reason:
        raise BadInputError(f"path {path[:300]!r} is refused: {reason}; give a path relative to the location's root")
    return path


def checked_folder(prefix: str) -> str:
    """Like checked_path, but the root itself ("") and one trailing slash are allowed; the slash is taken off."""
    return checked_path(prefix.removesuffix("/")) if prefix else ""


def _why_refused(path: str) -> str | None:
    if not path:
        return "it is empty"
    if path.startswith("/"):
        return "it is absolute"
    if "\0" in path:
        return "it contains a NUL"
    if path == MARK:
        return "it is the mark of the location itself"
    components = path.split("/")
    if ".." in components:
        return "it contains '..'"
    if "" in components or "." in components:
        return "it has an empty component or '.'"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "it is not valid UTF-8"
    return None
