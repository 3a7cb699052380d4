"""Ending on purpose: SIGTERM and SIGHUP mean what Ctrl-C means, and nothing interrupts the clearing up."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def ctrl_c_ends_quietly() -> None:
    """Let Ctrl-C end this process at once and without a traceback; one that .ci/environment held back until now, too.

    For the time in which heavy modules are imported and nothing has been started.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextmanager
def interrupts_on_any_end() -> Iterator[None]:
    """Turn the first signal to end into a KeyboardInterrupt, and ignore further ones. Main thread only."""
    earlier = {number: signal.signal(number, _interrupt) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
