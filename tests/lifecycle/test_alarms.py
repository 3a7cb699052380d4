"""People are told of a location before it is full, with the hour; and of what is unwell, silent or behind a cut."""

from include.lifecycle.alarms import Cut, tell
from include.ops_db.measurements import HowFull
from include.ops_db.states import Condition
from include.topology import Topology, load_topology
from tests.lifecycle.known import NOW, known
from tests.observatory import SANDBOX

TOPOLOGY = load_topology(SANDBOX)
CUT = Cut(site="ccat", operation_id=12, destination="cologne_buffer")


def told(*places: HowFull, cuts: tuple[Cut, ...] = (), topology: Topology = TOPOLOGY) -> list[str]:
    found = tell({place.full_name: place for place in places}, topology=topology, cuts=cuts, now=NOW)
    return [alarm.sentence for alarm in found]


def test_a_location_that_is_well_and_lasts_is_not_told_of() -> None:
    assert told(known("ccat_buffer", in_rate=1, out_rate=0.9), known("us_buffer", in_rate=1, out_rate=2)) == []


def test_a_location_that_will_be_full_within_two_days_is_told_of_with_the_hour() -> None:
    assert told(known("ccat_buffer", in_rate=3, out_rate=0.5)) == [
        "At the present 2 B/s ccat_buffer is full at 2026-04-03 04:00:00 UTC, in 40 hours."
    ]


def test_what_was_seen_long_ago_is_told_on() -> None:
    silent, soon = told(known("ccat_source", in_rate=2, seen_hours_ago=10))
    assert "ccat_source was last looked at 10.0 hours ago, at 2026-04-01 02:00:00 UTC" in silent
    assert soon == "At the present 2 B/s ccat_source is full at 2026-04-03 04:00:00 UTC, in 40 hours."


def test_what_should_be_full_by_now_is_said_so() -> None:
    assert told(known("ccat_source", in_rate=20, seen_hours_ago=10))[1].endswith("ccat_source is full by now.")


def test_behind_a_cut_link_the_hours_are_those_of_what_comes_in() -> None:
    """Out goes what was safe before; when that is gone, nothing does."""
    places = (known("ccat_source", in_rate=1, out_rate=1), known("cologne_buffer", in_rate=1, out_rate=1))
    assert told(*places) == []
    (sentence,) = told(*places, cuts=(CUT,))
    assert sentence == (
        "Transfers from ccat to cologne_buffer do not get through (operation 12), and nothing is deleted that is not"
        " safe in the archives. At the present 1 B/s ccat_source is full at 2026-04-05 16:00:00 UTC, in 100 hours."
    )


def test_what_is_unwell_is_told_with_since_when() -> None:
    place = known("ccat_buffer", condition=Condition.READ_ONLY, why="ccat_buffer is mounted read-only.")
    assert told(place) == ["ccat_buffer is mounted read-only. (Since 2026-04-01 12:00:00 UTC.)"]


def test_nothing_is_made_up_where_nothing_is_known() -> None:
    assert told(known("ccat_buffer", in_rate=None, out_rate=None), known("us_archive", total=None, in_rate=9)) == []
