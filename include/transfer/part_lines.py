"""How many parts of an S3 upload are under way at once: each uses a connection, so it is decided as for those. Pure.

How it goes on is adapt.py's to say, as for a pull.
"""

from dataclasses import dataclass

from include.transfer.adapt import LINK_BYTES_PER_SECOND, Decision, known, link_holds

NEAR_SECONDS = 0.03
NEAR_PARTS = 4
FAR_PARTS = 16
WINDOW_BYTES = 1_060_000
"""What one connection to a store keeps in flight: at a round trip of 250 ms 16 of them carried 68 MB/s, 4 a quarter."""
MOST_AT_ONCE = 32
"""Each is a thread, and holds some MB."""


def first(*, round_trip_seconds: float, remembered: int | None = None) -> Decision:
    """Decide how many parts an upload begins with."""
    if remembered is not None and (decision := known(round_trip_seconds, remembered=remembered)):
        return decision
    if round_trip_seconds <= NEAR_SECONDS:
        streams = NEAR_PARTS
        return Decision(streams, f"{streams} connections, one part each: the store is near, and each carries much.")
    held = round(LINK_BYTES_PER_SECOND * round_trip_seconds / WINDOW_BYTES)
    streams = max(NEAR_PARTS, min(held, FAR_PARTS))
    return Decision(
        streams,
        f"{streams} connections, one part each: {link_holds(round_trip_seconds)}, and one connection to a store is"
        f" expected to keep about {WINDOW_BYTES / 1e6:.1f} MB in flight.",
    )


@dataclass(frozen=True, slots=True)
class PartLine:
    """One part after another."""

    begun_at: float


class PartLines:
    """The parts under way, as a transfer's connections are seen: each line sends one part after another."""

    def __init__(self, *, round_trip_seconds: float) -> None:
        self.streams: list[PartLine] = []
        self.wanted = 1
        self.round_trip_seconds = round_trip_seconds

    def have(self, count: int, *, now: float) -> None:
        """So many parts are under way; those that were not before have begun now."""
        del self.streams[count:]
        self.streams += [PartLine(now) for _ in range(count - len(self.streams))]
