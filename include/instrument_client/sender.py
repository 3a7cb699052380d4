"""Sends what waits in the spool, in order, and removes what the server has accepted. Nothing else may.

What it remembers is only to save requests: killed at any line, the next sender finds in the spool all that it needs. A
segment that was sent already is sent again under the same key, and the server answers with the filing that it has.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .errors import RefusedError, ServerAwayError, SpoolError, TryAgainError, UnknownError
from .folder import Folder
from .hashing import StoppedError
from .lock import FolderGoneError, locked
from .pause import Pause
from .preparing import prepared
from .segment import About, Segment
from .server import Filing, Server
from .settings import Settings
from .spool import Spool

logger = logging.getLogger(__name__)

UNJUDGED_MAX = 32
"""So many filings of an observation may wait for their verdict; more files join the next one meanwhile."""
FAILURES_MAX = 5
"""So many observations that fail one after the other, and it is not them but the server."""
WAIT_SECONDS = 2
"""What is added meanwhile waits as long."""
IDLE_SECONDS = 3600.0
"""An observation that goes on, but of which nothing waits, leaves the spool, and comes back with its next file."""

Identity = tuple[str, int, int]


@dataclass
class _Posted:
    """A segment that the server has, and has not decided on."""

    segment: Segment
    filing: Filing
    pause: Pause = field(default_factory=lambda: Pause(longest_seconds=60.0))


class Sender:
    """One round after the other. The caller holds the spool's sender lock."""

    def __init__(self, spool: Spool, settings: Settings, *, stop: threading.Event) -> None:
        self._spool = spool
        self._settings = settings
        self._stop = stop
        self._server = Server(settings)
        self._started: set[str] = set()
        self._posted: dict[Identity, _Posted] = {}
        self._pauses: dict[str, Pause] = {}
        self._idle_since: dict[str, float] = {}
        self.notes: dict[str, str] = {}
        """Why an observation still waits, by UUID."""

    def round(self) -> None:
        """Send all that can be sent.

        Raises:
            ServerAwayError: nothing can be sent now.
            SpoolError: the spool cannot be read.
        """
        failures = 0
        folders = self._spool.folders()
        self._forget_all_but({folder.uuid for folder in folders})
        for folder in folders:
            pause = self._pauses.setdefault(folder.uuid, Pause())
            if self._stop.is_set() or pause.left_seconds():
                continue
            try:
                self._send(folder)
                self._pauses.pop(folder.uuid, None)
                failures = 0
            except FolderGoneError:
                continue
            except StoppedError:
                return
            except ServerAwayError:
                raise
            except SpoolError as error:
                pause.fail()
                self._note(folder, str(error))
            except TryAgainError as error:
                pause.fail(at_least_seconds=error.after_seconds)
                self._note(folder, str(error))
                failures += 1
                if failures == FAILURES_MAX:
                    raise ServerAwayError(str(error)) from error

    def has_a_verdict(self, *, unless: threading.Event) -> bool:
        """Wait a moment at the server for the oldest verdict that is due; not if there is something to send."""
        due = [posted for posted in self._posted.values() if not posted.pause.left_seconds()]
        if due and not unless.is_set() and not self._stop.is_set():
            with suppress(TryAgainError, RefusedError):  # the next round tells what is wrong with it
                due[0].filing = self._verdict(due[0], wait_seconds=WAIT_SECONDS)
                return due[0].filing.state != "received"
        return False

    def close(self) -> None:
        """Close the connection."""
        self._server.close()

    def _send(self, folder: Folder) -> None:
        self.notes.pop(folder.uuid, None)
        if (why := folder.why_refused_whole()) is not None:
            self._note(folder, why)
            return
        with locked(folder.path):
            folder.seal_all()
            about, finished_at = folder.about()
        if not self._is_started(folder, about):
            return
        for path in folder.sealed_segments()[:UNJUDGED_MAX]:
            if self._stop.is_set():
                return
            self._file(folder, about, path)
        self._end(folder, about, finished_at)

    def _is_started(self, folder: Folder, about: About) -> bool:
        if about.observation not in self._started:
            try:
                self._server.start(about)
            except UnknownError as error:
                raise TryAgainError(f"{self._settings.server} has no such address: {error}") from error
            except RefusedError as error:
                self._refuse_whole(folder, f"The observation is refused: {error}")
                return False
            self._started.add(about.observation)
        return True

    def _file(self, folder: Folder, about: About, path: Path) -> None:
        posted = self._posted.get(_identity(path))
        try:
            if posted is None:
                posted = self._post(folder, about, path)
            elif posted.filing.state == "received" and not posted.pause.left_seconds():
                posted.filing = self._verdict(posted, wait_seconds=0)
        except UnknownError as error:
            self._posted.pop(_identity(path), None)
            raise TryAgainError(str(error)) from error
        if posted is not None:
            self._judge(folder, path, posted)

    def _post(self, folder: Folder, about: About, path: Path) -> _Posted | None:
        segment = self._prepared(folder, path)
        if segment is None:
            return None
        try:
            filing = self._again_if_unknown(
                about, lambda: self._server.file(about, body=segment.body(), key=segment.key())
            )
        except RefusedError as error:
            filing = Filing(id=0, state="refused", verdict=str(error))
        posted = _Posted(segment, filing)
        if filing.state == "received":
            self._posted[_identity(path)] = posted
        return posted

    def _prepared(self, folder: Folder, path: Path) -> Segment | None:
        return prepared(folder, path, mb_per_second=self._settings.hash_mb_per_second, stop=self._stop)

    def _again_if_unknown(self, about: About, ask: Callable[[], Filing]) -> Filing:
        """Ask; a server that was restored from an older state is told of the observation again."""
        try:
            return ask()
        except UnknownError:
            self._server.start(about)
            return ask()

    def _verdict(self, posted: _Posted, *, wait_seconds: int) -> Filing:
        try:
            filing = self._server.verdict(posted.filing.id, wait_seconds=wait_seconds)
        except UnknownError:
            raise
        except RefusedError as error:
            raise TryAgainError(f"The verdict on filing {posted.filing.id} cannot be read: {error}") from error
        if filing.state == "received":
            posted.pause.fail()
        return filing

    def _judge(self, folder: Folder, path: Path, posted: _Posted) -> None:
        filing = posted.filing
        if filing.state == "received":
            self._note(folder, f"Filing {filing.id} waits for its verdict. {filing.verdict}")
            return
        self._posted.pop(_identity(path), None)
        if filing.state == "refused" and self._prepared(folder, path) != posted.segment:
            return  # files changed since, and are set aside; the next round files the others
        with locked(folder.path):
            if filing.state == "accepted":
                folder.remove(path)
            else:
                folder.set_aside(path, posted.segment, sentence=filing.verdict)
        logger.log(
            logging.INFO if filing.state == "accepted" else logging.ERROR,
            "Observation %s, filing %s: %s", folder.uuid, filing.id, filing.verdict,
        )  # fmt: skip

    def _end(self, folder: Folder, about: About, finished_at: str | None) -> None:
        if not folder.is_empty():
            self._idle_since.pop(folder.uuid, None)
            return
        if refused := folder.refused_segments():
            self._note(folder, f"{len(refused)} of its filings are refused, and wait for a person.")
            return
        if folder.damaged_segments():
            self._note(folder, "The disk spoilt some lines of it: see which files are missing, add them, and drop it.")
            return
        if finished_at is not None:
            self._finish(folder, about, finished_at)
        elif time.monotonic() - self._idle_since.setdefault(folder.uuid, time.monotonic()) < IDLE_SECONDS:
            return
        with locked(folder.path):
            if folder.is_empty() and folder.about()[1] == finished_at and folder.why_refused_whole() is None:
                self._spool.remove(folder)

    def _finish(self, folder: Folder, about: About, finished_at: str) -> None:
        try:
            try:
                self._server.finish(about, finished_at=finished_at)
            except UnknownError:
                self._server.start(about)
                self._server.finish(about, finished_at=finished_at)
        except RefusedError as error:
            self._refuse_whole(folder, f"All its files are accepted, but its end is refused: {error}")

    def _refuse_whole(self, folder: Folder, sentence: str) -> None:
        with locked(folder.path):
            folder.refuse_whole(sentence)
        logger.error("Observation %s: %s", folder.uuid, sentence)
        self._note(folder, sentence)

    def _note(self, folder: Folder, sentence: str) -> None:
        self.notes[folder.uuid] = sentence

    def _forget_all_but(self, uuids: set[str]) -> None:
        self._started &= uuids
        for remembered in (self._pauses, self._idle_since, self.notes):
            for uuid in set(remembered) - uuids:
                del remembered[uuid]
        if not uuids:
            self._posted.clear()


def _identity(path: Path) -> Identity:
    """A segment may go, and another come under its name."""
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise FolderGoneError(f"{path} is gone.") from error
    return str(path), found.st_ino, found.st_mtime_ns
