"""What waits in the spool, and why."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .errors import SpoolError
from .folder import Folder
from .lock import FolderGoneError, SenderLock, locked
from .segment import Segment
from .sending import LOCK, SenderState, state_of
from .spool import Spool


@dataclass(frozen=True)
class Refused:
    """A filing that waits for a person."""

    module: str
    files: int
    sentence: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Waiting:
    """An observation that is in the spool."""

    observation: str
    instrument: str
    started_at: str
    finished_at: str | None
    filings: int
    files: int
    size_bytes: int
    """Of the files that wait, the refused ones aside."""
    why: str
    is_refused: bool
    """The server wants none of it."""
    refused: tuple[Refused, ...] = ()
    damaged: int = 0


@dataclass(frozen=True)
class Status:
    """The whole spool."""

    spool: str
    is_being_sent: bool
    """A process holds the sender's lock."""
    sender: SenderState | None
    waiting: tuple[Waiting, ...] = field(default_factory=tuple)


def status_of(spool: Spool) -> Status:
    """Look at the spool; nothing is changed. Raises SpoolError."""
    waiting = []
    sender = state_of(spool)
    notes = sender.notes if sender else {}
    for folder in spool.folders():
        with suppress(FolderGoneError), locked(folder.path):
            waiting.append(_waiting(folder, notes))
    return Status(
        spool=str(spool.path),
        is_being_sent=SenderLock(spool.path / LOCK).is_held(),
        sender=sender,
        waiting=tuple(waiting),
    )


def _waiting(folder: Folder, notes: dict[str, str]) -> Waiting:
    try:
        about, finished_at = folder.about()
        instrument, started_at = about.instrument, about.started_at
    except SpoolError:
        instrument, started_at, finished_at = "?", "?", None
    segments = [folder.segment(path) for path in (*folder.sealed_segments(), *folder.open_segments())]
    files = [file for segment in segments for file in segment.files]
    refused_whole = folder.why_refused_whole()
    return Waiting(
        observation=folder.uuid,
        instrument=instrument,
        started_at=started_at,
        finished_at=finished_at,
        filings=sum(bool(segment.files) for segment in segments),
        files=len(files),
        size_bytes=sum(file.size_bytes for file in files),
        why=refused_whole or notes.get(folder.uuid, ""),
        is_refused=refused_whole is not None,
        refused=tuple(_refused(folder.segment(path)) for path in folder.refused_segments()),
        damaged=len(folder.damaged_segments()),
    )


def _refused(segment: Segment) -> Refused:
    paths = tuple(str(Path(segment.about.root) / file.path) for file in segment.files)
    return Refused(module=segment.module, files=len(paths), sentence=segment.sentence, paths=paths)
