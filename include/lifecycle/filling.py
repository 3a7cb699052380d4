"""A sentence about how a location fills: how fast, and when it will be full."""

from include.operations.decide import clock
from include.ops_db.measurements import HowFull
from include.sizes import size


def when_full(known: HowFull | None, *, rate: float | None = None) -> str:
    """Say when it will be full at `rate` (bytes a second; default: the present one); nothing if it will not be.

    Begins with a space, to stand after another sentence.
    """
    rate = known.net_rate if known is not None and rate is None else rate
    full_at = None if known is None else known.full_at(rate=rate)
    if full_at is None or rate is None:
        return ""
    return f" At the present {size(int(rate))}/s it is full at {clock(full_at)}."
