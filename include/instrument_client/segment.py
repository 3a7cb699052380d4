"""What waits in the spool, as text: observations and segments. A segment becomes one filing.

Both are JSON Lines files, so that a line is the unit of loss: who is killed while appending leaves one torn line, which
the next one cuts off. The first line says what the rest belongs to; a segment can be filed without any other file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

SEGMENT_BYTES_MAX = 256 * 1024
"""About 1,500 files: a refusal holds up few, and every proxy lets it pass."""


@dataclass(frozen=True)
class About:
    """An observation, as its instrument knows it."""

    observation: str
    """UUID, made by the instrument."""
    instrument: str
    data_location: str
    """Full name of the SOURCE location that has the files."""
    started_at: str
    """ISO 8601 with a zone."""
    root: str
    """Where the location's root is on this host."""

    def line(self) -> bytes:
        return line_of(asdict(self))


@dataclass(frozen=True)
class File:
    """A file as it is filed. The path is relative to the location's root."""

    path: str
    size_bytes: int
    checksum: str | None = None

    def line(self) -> bytes:
        return line_of({key: value for key, value in asdict(self).items() if value is not None})


@dataclass(frozen=True)
class Segment:
    """Files of one observation and module, filed together."""

    about: About
    module: str
    files: tuple[File, ...]
    is_hashed: bool = False
    """Each file is to have a checksum before it is filed."""
    sentence: str = ""
    """Why it was refused."""
    damaged_lines: int = 0
    """Lines that the disk did not give back as they were written."""

    def header(self) -> bytes:
        return line_of(
            {
                "about": asdict(self.about),
                "module": self.module,
                "is_hashed": self.is_hashed,
                "sentence": self.sentence,
            }
        )

    def content(self) -> bytes:
        return self.header() + b"".join(file.line() for file in self.files)

    def body(self) -> bytes:
        """What is sent: what it is about, then a line a file."""
        header = {
            "instrument": self.about.instrument,
            "instrument_module": self.module,
            "data_location": self.about.data_location,
            "started_at": self.about.started_at,
        }
        return line_of(header) + b"".join(file.line() for file in self.files)

    def key(self) -> str:
        """The Idempotency-Key: it follows from what is filed, so it is the same after every crash.

        What was refused and is filed again unchanged is the same filing for the server, which looks at it anew.
        """
        return f"{self.about.observation}.{hashlib.sha256(self.body()).hexdigest()[:16]}"

    def with_files(self, files: Iterable[File]) -> Segment:
        return replace(self, files=tuple(files))


def segment_of(content: bytes, *, about: About | None = None, module: str = "") -> Segment:
    """Read a segment. What was added twice stands once, as it was last; what follows the last line break never was.

    Args:
        content: of the file.
        about: used where the first line is damaged.
        module: the same.

    Raises:
        ValueError: neither its first line nor `about` says what it belongs to.
    """
    first, *lines = content.split(b"\n")[:-1] or [b""]
    header, damaged = _object_of(first), 0
    if header is not None:
        about, module = About(**header.pop("about")), header.pop("module")
    elif about is None:
        raise ValueError("its first line is damaged")
    else:
        damaged = 1
    values = [_object_of(line) for line in lines]
    once = {value["path"]: File(**value) for value in values if value is not None}
    return Segment(
        about=about,
        module=module,
        files=tuple(once.values()),
        damaged_lines=damaged + values.count(None),
        **(header or {}),
    )


def line_of(value: dict[str, Any]) -> bytes:
    """Return one line of JSON."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _object_of(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def about_of(content: bytes) -> tuple[About | None, str | None]:
    """Return what an observation's file says: what it is, if that can be read, and when it finished, if it did.

    The first end counts: the server may know it already.
    """
    about, finished_at = None, None
    for line in content.split(b"\n")[:-1]:
        value = _object_of(line) or {}
        if "finished_at" in value:
            finished_at = finished_at or str(value["finished_at"])
        elif "observation" in value:
            about = About(**value)
    return about, finished_at
