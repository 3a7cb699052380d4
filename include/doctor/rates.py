"""A rate out of counts taken while bytes moved, without the time in which connections ramp up. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """So many bytes had come after so many seconds."""

    seconds: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Rate:
    """Bytes a second, and how long and how much was looked at in all."""

    bytes_per_second: float
    seconds: float
    bytes: int


def warm_up_seconds(*, round_trip_seconds: float, seconds: float) -> float:
    """Return how long connections are left to ramp up: eight round trips, at most a third of the time there is."""
    return min(seconds / 3, max(0.2, 8 * round_trip_seconds))


def steady(samples: Sequence[Sample], *, warm_up: float) -> Rate | None:
    """Return the rate after the warm-up, of everything if that was all there is; None if nothing came."""
    if not samples or samples[-1].bytes == 0 or samples[-1].seconds <= 0:
        return None
    last = samples[-1]
    first = next((sample for sample in samples if sample.seconds >= warm_up), last)
    if last.seconds - first.seconds < 0.1 * last.seconds:
        first = Sample(0, 0)
    moved, took = last.bytes - first.bytes, last.seconds - first.seconds
    return Rate(moved / took, last.seconds, last.bytes)
