"""One folder of a watched directory: which of its files are complete, and not filed yet."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from .watched_layouts import Layout, Seen

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A file of the instrument's, as it is now."""

    path: Path
    seen: Seen
    size_bytes: int
    changed_ns: int


@dataclass
class _Rest:
    """Since when (monotonic) a file of an observation has this size and time of change."""

    observation: str
    size_bytes: int
    changed_ns: int
    since: float


@dataclass
class WatchedFolder:
    """What is remembered of a folder between two looks."""

    path: Path
    directory: Path
    layout: Layout
    resting: dict[str, _Rest] = field(default_factory=dict)
    """Its incomplete files, by name."""
    changed_ns: int = -1
    looks_alike: int = 0
    """How often in a row it was the same, with nothing incomplete in it."""

    def is_settled(self) -> bool:
        """Return True if listing it again can show nothing new. Raises OSError.

        A file that comes in the same tick of the file system's clock as the last look changes no time: so the folder is
        listed once more after it looked settled.
        """
        changed_ns = self.path.stat().st_mtime_ns
        if changed_ns != self.changed_ns:
            self.changed_ns, self.looks_alike = changed_ns, 0
        return self.looks_alike >= 2

    def entries(self) -> list[Entry]:
        """Return the instrument's files, in their order. Raises OSError."""
        found = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                seen = self.layout.seen(Path(entry.path).relative_to(self.directory))
                if seen is not None and entry.is_file(follow_symlinks=False):
                    stat = entry.stat(follow_symlinks=False)
                    found.append(Entry(Path(entry.path), seen, stat.st_size, stat.st_mtime_ns))
        return sorted(found, key=lambda entry: (entry.seen.observation, entry.seen.series, entry.seen.sequence))

    def complete(self, entries: list[Entry], *, filed: set[str]) -> list[Entry]:
        """Return those that are complete and not filed."""
        last: dict[str, int] = {}
        for entry in entries:
            last[entry.seen.series] = max(entry.seen.sequence, last.get(entry.seen.series, 0))
        waiting = [entry for entry in entries if entry.path.name not in filed]
        self.resting = {entry.path.name: self._rest(entry) for entry in waiting}
        complete = [
            entry
            for entry in waiting
            if self._is_complete(entry, is_last=entry.seen.sequence == last[entry.seen.series])
        ]
        for entry in complete:
            del self.resting[entry.path.name]
        self.looks_alike = 0 if self.resting else self.looks_alike + 1
        return complete

    def _rest(self, entry: Entry) -> _Rest:
        known = self.resting.get(entry.path.name)
        if known is not None and (known.size_bytes, known.changed_ns) == (entry.size_bytes, entry.changed_ns):
            return known
        return _Rest(entry.seen.observation, entry.size_bytes, entry.changed_ns, time.monotonic())

    def _is_complete(self, entry: Entry, *, is_last: bool) -> bool:
        rested = time.monotonic() - self.resting[entry.path.name].since
        if self.layout.is_whole(entry.size_bytes):
            return not is_last or rested >= self.layout.rest_seconds
        if rested < self.layout.finish_seconds:
            return False
        logger.warning("%s has a size that no complete file has, and rests: it is filed as it is.", entry.path)
        return True
