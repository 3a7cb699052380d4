"""An instrument's night in one process, which is killed at its N-th change of the spool: `killed SETTINGS SCENARIO`.

It forks for each N, so that Python starts once. The child dies by SIGKILL just before the N-th change; and another one
in the middle of the N-th write. Then another child goes on as an instrument would: it repeats the call that did not
return, and the rest. Prints one line of JSON for each death.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import UUID

from include.instrument_client import Client, Observation, Settings, pause, read_settings
from include.instrument_client.refused import has_refused, retry
from include.instrument_client.sender import Sender
from include.instrument_client.watch import Watch
from include.instrument_client.watched_layouts import PrimeCam

CHANGES = ("mkdir", "rename", "replace", "unlink", "rmdir", "ftruncate", "fsync", "write")
STARTED_AT = datetime(2026, 4, 1, 3, tzinfo=UTC)
BAD = "bad.g3"
MENDED = b"it is mended"


@dataclass
class Death:
    """Before which change a process is killed; or in the middle of which write."""

    at: int
    is_torn: bool = False
    count: int = 0

    def arm(self) -> None:
        for name in CHANGES:
            setattr(os, name, self._deadly(name, getattr(os, name)))

    def _deadly(self, name: str, change: Callable[..., object]) -> Callable[..., object]:
        def changed(*arguments: object, **options: object) -> object:
            self.count += name == "write" or not self.is_torn
            if self.count == self.at:
                if self.is_torn:
                    descriptor, content = arguments
                    change(descriptor, content[: len(content) // 2])  # type: ignore[index, arg-type]
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*arguments, **options)

        return changed


Steps = Iterator[Callable[[], object]]


def called(settings: Settings, number: int) -> Steps:
    """An observation with a file that is refused at first. Every step may be done again."""
    uuid = UUID(int=number)
    client = Client(settings, sends=False, patience_seconds=None)
    sender = Sender(client.spool, settings, stop=threading.Event())

    def observation() -> Observation:
        return client.observation(observation=uuid, started_at=STARTED_AT)

    yield observation
    yield lambda: observation().add(settings.root / "0.g3")
    yield lambda: observation().add(settings.root / "1.g3", settings.root / "2.g3")
    yield lambda: send(sender)
    yield lambda: observation().add(settings.root / BAD)
    yield lambda: send(sender)
    yield lambda: (settings.root / BAD).write_bytes(MENDED)
    yield lambda: [retry(folder) for folder in client.spool.folders() if has_refused(folder)]
    yield lambda: observation().add(settings.root / "3.g3", module="mod350")
    yield lambda: observation().finish(finished_at=datetime(2026, 4, 1, 4, tzinfo=UTC))
    yield lambda: send(sender)
    yield client.spool.sweep


def watched(settings: Settings, number: int) -> Steps:
    """A watcher that finds two files of two streams, complete, and finds nothing more."""
    client = Client(settings, sends=False, patience_seconds=None)
    sender = Sender(client.spool, settings, stop=threading.Event())
    layout = PrimeCam(modules=["mod280"], default="", rotation_seconds=None)
    layout.rest_seconds = layout.finish_seconds = 0.0
    for stream in ("drone1", "drone2"):
        path = settings.root / "17637" / stream / f"17637{number:05d}_000.g3"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"data")
    watch = Watch(client, layout, directory=settings.root)
    yield watch.look
    yield watch.look
    yield lambda: send(sender)
    yield client.spool.sweep


def send(sender: Sender) -> None:
    """Send, and hear the verdicts."""
    sender.round()
    sender.round()


def live(steps: Steps, progress: Path, death: Death) -> None:
    """Do the steps that did not return before."""
    death.arm()
    done = len(progress.read_bytes()) if progress.exists() else 0
    descriptor = os.open(progress, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number, step in enumerate(steps):
        if number >= done:
            step()
            os.pwrite(descriptor, b".", number)


def in_a_child(work: Callable[[], None]) -> int:
    """Return the number of the signal that killed it, 0 if it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - whatever it is, the child ends here
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed"
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def main() -> None:
    settings = read_settings(Path(sys.argv[1]))
    scenario = {"called": called, "watched": watched}[sys.argv[2]]
    pause.Pause.fail = lambda _, **__: 0.0  # type: ignore[method-assign, assignment]
    # Imported before it is needed, so that a child does not spend its time on it.
    import httpx._transports.default  # noqa: F401

    number = 0
    for is_torn in (False, True):
        killed, at = 1, 0
        while killed:
            at, number = at + 1, number + 1
            (settings.root / BAD).write_bytes(b"it is bad")
            progress = settings.spool.parent / f"progress-{number}"
            killed = in_a_child(partial(live, scenario(settings, number), progress, Death(at, is_torn=is_torn)))
            assert in_a_child(partial(live, scenario(settings, number), progress, Death(-1))) == 0
            left = [str(path) for path in (settings.spool / "observations").iterdir()]
            sys.stdout.write(json.dumps({"number": number, "torn": is_torn, "left": left}) + "\n")


if __name__ == "__main__":
    main()
