"""The timetable of a route: what holds at an instant, and until when."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.errors import TopologyError
from include.timetable import DAYS, Rate, TimetableEntry, in_words, rate_at
from include.topology import Topology, parse_topology
from tests.test_topology import SANDBOX

UTC_ZONE = ZoneInfo("UTC")
MBIT = 125_000


def entry(**keys: object) -> TimetableEntry:
    return TimetableEntry.model_validate({"mbit_per_second": 400} | keys)


def moment(text: str) -> datetime:
    """2026-07-01 is a Wednesday."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_route_without_a_timetable_is_never_held_back():
    assert rate_at([], instant=moment("2026-07-01T12:00"), zone=UTC_ZONE) == Rate(None, None)


def test_an_entry_holds_from_its_first_instant_until_its_last():
    day = [entry(**{"from": "08:00", "until": "20:00"})]
    held = Rate(400 * MBIT, moment("2026-07-01T20:00"))
    assert rate_at(day, instant=moment("2026-07-01T08:00"), zone=UTC_ZONE) == held
    assert rate_at(day, instant=moment("2026-07-01T19:59:59"), zone=UTC_ZONE) == held
    free = Rate(None, moment("2026-07-02T08:00"))
    assert rate_at(day, instant=moment("2026-07-01T20:00"), zone=UTC_ZONE) == free


def test_an_entry_over_midnight_belongs_to_the_day_on_which_it_begins():
    friday_night = [entry(days=["fri"], **{"from": "20:00", "until": "06:00"})]
    held = Rate(400 * MBIT, moment("2026-07-04T06:00"))
    assert rate_at(friday_night, instant=moment("2026-07-03T21:00"), zone=UTC_ZONE) == held
    assert rate_at(friday_night, instant=moment("2026-07-04T05:59"), zone=UTC_ZONE) == held
    assert rate_at(friday_night, instant=moment("2026-07-03T05:00"), zone=UTC_ZONE).bytes_per_second is None
    later = rate_at(friday_night, instant=moment("2026-07-04T06:00"), zone=UTC_ZONE)
    assert later == Rate(None, moment("2026-07-10T20:00"))


def test_the_first_entry_that_matches_counts():
    entries = [entry(days=["sun"], mbit_per_second=900), entry(mbit_per_second=100)]
    sunday = rate_at(entries, instant=moment("2026-07-05T12:00"), zone=UTC_ZONE)
    assert sunday == Rate(900 * MBIT, moment("2026-07-06T00:00"))
    monday = rate_at(entries, instant=moment("2026-07-06T00:00"), zone=UTC_ZONE)
    assert monday == Rate(100 * MBIT, moment("2026-07-12T00:00"))


def test_a_rate_that_holds_all_week_never_changes():
    assert rate_at([entry()], instant=moment("2026-07-01T12:00"), zone=UTC_ZONE) == Rate(400 * MBIT, None)


def test_times_are_those_of_the_routes_time_zone():
    chile = ZoneInfo("America/Santiago")
    day = [entry(**{"from": "08:00", "until": "20:00"})]
    winter = rate_at(day, instant=moment("2026-07-01T12:00"), zone=chile)  # UTC-4
    assert winter == Rate(400 * MBIT, moment("2026-07-02T00:00"))
    summer = rate_at(day, instant=moment("2026-01-07T11:00"), zone=chile)  # UTC-3
    assert summer == Rate(400 * MBIT, moment("2026-01-07T23:00"))


@given(
    entries=st.lists(
        st.builds(
            lambda days, begins, length, rate: entry(
                days=days,
                mbit_per_second=rate,
                **{"from": f"{begins:02}:30", "until": f"{(begins + length) % 24:02}:30"},
            ),
            st.lists(st.sampled_from(DAYS), min_size=1, unique=True),
            st.integers(0, 23),
            st.integers(1, 23),
            st.sampled_from([1, 50, 400]),
        ),
        max_size=4,
    ),
    minutes=st.integers(0, 366 * 24 * 60),
    zone=st.sampled_from(["UTC", "America/Santiago", "Europe/Berlin", "Asia/Kathmandu"]),
)
def test_nothing_changes_before_the_instant_it_is_said_to_change(entries, minutes, zone):
    instant = moment("2026-01-01T00:00") + timedelta(minutes=minutes)
    now = rate_at(entries, instant=instant, zone=ZoneInfo(zone))
    end = now.until or instant + timedelta(days=8)
    assert end > instant
    for step in range(1, 9):
        between = instant + (end - instant) * step / 9
        assert rate_at(entries, instant=between, zone=ZoneInfo(zone)).bytes_per_second == now.bytes_per_second
    if now.until is not None:
        assert rate_at(entries, instant=now.until, zone=ZoneInfo(zone)).bytes_per_second != now.bytes_per_second


def test_it_is_said_in_words():
    now = moment("2026-07-01T12:00")
    day = [entry(**{"from": "08:00", "until": "20:00"})]
    held = in_words(rate_at(day, instant=now, zone=UTC_ZONE), now=now, zone=UTC_ZONE)
    assert held == "held to 400 Mbit/s until 20:00 UTC by the timetable"
    chile = ZoneInfo("America/Santiago")
    sunday = [entry(days=["sun"])]
    free = in_words(rate_at(sunday, instant=now, zone=chile), now=now, zone=chile)
    assert free == "not held back by the timetable until sun 00:00 America/Santiago"


ROUTE = """
routes:
  - from_location: ccat_buffer
    to_location: cologne_buffer
    time_zone: {zone}
    timetable:
      - {{from: 08:00, until: 20:00, mbit_per_second: 400}}
      - {{{keys}}}
"""


def with_entry(keys: str, *, zone: str = "America/Santiago") -> Topology:
    return parse_topology(SANDBOX + ROUTE.format(keys=keys, zone=zone), where="it")


def test_times_may_stand_in_the_file_without_quotes():
    assert [each.until for each in with_entry("from: 20:00, until: 06:00, mbit_per_second: 9").routes[0].timetable] == [
        "20:00",
        "06:00",
    ]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("days: [monday], mbit_per_second: 1", "routes.0.timetable.1.days.0: Input should be 'mon'"),
        ("from: 25:00, mbit_per_second: 1", "routes.0.timetable.1.from: String should match"),
        ("from: 8, mbit_per_second: 1", "routes.0.timetable.1.from: Input should be a valid string"),
        ("from: 09:00, until: 09:00, mbit_per_second: 1", "routes.0.timetable.1: Value error, it ends when it begins"),
        ("mbit_per_second: 0", "routes.0.timetable.1.mbit_per_second: Input should be greater than or equal to 1"),
        ("until: 09:00", "routes.0.timetable.1.mbit_per_second: Field required"),
        ("rate: 9, mbit_per_second: 1", "routes.0.timetable.1.rate: Extra inputs are not permitted"),
    ],
)
def test_a_mistake_is_named_with_its_line(keys, said):
    with pytest.raises(TopologyError) as caught:
        with_entry(keys)
    line = SANDBOX.count("\n") + 8
    assert f"line {line}, {said}" in str(caught.value)


def test_a_time_zone_that_nobody_knows_is_a_mistake():
    with pytest.raises(TopologyError, match="routes.0.time_zone: .*there is no time zone 'Chile/Chajnantor'"):
        with_entry("mbit_per_second: 1", zone="Chile/Chajnantor")


def test_what_is_stored_of_a_topology_reads_as_the_same():
    topology = with_entry("days: [sat], from: 20:00, until: 06:00, mbit_per_second: 9")
    assert Topology.model_validate(topology.model_dump(mode="json")) == topology
