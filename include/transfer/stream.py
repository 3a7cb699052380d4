"""One connection at work: the spans it was given, the files it opened for them, and the requests under way on it."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from include.transfer.connect import Line
from include.transfer.sftp_reads import REQUEST_BYTES
from include.transfer.work import SPAN_BYTES, ItemWork, Piece, Span

LEAST_WINDOW_BYTES = 2 * REQUEST_BYTES
MOST_WINDOW_BYTES = 128 * REQUEST_BYTES
SMOOTHING = 0.3
WINDOW_ROUND_TRIPS = 3


@dataclass(eq=False, slots=True)
class Ask:
    """A request under way: `slot` is where its bytes go, `got` how many have come of an answer that was too short."""

    piece: Piece
    slot: int
    at: float
    got: int = 0
    is_repeat: bool = False


@dataclass(eq=False, slots=True)
class Stream:
    """`share_bytes` is what it has under way at least."""

    line: Line
    share_bytes: int
    begun_at: float = field(default_factory=time.monotonic)
    spans: deque[Span] = field(default_factory=deque)
    span_bytes: int = 0
    asked: dict[Ask, None] = field(default_factory=dict)
    asked_bytes: int = 0
    handles: dict[ItemWork, bytes] = field(default_factory=dict)
    opening: dict[ItemWork, "asyncio.Task[None]"] = field(default_factory=dict)
    rate: float = 0.0
    is_leaving: bool = False
    """It finishes what it was given, and gets no more."""
    _counted_bytes: int = 0
    _counted_at: float = field(default_factory=time.monotonic)
    _waits_since: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._counted_bytes = self.line.reads.received_bytes

    def measure(self, now: float) -> None:
        """Bring the rate up to date."""
        seconds = now - self._counted_at
        if seconds < 0.1:
            return
        received = self.line.reads.received_bytes
        rate = (received - self._counted_bytes) / seconds
        self.rate = rate if not self.rate else self.rate + SMOOTHING * (rate - self.rate)
        self._counted_bytes, self._counted_at = received, now

    def window_bytes(self, *, round_trip_seconds: float) -> int:
        """Return how much is to be under way: its share, or three times what it carries in a round trip.

        Never less than the share: with a full queue a round trip takes twice as long as it was measured, and to ask for
        less because it got slower would make it slower still.
        """
        wanted = max(self.share_bytes, int(WINDOW_ROUND_TRIPS * self.rate * round_trip_seconds))
        return max(LEAST_WINDOW_BYTES, min(wanted, MOST_WINDOW_BYTES))

    def ahead_bytes(self, *, round_trip_seconds: float) -> int:
        """Return how much it is given beyond that, so that files are open before they are read."""
        return max(min(SPAN_BYTES, self.share_bytes // 2), int(1.5 * self.rate * round_trip_seconds))

    def give(self, span: Span) -> None:
        """Let it fetch a span, after those of earlier blocks."""
        self.span_bytes += span.bytes
        if self.spans and span.work.order < self.spans[-1].work.order:
            self.spans.append(span)
            self.spans = deque(sorted(self.spans, key=lambda one: one.work.order))
        else:
            self.spans.append(span)

    def next_span(self) -> Span | None:
        """Return the first span whose file is open."""
        while self.spans and (not self.spans[0].pieces or self.spans[0].work.item.is_dropped):
            self.span_bytes -= self.spans.popleft().bytes
        for span in self.spans:
            if span.pieces and span.work.item in self.handles:
                return span
        return None

    def hand_over(self, span: Span) -> None:
        """Another stream fetches it."""
        self.spans.remove(span)
        self.span_bytes -= span.bytes

    def take_back(self) -> Span | None:
        """Return the span that it would come to last."""
        while self.spans:
            span = self.spans.pop()
            self.span_bytes -= span.bytes
            if span.pieces:
                return span
        return None

    def ask(self, ask: Ask) -> None:
        """Note a request."""
        self.waits(ask.at)
        self.asked[ask] = None
        self.asked_bytes += ask.piece.length

    def waits(self, now: float) -> None:
        """Note that it is about to ask: silence counts from now, if it had nothing to wait for."""
        if not self.asked and not self.opening:
            self._waits_since = now

    def answered(self, ask: Ask) -> None:
        """Forget a request."""
        del self.asked[ask]
        self.asked_bytes -= ask.piece.length

    def silent_seconds(self, now: float) -> float:
        """Return for how long it has been waiting without a byte."""
        if not self.asked and not self.opening:
            return 0.0
        return now - max(self.line.reads.received_at, self._waits_since)

    @property
    def busy_seconds(self) -> float:
        """Return how long it will need for what it has, as it looks."""
        return (self.asked_bytes + self.span_bytes) / max(self.rate, 1e4)

    def forget(self, item: ItemWork) -> None:
        """The item is done: its file is closed here."""
        handle = self.handles.pop(item, None)
        if handle is not None and self.line.is_usable:
            self.line.reads.close(handle)
