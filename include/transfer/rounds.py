"""Measures a transfer in rounds in which nothing is changed, and changes its number of connections between them."""

from collections.abc import Callable, Sequence
from typing import Protocol

from include.transfer import adapt
from include.transfer.adapt import Decision, Round

ROUND_SECONDS = 3.0
ROUND_ROUND_TRIPS = 10
REMEMBERED = 20


class Begun(Protocol):
    """A connection at work."""

    @property
    def begun_at(self) -> float:
        """Since when (monotonic)."""


class Connections(Protocol):
    """Those of one transfer: how many there are, and how many there should be."""

    wanted: int

    @property
    def streams(self) -> Sequence[Begun]:
        """Those at work."""

    @property
    def round_trip_seconds(self) -> float:
        """How far the other end is."""


class Rounds:
    """Of the connections of one transfer. `tell` hears every decision."""

    def __init__(
        self,
        fleet: Connections,
        *,
        most_streams: int,
        tell: Callable[[Decision], None],
        remembered_streams: int | None = None,
    ) -> None:
        self.has_begun = False
        self.began_at = 0.0
        """The round that is going on; 0: none is."""
        self._began_bytes = 0
        self._rounds: tuple[Round, ...] = ()
        self._fleet = fleet
        self._most_streams = most_streams
        self._remembered_streams = remembered_streams
        self._tell = tell

    def begin(self, decision: Decision) -> None:
        """Have as many connections as are decided, or allowed."""
        self.has_begun = True
        self._fleet.wanted = min(decision.streams, self._most_streams)
        self._tell(Decision(self._fleet.wanted, decision.why))

    def look(self, now: float, *, bytes_received: int, is_busy: bool, held_back_by: str | None) -> bool:
        """Measure, and decide at the end of a round. Tell whether another number of connections is wanted now."""
        fleet = self._fleet
        length = max(ROUND_SECONDS, ROUND_ROUND_TRIPS * fleet.round_trip_seconds)
        streams = len(fleet.streams)
        youngest = max((stream.begun_at for stream in fleet.streams), default=now)
        began, began_bytes = self.began_at, self._began_bytes
        is_steady = streams == fleet.wanted and now - youngest >= length and is_busy
        if began and is_steady and now - began < length:
            return False
        self.began_at, self._began_bytes = now, bytes_received
        if not began or not is_steady:
            return False
        measured = Round(streams, (bytes_received - began_bytes) / (now - began))
        self._rounds = (*self._rounds, measured)[-REMEMBERED:]
        if fleet.round_trip_seconds < adapt.NEAR_SECONDS:
            held_back_by = "the processor"
        decision = adapt.change(
            self._rounds,
            most=self._most_streams,
            remembered=self._remembered_streams,
            held_back_by=held_back_by,
        )
        fleet.wanted = decision.streams
        self._tell(decision)
        return decision.streams != streams
