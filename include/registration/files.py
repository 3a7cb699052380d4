"""A file as an instrument files it, inline or as a line of a manifest."""

import re
from typing import Annotated
from uuid import UUID, uuid5

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, Strict
from pydantic.dataclasses import dataclass

from include.errors import BadInputError, FilingRefusedError
from include.registration.shown import reason_shown, shown
from include.storage.paths import checked_path

TEMPLATE_MARKS = ("{{", "}}", "{%", "%}")
PATH_BYTES_MAX = 2500
"""PostgreSQL indexes at most 2,704 bytes a row, and a file is found by observation and path."""
SIZE_BYTES_MAX = 5 * 2**40
"""The largest object that S3 takes."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_CHECKSUM = re.compile(r"xxh3-128:[0-9a-f]{32}\Z")


def strange_in(text: str) -> str | None:
    """Return why a text must not stand anywhere in a filing, None if it may."""
    for mark in TEMPLATE_MARKS:
        if mark in text:
            return f"holds {mark!r}, the mark of a template; filings are taken literally, so leave it out"
    if "\0" in text:
        return "holds a NUL, which no name may; leave it out"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half a character (a lone surrogate); write valid UTF-8"
    return None


def uuid_of(value: object) -> UUID:
    """Return a UUID from its usual text (8-4-4-4-12). Raises ValueError."""
    if not isinstance(value, str) or not _UUID.match(value):
        raise ValueError("must be a UUID such as 6f1c2f0e-9d5b-4a52-8f0a-3c1d2e4b5a69")
    return UUID(value)


def _path(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text: a path relative to the location's root")  # noqa: TRY004 - pydantic's way
    if strange := strange_in(value):
        raise ValueError(strange)
    try:
        checked_path(value)
    except BadInputError as error:
        raise ValueError(f"is refused: {reason_shown(error)}") from error
    if len(value.encode()) > PATH_BYTES_MAX:
        raise ValueError(f"is refused: it is longer than {PATH_BYTES_MAX:,} bytes; give it a shorter path")
    return value


def _checksum(value: object) -> str:
    if not isinstance(value, str) or not _CHECKSUM.match(value):
        raise ValueError("must be 'xxh3-128:' and 32 lower-case hex digits; correct it or leave it out")
    return value


def _size(value: object) -> object:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("must be a whole number of bytes, 0 or more")
    if value > SIZE_BYTES_MAX:
        raise ValueError("is more than 5 TiB, the largest object an archive takes; write it as several files")
    return value


Id = Annotated[UUID, PlainValidator(uuid_of)]
RelativePath = Annotated[str, PlainValidator(_path)]
Checksum = Annotated[str, PlainValidator(_checksum)]
SizeBytes = Annotated[int, Strict(), BeforeValidator(_size), Field(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid"))
class FiledFile:
    """A file of an observation."""

    path: RelativePath
    """Relative to the location's root, POSIX."""
    size_bytes: SizeBytes
    checksum: Checksum | None = None
    """`xxh3-128:<32 hex digits>`, if the instrument computed it."""
    id: Id | None = None

    def identity(self, observation: UUID) -> UUID:
        """Return the id given, else the one that follows from observation and path."""
        return self.id or uuid5(observation, self.path)


class Doubles:
    """Notices what stands twice in one filing."""

    def __init__(self, observation: UUID) -> None:
        self._observation = observation
        self._paths: set[str] = set()
        self._ids: set[UUID] = set()

    def add(self, file: FiledFile, *, where: str) -> UUID:
        """Return the file's identity.

        Raises:
            FilingRefusedError: its path or id stood in the filing before.
        """
        if file.path in self._paths:
            raise FilingRefusedError(f"{where}: the path {shown(file.path)} stands twice in the filing; file it once.")
        identity = file.identity(self._observation)
        if identity in self._ids:
            raise FilingRefusedError(
                f"{where}: the id {identity} of {shown(file.path)} belongs to another file of the filing;"
                " give each its own."
            )
        self._paths.add(file.path)
        self._ids.add(identity)
        return identity
