"""Ending on purpose: SIGTERM and SIGHUP mean what Ctrl-C means, and nothing interrupts the clearing up."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
