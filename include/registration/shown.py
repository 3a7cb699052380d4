"""How values that strangers sent stand in a verdict or in ops-db: short, printable, never half a character."""

import math
import re
from collections.abc import Sequence

from include.plurals import counted

CHARACTERS = 80
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}\Z")
_KEPT_ENTRIES = 40
_KEPT_CHARACTERS = 300
_KEPT_DEPTH = 4

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


def shown(value: object) -> str:
    """Return a value for a sentence: about 80 characters at most, odd characters escaped."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value[:CHARACTERS]) + ("…" if len(value) > CHARACTERS else "")
        case int() if value.bit_length() > 128:  # Python refuses to print numbers of thousands of digits
            return "a number of more than 38 digits"
        case int() | float():
            return repr(value)
        case dict():
            return f"an object with {counted(len(value), 'key')}"
        case list() | tuple():
            return f"a list of {counted(len(value), 'entry')}"
        case _:
            return f"a {type(value).__name__}"


def reason_shown(error: Exception) -> str:
    """Return why a storage refused a path, without the path: it may be long there, and the verdict names it anyway."""
    reason = str(error).rpartition("is refused: ")[2]
    return str(kept(reason)).rstrip(".")


def place(steps: Sequence[str | int]) -> str:
    """Return where a value stands in a filing: `files[3].path`."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (step if _WORD.match(step) else shown(step))
    return text or "conf"


def size_shown(size_bytes: int) -> str:
    """Return a size for people: `6.7 MB`."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    for unit, bytes_each in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if size_bytes / bytes_each < 999.95:
            return f"{size_bytes / bytes_each:.1f} {unit}"
    return f"{size_bytes / 1e12:,.1f} TB"


def files_shown(count: int) -> str:
    """Return `1 file`, `12 files`."""
    return f"{count:,} file{'' if count == 1 else 's'}"


def kept(value: object, *, depth: int = 0) -> Json:
    """Return what is kept of a refused filing: a copy that is small and that PostgreSQL's jsonb takes."""
    match value:
        case None | bool():
            return value
        case str():
            cut = value[:_KEPT_CHARACTERS] + ("…" if len(value) > _KEPT_CHARACTERS else "")
            return cut.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
        case int() if value.bit_length() <= 64:
            return value
        case float() if math.isfinite(value):
            return value
        case dict() if depth < _KEPT_DEPTH:
            entries = list(value.items())[:_KEPT_ENTRIES]
            return {
                str(kept(str(key))): f"({counted(len(inner), 'entry')})"
                if key == "files" and isinstance(inner, list)
                else kept(inner, depth=depth + 1)
                for key, inner in entries
            }
        case list() if depth < _KEPT_DEPTH:
            return [kept(inner, depth=depth + 1) for inner in value[:_KEPT_ENTRIES]]
        case _:
            return f"({shown(value)})"
