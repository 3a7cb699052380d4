"""When is sent: at once when something is added, else after a pause. For years, whatever happens."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone

from .errors import InstrumentClientError, ServerAwayError
from .lock import SenderLock
from .pause import Pause
from .sender import Sender
from .settings import Settings
from .spool import Spool

logger = logging.getLogger(__name__)

LOCK = "sender.lock"
STATE = "sender.json"
LOOK_SECONDS = 1.0
"""Another process on the spool cannot ring; so it is looked at this often."""
GATHER_SECONDS = 0.2
"""What is added together is filed together."""
NOTES_MAX = 200


@dataclass(frozen=True)
class SenderState:
    """What the sender did last, for people; in sender.json."""

    pid: int
    server: str
    at: str
    """ISO 8601, by the host's clock."""
    sentence: str
    """Why nothing can be sent now; empty if it can."""
    notes: dict[str, str]
    """Why an observation still waits, by UUID."""


def send(spool: Spool, settings: Settings, *, lock: SenderLock, stop: threading.Event, bell: threading.Event) -> None:
    """Send until `stop` is set. Waits for its turn while another process sends. Raises nothing."""
    sender = Sender(spool, settings, stop=stop)
    pause, told = Pause(), None
    try:
        while not stop.is_set():
            bell.clear()
            began = time.thread_time()
            sentence = ""
            try:
                if not lock.take():
                    stop.wait(LOOK_SECONDS)
                    continue
                if told is None:
                    spool.sweep()
                sender.round()
                pause = Pause()
                if sender.has_a_verdict(unless=bell):
                    continue
            except ServerAwayError as error:
                sentence = str(error)
                pause.fail(at_least_seconds=error.after_seconds)
            except InstrumentClientError as error:
                sentence = str(error)
                pause.fail()
            except Exception as error:  # nobody is there to start it again
                logger.exception("Sending failed in a way that nobody thought of; it goes on after a pause.")
                sentence = f"{type(error).__name__}: {error}"
                pause.fail()
            told = _tell(spool, settings, sentence, sender.notes, told)
            if not stop.wait(pause.left_seconds()):
                # Looking takes a tenth of a processor at most, however much waits.
                bell.wait(max(LOOK_SECONDS, 10 * (time.thread_time() - began))) and stop.wait(GATHER_SECONDS)
    finally:
        sender.close()
        lock.give_up()


def state_of(spool: Spool) -> SenderState | None:
    """Return what the last sender said last, None if there was none."""
    try:
        return SenderState(**json.loads((spool.path / STATE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _tell(
    spool: Spool, settings: Settings, sentence: str, notes: dict[str, str], told: SenderState | None
) -> SenderState:
    few = dict(list(notes.items())[:NOTES_MAX])
    if told is not None and (told.sentence, told.notes) == (sentence, few):
        return told
    if sentence and (told is None or told.sentence != sentence):
        logger.warning("Nothing can be sent now: %s", sentence)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    state = SenderState(pid=os.getpid(), server=settings.server, at=now, sentence=sentence, notes=few)
    new = spool.path / f".{STATE}.new"
    with suppress(OSError):  # a full disk is told by whoever adds
        new.write_text(json.dumps(asdict(state)), encoding="utf-8")
        new.replace(spool.path / STATE)
    return state


class SenderThread:
    """Sends in this process, beside the instrument's work."""

    def __init__(self, spool: Spool, settings: Settings) -> None:
        self._spool = spool
        self._settings = settings
        self._lock = SenderLock(spool.path / LOCK)
        self.forget()

    def forget(self) -> None:
        """Begin anew, as a forked child must. Its parent's lock is open in it, and would outlast the parent."""
        self._lock.give_up()
        self._stop = threading.Event()
        self._bell = threading.Event()
        self._thread: threading.Thread | None = None

    def ring(self) -> None:
        """Have what waits sent now; the thread is started where there is none."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._send, name="dts-file sender", daemon=True)
            self._thread.start()
        self._bell.set()

    def _send(self) -> None:
        send(self._spool, self._settings, lock=self._lock, stop=self._stop, bell=self._bell)

    def stop(self, *, seconds: float) -> None:
        """Stop, and wait for it that long: it may hang in a request."""
        self._stop.set()
        self._bell.set()
        if self._thread is not None:
            self._thread.join(timeout=seconds)
