"""Lets connections of a pull that have nothing to do take over what others would need long for."""

from include.transfer.asking import Asking, Reason
from include.transfer.course import TICK_SECONDS
from include.transfer.fleet import Fleet
from include.transfer.incoming import Incoming
from include.transfer.stream import Stream
from include.transfer.work import PieceState

LATE_SECONDS = 1.0
LATE_ROUND_TRIPS = 5
OLDEST = 4
"""Blocks of which late pieces are asked for once more."""


class Helping:
    """In the loop's thread."""

    def __init__(self, fleet: Fleet[Stream], load: Incoming, asking: Asking) -> None:
        self._fleet = fleet
        self._load = load
        self._asking = asking

    def help(self, now: float) -> None:
        """Give each idle stream something, if there is."""
        trip = self._fleet.round_trip_seconds
        if self._load.has_more and now - self._asking.blocked_at > TICK_SECONDS:
            return
        for stream in self._fleet.streams:
            window = stream.window_bytes(round_trip_seconds=trip)
            if stream.is_leaving or stream.asked_bytes + stream.span_bytes > window // 2:
                continue
            if not self._steal(stream) and not self._repeat(stream, now=now, room=window - stream.asked_bytes):
                continue
            self._asking.pump(stream)

    def _steal(self, thief: Stream) -> bool:
        """Take over the span of the oldest block that waits on a stream which would need longer for it."""
        patience = thief.busy_seconds + 2 * self._fleet.round_trip_seconds
        waiting = (
            (span.work.order, number, span, victim)
            for number, victim in enumerate(self._fleet.streams)
            if victim is not thief and victim.busy_seconds > patience
            for span in victim.spans
            if span.pieces and not span.work.item.is_dropped
        )
        found = min(waiting, key=lambda one: one[:2], default=None)
        if found is None:
            return False
        _, _, span, victim = found
        victim.hand_over(span)
        self._asking.give(thief, span)
        return True

    def _repeat(self, stream: Stream, *, now: float, room: int) -> bool:
        """Ask for late pieces once more, those of the oldest block first: what comes first counts."""
        streams = self._fleet.streams
        usual = sum(s.asked_bytes for s in streams) / max(1.0, sum(s.rate for s in streams))
        late = max(LATE_SECONDS, LATE_ROUND_TRIPS * self._fleet.round_trip_seconds, 2 * min(usual, LATE_SECONDS * 4))
        asked = False
        for work in list(self._load.open)[:OLDEST]:
            for piece in work.pieces:
                if piece.state is not PieceState.ASKED or piece.copies != 1 or now - piece.asked_at < late:
                    continue
                if any(ask.piece is piece for ask in stream.asked):
                    continue
                if work.item not in stream.handles:
                    self._asking.open_file(stream, work.item)
                    break
                if room < piece.length or not self._asking.ask(stream, piece, Reason.AGAIN):
                    return asked
                room -= piece.length
                asked = True
        return asked
