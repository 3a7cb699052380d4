"""One observation's folder in the spool, and the names in it.

observation.jsonl          what it is; and that it finished
observation.refused        the server wants none of it: why
open-MODULE.jsonl          what is being added
000001-MODULE.jsonl        a segment that changes no more: the next filings, in this order
000001-MODULE.refused      a filing that was refused: why, and its files
000001-MODULE.damaged      a segment as the disk gave it back, where some of its lines were spoilt
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from .durable import cut_torn_line_of, read, spool_errors, sync_folder, write_whole
from .errors import SpoolError
from .segment import About, Segment, about_of, line_of, segment_of

OBSERVATION = "observation.jsonl"
REFUSED_WHOLE = "observation.refused"
OPEN = "open-"
SEALED_SUFFIX = ".jsonl"
REFUSED_SUFFIX = ".refused"
DAMAGED_SUFFIX = ".damaged"


@dataclass(frozen=True)
class Folder:
    """Paths in it, and what changes under its lock (lock.locked), which the caller holds."""

    path: Path

    @property
    def uuid(self) -> str:
        return self.path.name.partition("-")[2]

    def open_segment(self, module: str) -> Path:
        return self.path / f"{OPEN}{module}{SEALED_SUFFIX}"

    def open_segments(self) -> list[Path]:
        return [path for path in self._all() if path.name.startswith(OPEN)]

    def sealed_segments(self) -> list[Path]:
        """In the order of filing."""
        return [path for path in self._all() if path.name[0].isdigit() and path.suffix == SEALED_SUFFIX]

    def is_empty(self) -> bool:
        """Return True if no file in it waits to be filed."""
        return not self.sealed_segments() and not any(self.segment(path).files for path in self.open_segments())

    def refused_segments(self) -> list[Path]:
        return [path for path in self._all() if path.name[0].isdigit() and path.suffix == REFUSED_SUFFIX]

    def damaged_segments(self) -> list[Path]:
        return [path for path in self._all() if path.suffix == DAMAGED_SUFFIX]

    def _all(self) -> list[Path]:
        with spool_errors(self.path, "Reading"):
            return sorted(path for path in self.path.iterdir() if not path.name.startswith("."))

    def about(self) -> tuple[About, str | None]:
        """Return what the observation is, and when it finished, None while it goes on.

        Raises:
            SpoolError: nothing in the folder says it.
        """
        about, finished_at = about_of(read(self.path / OBSERVATION))
        if about is not None:
            return about, finished_at
        for path in (*self.sealed_segments(), *self.open_segments()):
            try:
                return segment_of(read(path)).about, finished_at
            except ValueError:
                continue
        raise SpoolError(f"{self.path} does not say which observation it belongs to: its first line is damaged.")

    def segment(self, path: Path) -> Segment:
        """Read a segment. Raises SpoolError."""
        try:
            return segment_of(read(path))
        except ValueError:
            module = path.stem.partition("-")[2]
            return segment_of(read(path), about=self.about()[0], module=module)

    def next_path(self, module: str) -> Path:
        numbers = [int(path.name.partition("-")[0]) for path in self._all() if path.name[0].isdigit()]
        return self.path / f"{max(numbers, default=0) + 1:06d}-{module}{SEALED_SUFFIX}"

    def seal(self, path: Path) -> Path:
        """Have an open segment change no more. Raises OSError."""
        module = path.stem[len(OPEN) :]
        return path.rename(self.next_path(module))

    def seal_all(self) -> None:
        """Seal what is open and has files in it, and bring it to the disk. Raises SpoolError."""
        with spool_errors(self.path, "Sealing in"):
            for path in self.open_segments():
                cut_torn_line_of(path)
                if self.segment(path).files:
                    self.seal(path)
            sync_folder(self.path)

    def set_aside(self, path: Path, segment: Segment, *, sentence: str) -> None:
        """Keep a sealed segment's files for a person. Killed in between: it is sent again, and refused again."""
        write_whole(path.with_suffix(REFUSED_SUFFIX), replace(segment, sentence=sentence).content())
        self.remove(path)

    def remove(self, path: Path) -> None:
        with spool_errors(path, "Removing"):
            path.unlink()
            sync_folder(self.path)

    def refuse_whole(self, sentence: str) -> None:
        write_whole(self.path / REFUSED_WHOLE, line_of({"sentence": sentence}))

    def why_refused_whole(self) -> str | None:
        path = self.path / REFUSED_WHOLE
        return read(path).decode(errors="replace") if path.exists() else None
