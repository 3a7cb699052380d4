"""A second process of a pull: `python -m include.transfer.second`, with a PullTask, pickled, on its standard input.

It says how far it is on its standard output: bytes sent, bytes received, a line for each block. It ends with whoever
started it: then its standard input does. What it has done is in the journals, so that it may end at any moment.
"""

import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from include.errors import DtsError
from include.transfer.blocks import Item
from include.transfer.by_streams import run_engine
from include.transfer.pull_engine import PullEngine, PullTask
from include.transfer.pulled import Progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PlainContent:
    """What is known about a file, and nothing of where that is known from."""

    name: str
    size_bytes: int
    checksum: str
    block_bytes: int
    block_checksums: tuple[str, ...]


class Second:
    """The process as the first one has it: it runs from the beginning of a with block, and no longer than that."""

    def __init__(self, task: PullTask) -> None:
        self.bytes_sent = 0
        self.bytes_received = 0
        self._is_over = False
        self._task = replace(task, items=_plain(task.items))
        # It imports what this process does, wherever that was found.
        path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._thread = threading.Thread(target=self._listen, name="second process", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        self._process.kill()
        self._thread.join()

    def wait(self, seconds: float) -> bool:
        """Tell whether it has ended, after so long at most."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _listen(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            with self._process.stdout as told, self._process.stdin as order:
                pickle.dump(self._task, order)
                order.flush()
                for line in told:
                    self.bytes_sent, self.bytes_received = map(int, line.split())
        except OSError as error:
            logger.warning("The second process of this transfer cannot be reached: %s", error)
        if (status := self._process.wait()) and not self._is_over:
            logger.warning(
                "The second process of this transfer ended with %d; what it left is done by this one.", status
            )


def _plain(items: Sequence[Item]) -> list[Item]:
    return [
        replace(
            item,
            content=PlainContent(
                item.content.name,
                item.content.size_bytes,
                item.content.checksum,
                item.content.block_bytes,
                item.content.block_checksums,
            ),
        )
        for item in items
    ]


def _end_with_the_first() -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing else comes
    os._exit(1)


def _tell(progress: Progress) -> None:
    sys.stdout.write(f"{progress.bytes_sent} {progress.bytes_received}\n")
    sys.stdout.flush()


def main() -> None:
    """Do what the first process hands over."""
    task: PullTask = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    terms = replace(task.terms, on_progress=_tell)
    try:
        run_engine(lambda pool, tell: PullEngine(replace(task, terms=terms), pool=pool, tell=tell), terms=terms)
    except DtsError as error:  # the first process meets it, too, and says so where it is heard
        sys.exit(str(error))


if __name__ == "__main__":
    main()
