"""How a transfer is to go, and who hears of it: what is said to a pull is said to a push, too."""

from collections.abc import Callable
from dataclasses import dataclass

from include.transfer.adapt import MOST_STREAMS, Decision
from include.transfer.pace import Pace
from include.transfer.pulled import YIELD_SECONDS, Progress, nothing

PATIENCE_SECONDS = 300.0
"""A link that is cut for so long makes a transfer give up; a shorter cut it sits out, and goes on by itself."""


@dataclass(frozen=True, slots=True)
class Terms:
    """All of these are called in the caller's thread, but `pace`."""

    check: Callable[[], None] = nothing
    """Called, and may raise, after every block and once a second."""
    on_progress: Callable[[Progress], None] = nothing
    on_decision: Callable[[Decision], None] = nothing
    """Hears how many connections are used, and why; the last one's number is the next transfer's remembered_streams."""
    yield_after_seconds: float = YIELD_SECONDS
    patience_seconds: float = PATIENCE_SECONDS
    most_streams: int = MOST_STREAMS
    remembered_streams: int | None = None
    pace: Pace | None = None
    """Asked before anything is sent or asked for."""


AS_USUAL = Terms()
