"""What the commands of `dts-file` do. Each returns the exit code."""

from __future__ import annotations

import json
import sys
import threading
import time
from argparse import Namespace
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from .client import Client
from .errors import WrongInputError
from .filed_path import file_of
from .folder import Folder
from .lock import FolderGoneError, SenderLock, locked
from .refused import drop, has_refused, refused_folder, retry
from .sending import LOCK, SenderThread, send
from .settings import Settings
from .spool import Spool
from .status import Waiting, status_of
from .watch import Watch
from .watched_layouts import layout_of

OK, TROUBLE, WRONG, WAITS = 0, 1, 2, 3
LOOK_SECONDS = 0.1


def file_paths(given: Namespace, settings: Settings, stop: threading.Event) -> int:
    """File paths as one observation, and wait for the verdict."""
    settings = settings.checked(sends=given.wait > 0)
    files = _files(given.paths)
    if not files and not given.finish:
        raise WrongInputError("Nothing to do: name files, or folders that have some, or say --finish.")
    if files and not (given.module or settings.module):
        raise WrongInputError("Of which module are they? Say --module, or set module in the settings.")
    for path in files:  # before anything is begun
        file_of(path, root=settings.root)
    with Client(settings, sends=given.wait > 0, patience_seconds=None) as client:
        observation = client.observation(
            module=given.module, observation=given.observation, started_at=_started_at(given, client.spool)
        )
        if files:
            observation.add(*files)
        if given.finish:
            observation.finish()
        uuid = str(observation.uuid)
        _say(uuid)
        until = time.monotonic() + given.wait
        while _something_waits(client.spool, uuid):
            if time.monotonic() > until or stop.wait(LOOK_SECONDS):
                _hint(f"Observation {uuid} is in the spool {settings.spool}; `dts-file send` goes on sending it.")
                return WAITS
        return _verdict(client.spool, uuid)


def watch_directory(given: Namespace, settings: Settings, stop: threading.Event) -> int:
    """File a directory as its files are complete, until the process is told to end."""
    layout = layout_of(given.layout, modules=given.module, default=settings.module, rotation_seconds=given.rotation)
    with Client(settings) as client:
        watch = Watch(client, layout, directory=given.directory or settings.root)
        while not stop.is_set():
            watch.look()
            stop.wait(given.every)
    return OK


def send_all(given: Namespace, settings: Settings, stop: threading.Event) -> int:
    """Send what is in the spool, until the process is told to end; or once."""
    settings = settings.checked()
    spool = Spool(settings.spool, limits=settings.limits)
    if given.once is None:
        send(spool, settings, lock=SenderLock(spool.path / LOCK), stop=stop, bell=threading.Event())
        return OK
    sender, until = SenderThread(spool, settings), time.monotonic() + given.once
    sender.ring()
    while any(_something_waits(spool, folder.uuid) for folder in spool.folders()):
        if time.monotonic() > until or stop.wait(LOOK_SECONDS):
            break
    sender.stop(seconds=LOOK_SECONDS)
    left = spool.folders()
    if any(has_refused(folder) for folder in left):
        return TROUBLE
    return WAITS if any(_something_waits(spool, folder.uuid) for folder in left) else OK


def show_status(given: Namespace, settings: Settings, stop: threading.Event) -> int:
    """Print what waits, and why."""
    del stop
    status = status_of(Spool(settings.spool))
    if given.json:
        _say(json.dumps(asdict(status), indent=2))
        return OK
    sends = f"process {status.sender.pid} sends" if status.is_being_sent and status.sender else "nobody sends"
    _say(f"Spool {status.spool}: {sends}." + ("" if status.is_being_sent else " Start `dts-file send`."))
    if status.sender and status.sender.sentence:
        _say(f"Nothing can be sent, {status.sender.at}: {status.sender.sentence}")
    if not status.waiting:
        _say("Nothing waits.")
    for waiting in status.waiting:
        _show(waiting)
    return OK


def retry_refused(given: Namespace, settings: Settings, stop: threading.Event) -> int:
    """File refused files again."""
    del stop
    spool = Spool(settings.spool)
    for folder in _chosen(given, spool):
        count = retry(folder)
        _say(f"{folder.uuid}: {count:,} refused files are filed again, as they are now.")
    return OK


def drop_refused(given: Namespace, settings: Settings, stop: threading.Event) -> int:
    """Forget what was refused."""
    del stop
    spool = Spool(settings.spool)
    for folder in _chosen(given, spool):
        count = drop(spool, folder)
        _say(f"{folder.uuid}: {count:,} files are dropped from the spool. They stay on disk, and are not filed.")
    return OK


def _chosen(given: Namespace, spool: Spool) -> list[Folder]:
    if given.all == bool(given.observations):
        raise WrongInputError("Name observations by their UUID, or say --all: one of them.")
    if given.all:
        return [folder for folder in spool.folders() if has_refused(folder)]
    return [refused_folder(spool, observation) for observation in given.observations]


def _started_at(given: Namespace, spool: Spool) -> datetime | None:
    started_at: datetime | None = given.started_at
    if started_at is not None or given.observation is None:
        return started_at
    folder = spool.folder(given.observation)
    if folder is None:
        raise WrongInputError(
            f"Nothing of observation {given.observation} is in the spool, so say with --started-at when it began:"
            " it must be the same each time."
        )
    return datetime.fromisoformat(folder.about()[0].started_at)


def _files(paths: list[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(below for below in path.rglob("*") if below.is_file() and not below.is_symlink())
        else:
            files.append(path)
    return files


def _something_waits(spool: Spool, observation: str) -> bool:
    """Return True while something of an observation can still be decided without a person."""
    folder = spool.folder(observation)
    if folder is None:
        return False
    with suppress(FolderGoneError), locked(folder.path):
        if folder.why_refused_whole() is not None:
            return False
        if not folder.is_empty():
            return True
        return folder.about()[1] is not None and not has_refused(folder)
    return False


def _verdict(spool: Spool, uuid: str) -> int:
    for waiting in status_of(spool).waiting:
        if waiting.observation == uuid and (waiting.is_refused or waiting.refused):
            sentences = [waiting.why] * waiting.is_refused + [one.sentence for one in waiting.refused]
            _hint("\n".join(sentences))
            return TROUBLE
    return OK


def _show(waiting: Waiting) -> None:
    end = f"finished {waiting.finished_at}" if waiting.finished_at else "goes on"
    _say(
        f"{waiting.observation}  {waiting.instrument}, started {waiting.started_at}, {end}:"
        f" {waiting.files:,} files ({waiting.size_bytes / 1e9:,.3f} GB) wait in {waiting.filings:,} filings"
    )
    if waiting.why:
        _say(f"  {waiting.why}")
    for refused in waiting.refused:
        _say(f"  {refused.files:,} files of {refused.module} are refused: {refused.sentence}")
    if waiting.refused or waiting.is_refused or waiting.damaged:
        _say(f"  Mend it, then `dts-file retry {waiting.observation}`; or `dts-file drop {waiting.observation}`.")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _hint(line: str) -> None:
    sys.stderr.write(f"{line}\n")
