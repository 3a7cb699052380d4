"""How the number of connections follows what a link gives, round by round."""

from dataclasses import dataclass, field

import pytest

from include.transfer.adapt import Decision
from include.transfer.connect import Line
from include.transfer.rounds import ROUND_SECONDS, Rounds
from include.transfer.sftp_reads import REQUEST_BYTES
from include.transfer.stream import LEAST_WINDOW_BYTES, MOST_WINDOW_BYTES, WINDOW_ROUND_TRIPS, Stream

MB = 1_000_000


@dataclass
class Connection:
    begun_at: float


@dataclass
class Link:
    """As many connections as are wanted, at once; each carries its rate, all together what the link holds."""

    holds: float
    each: float = 2 * MB
    wanted: int = 1
    round_trip_seconds: float = 0.25
    streams: list[Connection] = field(default_factory=list)
    now: float = 1000.0
    received: float = 0.0

    def pass_a_second(self) -> None:
        self.now += 1
        self.received += min(self.holds, self.each * len(self.streams))
        self.streams = self.streams[: self.wanted]
        self.streams += [Connection(self.now) for _ in range(self.wanted - len(self.streams))]


@dataclass
class Course:
    """A transfer over a link, and what was decided."""

    link: Link
    most: int = 64
    remembered: int | None = None
    decisions: list[Decision] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rounds = Rounds(
            self.link, most_streams=self.most, tell=self.decisions.append, remembered_streams=self.remembered
        )
        self.rounds.begin(Decision(self.remembered or 4, "to begin with."))

    @property
    def to_remember(self) -> int:
        return [decision.streams for decision in self.decisions if not decision.is_a_try][-1]

    def go_on(self, seconds: int, **how) -> int:
        """Return how many connections it comes to."""
        how = {"is_busy": True, "held_back_by": None} | how
        for _ in range(seconds):
            self.link.pass_a_second()
            self.rounds.look(self.link.now, bytes_received=int(self.link.received), **how)
        return self.link.wanted


def test_it_grows_until_the_link_is_full_and_stays_there_for_hours():
    course = Course(Link(holds=40 * MB))
    course.go_on(60)
    assert 20 <= course.to_remember <= 32
    had = [course.go_on(1) for _ in range(7200)]
    assert sum(had) / len(had) < 40, "a step up is tried from time to time, and taken back"
    assert all(decision.why for decision in course.decisions)
    assert [decision.streams for decision in course.decisions][:3] == [4, 6, 9]
    assert course.to_remember == 32


@pytest.mark.parametrize("seconds", [8, 11, 20, 60, 300])
def test_what_is_remembered_does_not_grow_from_transfer_to_transfer(seconds):
    """Wherever in a round a transfer ends, the next one begins with what was of use, not with what was tried."""
    remembered = 6
    for _ in range(30):
        course = Course(Link(holds=100 * MB, each=50 * MB), remembered=remembered)
        course.go_on(seconds)
        remembered = course.to_remember
    assert remembered == 6


def test_a_link_that_got_better_is_found_out_though_less_is_remembered():
    course = Course(Link(holds=90 * MB), remembered=20)
    assert course.go_on(60) >= 40


def test_it_backs_off_when_the_link_gets_slower():
    course = Course(Link(holds=40 * MB))
    before = course.go_on(120)
    course.link.holds = 10 * MB
    assert course.go_on(20) < before
    assert any("got slower" in decision.why for decision in course.decisions)


def test_nothing_is_decided_by_a_round_in_which_something_else_changed():
    course = Course(Link(holds=40 * MB))
    assert course.go_on(60, is_busy=False) == 4
    assert len(course.decisions) == 1
    assert course.go_on(60, held_back_by="the route's timetable") == 4
    assert "the route's timetable sets the rate" in course.decisions[-1].why


def test_it_has_no_more_than_it_may():
    assert Course(Link(holds=40 * MB), most=7).go_on(60) == 7


def test_a_round_is_long_enough_to_be_believed():
    course = Course(Link(holds=40 * MB))
    course.go_on(int(ROUND_SECONDS))
    assert len(course.decisions) == 1


@pytest.mark.parametrize(("rate", "seconds"), [(2 * MB, 0.25), (50 * MB, 0.1), (200 * MB, 0.25), (0, 0.25)])
def test_a_connection_asks_for_what_it_carries_in_three_round_trips_within_bounds(rate, seconds):
    class Reads:
        received_bytes = 0

    stream = Stream(Line(Reads(), None, seconds), LEAST_WINDOW_BYTES)  # type: ignore[arg-type]
    stream.rate = rate
    wanted = WINDOW_ROUND_TRIPS * rate * seconds
    assert stream.window_bytes(round_trip_seconds=seconds) == pytest.approx(
        max(LEAST_WINDOW_BYTES, min(wanted, MOST_WINDOW_BYTES)), abs=1
    )
    assert LEAST_WINDOW_BYTES >= 2 * REQUEST_BYTES
