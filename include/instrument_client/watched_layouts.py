"""How the two instruments lay out their files: what a name says, and when a file is complete."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from .errors import WrongInputError

FITS_BLOCK_BYTES = 2880
FITS_CARD_BYTES = 80


@dataclass(frozen=True)
class Seen:
    """What a file's place says about it."""

    observation: str
    """The same for all files of an observation, and for those only."""
    series: str
    """Files of a series follow each other: when the next is begun, the one before is closed."""
    sequence: int
    module: str


class Layout(Protocol):
    """One instrument's."""

    rest_seconds: float
    """A file that nobody has written to for so long is complete."""
    finish_seconds: float
    """An observation of which nothing has come for so long has finished."""

    def folders(self, directory: Path) -> Iterator[Path]:
        """Yield the folders that may hold files."""

    def seen(self, path: Path) -> Seen | None:
        """Return what `path`, relative to the directory, says; None if it is none of the instrument's files."""

    def started_at(self, seen: Seen, path: Path) -> datetime:
        """Return when the observation began, from its first file."""

    def is_whole(self, size_bytes: int) -> bool:
        """Return False if no complete file can have that size."""


class PrimeCam:
    """`<first 5 digits of the session>/<stream>/<session>_<number>.g3`; a session is the integer time of its start.

    A file rotates every 600 s: it is complete when the next number is there, and the last one when it rested longer.
    """

    _PATH = re.compile(r"(?P<digits>[0-9]{5})/(?P<stream>[^/]+)/(?P<session>[0-9]{10})_(?P<number>[0-9]{3,})\.g3\Z")

    def __init__(self, *, modules: Sequence[str], default: str, rotation_seconds: float | None) -> None:
        self.rest_seconds = rotation_seconds or 660.0
        self.finish_seconds = 2 * self.rest_seconds
        self._modules = [_pattern_of(module) for module in modules]
        if default:
            self._modules.append(("*", default))
        if not self._modules:
            raise WrongInputError("Which module do the streams belong to? Say --module MODULE or STREAM=MODULE.")

    def folders(self, directory: Path) -> Iterator[Path]:
        for digits in _folders(directory):
            if re.fullmatch("[0-9]{5}", digits.name):
                yield from _folders(digits)

    def seen(self, path: Path) -> Seen | None:
        match = self._PATH.match(path.as_posix())
        if match is None or match["session"][:5] != match["digits"]:
            return None
        for pattern, module in self._modules:
            if fnmatchcase(match["stream"], pattern):
                return Seen(match["session"], f"{match['stream']}/{match['session']}", int(match["number"]), module)
        return None

    def started_at(self, seen: Seen, path: Path) -> datetime:
        del path
        return datetime.fromtimestamp(int(seen.observation), timezone.utc)

    def is_whole(self, size_bytes: int) -> bool:
        return size_bytes > 0


class Chai:
    """`<date>/obs_<number>/chai_<module>_<number>.fits`: an observation is a folder, DATE-OBS says when it began."""

    _PATH = re.compile(r"(?P<observation>[0-9]{8}/obs_[0-9]+)/chai_(?P<module>[a-z0-9]+)_(?P<number>[0-9]+)\.fits\Z")

    def __init__(self, *, modules: Sequence[str], rotation_seconds: float | None) -> None:
        if modules:
            raise WrongInputError("CHAI's files name their module themselves: leave --module out.")
        self.rest_seconds = rotation_seconds or 60.0
        self.finish_seconds = 5 * self.rest_seconds

    def folders(self, directory: Path) -> Iterator[Path]:
        for date in _folders(directory):
            if re.fullmatch("[0-9]{8}", date.name):
                yield from _folders(date)

    def seen(self, path: Path) -> Seen | None:
        match = self._PATH.match(path.as_posix())
        if match is None:
            return None
        return Seen(match["observation"], match["module"], int(match["number"]), match["module"])

    def started_at(self, seen: Seen, path: Path) -> datetime:
        found = _date_obs(path)
        return found or datetime.strptime(seen.observation[:8], "%Y%m%d").replace(tzinfo=timezone.utc)

    def is_whole(self, size_bytes: int) -> bool:
        return size_bytes > 0 and size_bytes % FITS_BLOCK_BYTES == 0


def layout_of(name: str, *, modules: Sequence[str], default: str, rotation_seconds: float | None) -> Layout:
    """Return a layout by its name. Raises WrongInputError."""
    if name == "primecam":
        return PrimeCam(modules=modules, default=default, rotation_seconds=rotation_seconds)
    return Chai(modules=modules, rotation_seconds=rotation_seconds)


def _pattern_of(text: str) -> tuple[str, str]:
    """`rfsoc01_*=mod280`, or `mod280` for every stream."""
    pattern, equals, module = text.rpartition("=")
    return (pattern if equals else "*", module)


def _folders(directory: Path) -> Iterator[Path]:
    with os.scandir(directory) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    for name in names:
        yield directory / name


def _date_obs(path: Path) -> datetime | None:
    """Return DATE-OBS of a FITS file's first header (UTC), None if it has none."""
    with path.open("rb") as file:
        while block := file.read(FITS_BLOCK_BYTES):
            for at in range(0, len(block), FITS_CARD_BYTES):
                card = block[at : at + FITS_CARD_BYTES].decode("ascii", "replace")
                if card.startswith("END     "):
                    return None
                if card.startswith("DATE-OBS="):
                    return _utc(card[9:].partition("/")[0].strip().strip("'").strip())
    return None


def _utc(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.rstrip("Z")).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
