"""Files a directory as its files are complete. It looks, it never waits for the server, and it remembers on disk.

In memory are one entry for each folder, each incomplete file and each observation that goes on: not one for each file.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from uuid import UUID, uuid5

from .client import Client, Observation
from .errors import SpoolError, WrongInputError
from .watched_folder import Entry, WatchedFolder
from .watched_layouts import Layout
from .watched_state import WatchedState

logger = logging.getLogger(__name__)

NAMESPACE = UUID("0f5e4f0c-6a52-5d0c-9c8a-5b1f7c0a9c11")
TIDIED_EVERY_SECONDS = 3600.0


@dataclass
class _Session:
    """An observation that goes on."""

    observation: Observation
    last_news: float
    """Monotonic."""
    newest_ns: int
    """Of its files, by their own time."""


class Watch:
    """One directory of one instrument."""

    def __init__(self, client: Client, layout: Layout, *, directory: Path) -> None:
        """Begin, or go on where the last watcher of the directory ended.

        Raises:
            WrongInputError: there is no such directory.
            SpoolError: what was filed cannot be remembered.
        """
        if not directory.is_dir():
            raise WrongInputError(f"{directory} is no folder, so it cannot be watched.")
        self._client = client
        self._layout = layout
        self._directory = directory
        self._state = WatchedState(client.spool.path / "watched" / uuid5(NAMESPACE, str(directory.resolve())).hex)
        self._finished = self._state.finished()
        self._folders: dict[Path, WatchedFolder] = {}
        self._sessions: dict[str, _Session] = {}
        self._tidied_at = time.monotonic()

    def look(self) -> None:
        """Look at everything once, and file what is complete. What cannot be read or spooled now waits for the next."""
        try:
            paths = list(self._layout.folders(self._directory))
        except OSError as error:
            logger.warning("%s cannot be listed now: %s", self._directory, error)
            return
        self._folders = {
            path: self._folders.get(path) or WatchedFolder(path, self._directory, self._layout) for path in paths
        }
        for folder in self._folders.values():
            try:
                self._look_at(folder)
            except (OSError, SpoolError) as error:
                folder.looks_alike = 0
                logger.warning("%s is looked at again later: %s", folder.path, error)
        self._finish_what_rests()
        self._tidy()

    def _look_at(self, folder: WatchedFolder) -> None:
        if folder.is_settled():
            return
        relative = folder.path.relative_to(self._directory).as_posix()
        filed, starts = self._state.filed(relative)
        entries = folder.entries()
        complete = folder.complete(entries, filed=filed)
        for key in sorted({entry.seen.observation for entry in entries}):
            own = [entry for entry in entries if entry.seen.observation == key]
            if key not in starts:
                starts[key] = self._layout.started_at(own[0].seen, own[0].path).isoformat()
            to_file = [entry for entry in complete if entry.seen.observation == key]
            if key in self._finished and not to_file:
                continue
            session = self._session(key, own, started_at=starts[key])
            if to_file:
                _add(session.observation, to_file)
                names = [entry.path.name for entry in to_file]
                self._state.remember(relative, observation=key, started_at=starts[key], names=names)

    def _session(self, key: str, entries: Sequence[Entry], *, started_at: str) -> _Session:
        newest_ns = max(entry.changed_ns for entry in entries)
        session = self._sessions.get(key)
        if session is None:
            observation = self._client.observation(
                observation=uuid5(NAMESPACE, f"{self._client.place}/{key}"),
                started_at=datetime.fromisoformat(started_at),
            )
            session = self._sessions[key] = _Session(observation, time.monotonic(), newest_ns)
        if newest_ns > session.newest_ns:
            session.newest_ns, session.last_news = newest_ns, time.monotonic()
        return session

    def _finish_what_rests(self) -> None:
        busy = {rest.observation for folder in self._folders.values() for rest in folder.resting.values()}
        for key, session in list(self._sessions.items()):
            if key in busy or time.monotonic() - session.last_news < self._layout.finish_seconds:
                continue
            try:
                self._finish(key, session)
            except SpoolError as error:
                logger.warning("Observation %s is finished later: %s", key, error)

    def _finish(self, key: str, session: _Session) -> None:
        if key not in self._finished:
            ended = datetime.fromtimestamp(session.newest_ns // 10**9, timezone.utc)
            session.observation.finish(finished_at=max(ended, session.observation.started_at))
            self._state.remember_finished(key)
            self._finished.add(key)
        del self._sessions[key]

    def _tidy(self) -> None:
        # An empty directory is rather a disk that is not mounted.
        if self._folders and time.monotonic() - self._tidied_at > TIDIED_EVERY_SECONDS:
            self._tidied_at = time.monotonic()
            self._state.forget_gone(self._directory)


def _add(observation: Observation, entries: Sequence[Entry]) -> None:
    for entry in entries:
        try:
            observation.add(entry.path, module=entry.seen.module)
        except WrongInputError as error:
            if entry.path.exists():
                logger.error("%s is passed over: %s", entry.path, error)  # noqa: TRY400 - a sentence is enough
