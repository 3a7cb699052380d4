"""Bytes a second on each route: what transfers under way had yet to write in one look, and what they have in the next.

Pure. A transfer says every few seconds what is left, so a rate is taken over some of them.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

WINDOW_SECONDS = 30.0
"""Long enough for a few reports of each transfer, short enough to show a cut while it is news."""
LEAST_SECONDS = 5.0
LONGEST_SECONDS = 15.0
"""Between two looks."""

RouteName = tuple[str, str]
"""Full names of origin and destination."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A transfer in a look."""

    operation_id: int
    route: RouteName
    size_bytes: int
    left_bytes: int
    """0: it is over."""
    ended_seconds_ago: float | None = None
    """Of one that is over."""


@dataclass
class RateMeter:
    """Remembers looks of the last half minute."""

    _left: dict[int, int] = field(default_factory=dict)
    _ended: set[int] = field(default_factory=set)
    _moved: dict[RouteName, deque[tuple[float, int]]] = field(default_factory=dict)
    _first_at: float | None = None
    _last_at: float = 0.0

    def look(self, transfers: Iterable[Seen], *, at: float) -> None:
        """Take in a look, at a moment of a steady clock (seconds)."""
        if at - self._last_at > LONGEST_SECONDS:  # nobody watched: what moved meanwhile has no rate of now
            self._first_at = None
            self._moved.clear()
            self._left.clear()
        before, self._left = self._left, {}
        ended = set()
        for seen in transfers:
            if seen.ended_seconds_ago is None:
                self._left[seen.operation_id] = seen.left_bytes
            else:
                ended.add(seen.operation_id)
            self._count(seen.route, self._moved_by(seen, before.get(seen.operation_id), at=at), at=at)
        for moved in self._moved.values():
            while moved and moved[0][0] <= at - WINDOW_SECONDS:
                moved.popleft()
        self._ended = ended
        self._first_at = at if self._first_at is None else self._first_at
        self._last_at = at

    def rate(self, route: RouteName) -> float | None:
        """Return bytes a second as of the last look; None as long as nobody can tell."""
        if self._first_at is None or self._last_at - self._first_at < LEAST_SECONDS:
            return None
        seconds = min(self._last_at - self._first_at, WINDOW_SECONDS)
        return sum(size for _, size in self._moved.get(route, ())) / seconds

    def _moved_by(self, seen: Seen, before: int | None, *, at: float) -> int:
        """Return what it moved since the look before."""
        if before is not None:
            return max(before - seen.left_bytes, 0)
        if self._first_at is None or seen.ended_seconds_ago is None or seen.operation_id in self._ended:
            return 0
        # It began and ended between two looks.
        return seen.size_bytes if seen.ended_seconds_ago <= at - self._last_at else 0

    def _count(self, route: RouteName, size_bytes: int, *, at: float) -> None:
        if size_bytes:
            self._moved.setdefault(route, deque()).append((at, size_bytes))
