"""What an instrument's software calls. Every call returns within milliseconds, whatever the server does."""

from __future__ import annotations

import logging
import os
import time
import weakref
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import TracebackType
from uuid import UUID, uuid4

from .errors import WrongInputError
from .filed_path import file_of, name_of
from .hashing import require_xxhash
from .segment import About
from .sending import SenderThread
from .settings import Settings
from .spool import Spool

logger = logging.getLogger(__name__)


class Client:
    """Files observations of one instrument. Safe to use from several threads, and beside other processes."""

    def __init__(self, settings: Settings, *, sends: bool = True, patience_seconds: float | None = 0.002) -> None:
        """Open the spool and start sending what is in it.

        Args:
            settings: the server, the spool, and what is the same for every observation.
            sends: False leaves sending to another process on the same spool (`dts-file send`).
            patience_seconds: how long a call waits until the disk has what was added; it goes on without
                the call. None: until it is done.

        Raises:
            WrongInputError: the settings make no sense.
            SpoolError: the spool cannot be made.
        """
        self._settings = settings.checked(sends=sends)
        if settings.hashes:
            require_xxhash()
        self.spool = Spool(settings.spool, limits=settings.limits, patience_seconds=patience_seconds)
        self.sender = SenderThread(self.spool, settings) if sends else None
        self.ring()
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _after_fork(this()))

    def observation(
        self,
        *,
        module: str | None = None,
        instrument: str | None = None,
        observation: UUID | str | None = None,
        started_at: datetime | None = None,
    ) -> Observation:
        """Begin an observation, or go on with one.

        Args:
            module: of the instrument, for files that are added without one.
            instrument: by default the one of the settings.
            observation: by default a new UUID; the same one again goes on with it.
            started_at: with its zone; by default now.

        Raises:
            WrongInputError: something of it makes no sense; nothing was changed.
            SpoolError: the disk does not take it; nothing was changed.
        """
        module = module or self._settings.module
        return Observation(
            self,
            about=About(
                observation=str(_uuid(observation)),
                instrument=name_of(instrument or self._settings.instrument, what="instrument"),
                data_location=self._settings.data_location,
                started_at=_iso(started_at or datetime.now(timezone.utc), what="started_at"),
                root=str(self._settings.root),
            ),
            module=name_of(module, what="module") if module else "",
            hashes=self._settings.hashes,
        )

    def wait_until_accepted(self, observation: UUID | str, *, seconds: float) -> bool:
        """Wait until all of an observation is accepted and has left the spool; False if that takes longer."""
        until = time.monotonic() + seconds
        while self.spool.folder(str(observation)) is not None:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True

    @property
    def place(self) -> str:
        """Whose files these are, and where: the same for every process of an instrument on its disk."""
        return f"{self._settings.instrument}/{self._settings.data_location}"

    def ring(self) -> None:
        """Have what was added sent now."""
        if self.sender is not None:
            self.sender.ring()

    def close(self, *, seconds: float = 0.5) -> None:
        """Stop sending; what is not sent stays in the spool, and the next client or `dts-file send` goes on with it."""
        self.spool.syncer.drain(seconds=seconds)
        if self.sender is not None:
            self.sender.stop(seconds=seconds)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Observation:
    """One observation. `with` finishes it at the end, unless it ends by an exception.

    Then what was added is filed all the same, for those files are complete; but nobody says that the observation is. It
    stays open at the server, and what was filed of it is packaged after a while. To finish it after all: `finish()`, or
    `dts-file file --observation UUID --finish`.
    """

    def __init__(self, client: Client, *, about: About, module: str, hashes: bool) -> None:
        self._client = client
        self._about = about
        self._module = module
        self._hashes = hashes
        self._began = time.monotonic()
        self._is_finished = False
        client.spool.start(about)
        client.ring()

    @property
    def uuid(self) -> UUID:
        return UUID(self._about.observation)

    @property
    def started_at(self) -> datetime:
        return datetime.fromisoformat(self._about.started_at)

    def add(self, *paths: str | os.PathLike[str], module: str | None = None) -> None:
        """File files that are complete: closed, and never written again.

        Raises:
            WrongInputError: one of them cannot be filed; none was added.
            SpoolError: the disk does not take it. Add the same files again later; to add one twice does no harm.
        """
        module = name_of(module or self._module, what="module")
        files = [file_of(path, root=Path(self._about.root)) for path in paths]
        self._client.spool.add(self._about, files, module=module, is_hashed=self._hashes)
        self._client.ring()

    def finish(self, *, finished_at: datetime | None = None) -> None:
        """Say that no more files come; the first end counts. The server hears of it once it has accepted all that came.

        Args:
            finished_at: with its zone; by default now. If the clock was set back since, it is as much later
                than the start as really passed.

        Raises:
            WrongInputError: it lies before the start.
            SpoolError: the disk does not take it; finish again.
        """
        finished_at = finished_at or self._now()
        if finished_at < self.started_at:
            raise WrongInputError(
                f"finished_at {finished_at.isoformat()} lies before started_at {self._about.started_at}; correct one."
            )
        self._client.spool.finish(self._about, finished_at=_iso(finished_at, what="finished_at"))
        self._is_finished = True
        self._client.ring()

    def _now(self) -> datetime:
        by_clock = datetime.now(timezone.utc)
        by_duration = self.started_at + timedelta(seconds=time.monotonic() - self._began)
        return max(by_clock, by_duration) if by_clock < self.started_at else by_clock

    def __enter__(self) -> Observation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._is_finished:
            return
        if kind is None:
            self.finish()
            return
        logger.warning(
            "Observation %s ended by %s: the files that were added are filed, and it is not finished."
            " `dts-file file --observation %s --finish` finishes it.",
            self.uuid, kind.__name__, self.uuid,
        )  # fmt: skip


def _after_fork(client: Client | None) -> None:
    """A forked child has none of its parent's threads, and must not hold its locks."""
    if client is not None:
        client.spool.syncer.forget()
        if client.sender is not None:
            client.sender.forget()


def _uuid(value: UUID | str | None) -> UUID:
    try:
        return value if isinstance(value, UUID) else UUID(value) if value else uuid4()
    except ValueError as error:
        raise WrongInputError(f"{value!r} is no UUID, such as 6f1c2f0e-9d5b-4a52-8f0a-3c1d2e4b5a69.") from error


def _iso(moment: datetime, *, what: str) -> str:
    if moment.utcoffset() is None:
        raise WrongInputError(f"{what} {moment.isoformat()} has no zone; give it one, such as timezone.utc.")
    return moment.astimezone(timezone.utc).isoformat()
