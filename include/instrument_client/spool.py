"""The spool: a folder on this host's own disk, where what is to be filed waits until the server has accepted it.

SPOOL/observations/000000017-UUID/   one observation (folder.py), the lower number first
SPOOL/sender.lock                    who holds it sends
SPOOL/sender.json                    what the sender did last, for people

Any number of processes may add; each change is made under the lock of the observation's folder. Nothing here asks the
network, and nothing waits for it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .durable import FOLDER_MODE, append, closed_on_error, open_folder, spool_errors, sync_folder
from .errors import SpoolError, WrongInputError
from .folder import OBSERVATION, Folder
from .lock import FolderGoneError, locked
from .segment import SEGMENT_BYTES_MAX, About, File, Segment, line_of
from .syncer import Syncer
from .usage import Limits, Usage

DIGITS = 9
"""So many that the order of names stays that of numbers."""
NAME_LENGTH = DIGITS + len("-6f1c2f0e-9d5b-4a52-8f0a-3c1d2e4b5a69")
GONE = ".gone-"
TRIES = 100
"""A folder can be removed, all of it accepted, just before something is added: then it is made anew."""


class Spool:
    """What is to be filed from this host."""

    def __init__(self, path: Path, *, limits: Limits | None = None, patience_seconds: float | None = 0.002) -> None:
        """Open a spool, or make one.

        Args:
            path: a folder on a local disk.
            limits: what it may grow to.
            patience_seconds: how long a call waits for the disk; None: until it is done.

        Raises:
            SpoolError: it cannot be made.
        """
        self.path = path
        self.observations = path / "observations"
        with spool_errors(path, "Making"):
            self.observations.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            sync_folder(path)
        self.syncer = Syncer(patience_seconds=patience_seconds)
        self._known: dict[str, Folder] = {}
        """Where this process added last; a folder that has gone since is noticed when its lock is taken."""
        self._usage = Usage(self.observations, limits=limits or Limits())

    def folders(self) -> list[Folder]:
        """Return what waits, the oldest observation first."""
        return [Folder(self.observations / name) for name in sorted(self._names())]

    def folder(self, observation: str) -> Folder | None:
        """Return the folder of an observation, None if nothing of it waits."""
        return self._folder_in(self._names(), observation)

    def _folder_in(self, names: list[str], observation: str) -> Folder | None:
        return next((Folder(self.observations / name) for name in names if name[DIGITS + 1 :] == observation), None)

    def _names(self) -> list[str]:
        """Return the folders' names: with 10,000 of them, paths would take longer than an instrument should wait."""
        with spool_errors(self.observations, "Reading"):
            names = os.listdir(self.observations)  # noqa: PTH208 - see above
        return [name for name in names if name[0].isdigit() and len(name) == NAME_LENGTH]

    def start(self, about: About) -> Folder:
        """Make an observation's folder, unless there is one.

        Raises:
            WrongInputError: the spool has it as something else.
            SpoolError: the disk does not take it.
        """
        descriptors: list[int] = []
        with locked(self.observations), spool_errors(self.observations, "Starting an observation in"):
            names = self._names()
            folder = self._folder_in(names, about.observation)
            if folder is None:
                folder = self._make(about, int(max(names, default="0").partition("-")[0]) + 1, descriptors)
            else:
                _require_same(folder, about)
        with spool_errors(folder.path, "Syncing"):
            self.syncer.sync(descriptors)
        self._known[about.observation] = folder
        return folder

    def add(self, about: About, files: Sequence[File], *, module: str, is_hashed: bool = False) -> None:
        """Append files to what is filed next of an observation.

        Raises:
            SpoolError: the disk does not take it; what it took before of these files, if they are many, is filed.
        """
        header = Segment(about=about, module=module, files=(), is_hashed=is_hashed).header()
        for lines in _portions([file.line() for file in files]):
            self._append(about, f"open-{module}.jsonl", lines, header=header)

    def finish(self, about: About, *, finished_at: str) -> None:
        """Say that nothing more comes. It is sent once all that was added is accepted. Raises SpoolError."""
        self._append(about, OBSERVATION, line_of({"finished_at": finished_at}), header=about.line())

    def remove(self, folder: Folder) -> None:
        """Forget an observation. The caller holds the folder's lock. Raises SpoolError."""
        with spool_errors(folder.path, "Removing"):
            gone = folder.path.rename(folder.path.with_name(f"{GONE}{folder.path.name}"))
            sync_folder(self.observations)
            shutil.rmtree(gone, ignore_errors=True)
        self._known.pop(folder.uuid, None)

    def sweep(self) -> None:
        """Remove what was being made or removed when its process was killed. Raises SpoolError."""
        with locked(self.observations), spool_errors(self.observations, "Sweeping"):
            for path in self.observations.iterdir():
                if path.name.startswith("."):
                    shutil.rmtree(path, ignore_errors=True)

    def _append(self, about: About, name: str, lines: bytes, *, header: bytes) -> None:
        self._usage.require_room(len(lines))
        for _ in range(TRIES):
            folder = self._known.get(about.observation) or self.start(about)
            descriptors: list[int] = []
            try:
                with locked(folder.path), closed_on_error(descriptors):
                    with spool_errors(folder.path / name, "Adding to"):
                        append(folder.path / name, lines, header=header, descriptors=descriptors)
                    if name != OBSERVATION:
                        _seal_what_is_large(folder, folder.path / name)
            except FolderGoneError:
                self._known.pop(about.observation, None)
                continue
            with spool_errors(folder.path / name, "Syncing"):
                self.syncer.sync(descriptors)
            return
        raise SpoolError(f"{self.observations} changes faster than something can be added to it; do it again.")

    def _make(self, about: About, number: int, descriptors: list[int]) -> Folder:
        """Make a folder under a passing name, and give it its own when all is in it."""
        self._usage.require_room(len(about.line()), observations=1)
        new = self.observations / f".new-{about.observation}"
        shutil.rmtree(new, ignore_errors=True)
        with closed_on_error(descriptors):
            try:
                new.mkdir(mode=FOLDER_MODE)
                append(new / OBSERVATION, b"", header=about.line(), descriptors=descriptors)
                path = new.rename(self.observations / f"{number:0{DIGITS}d}-{about.observation}")
            except OSError:
                shutil.rmtree(new, ignore_errors=True)
                raise
            descriptors.append(open_folder(self.observations))
        return Folder(path)


def _seal_what_is_large(folder: Folder, path: Path) -> None:
    if path.stat().st_size >= SEGMENT_BYTES_MAX:
        with suppress(OSError):  # what was added is there; the sender seals it too
            folder.seal(path)


def _portions(lines: Sequence[bytes]) -> list[bytes]:
    """Join lines to portions of which each fits into a segment."""
    portions: list[list[bytes]] = [[]]
    size_bytes = 0
    for line in lines:
        if size_bytes + len(line) > SEGMENT_BYTES_MAX:
            portions.append([])
            size_bytes = 0
        portions[-1].append(line)
        size_bytes += len(line)
    return [b"".join(portion) for portion in portions if portion]


def _require_same(folder: Folder, about: About) -> None:
    known, _ = folder.about()
    for name in ("instrument", "started_at"):
        if getattr(known, name) != getattr(about, name):
            raise WrongInputError(
                f"Observation {about.observation} waits in the spool with {name} {getattr(known, name)!r}, and this is"
                f" {getattr(about, name)!r}: give the same, or another UUID."
            )
