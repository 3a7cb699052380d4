"""How many connections, and the sentence why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.transfer.adapt import AGAIN_ROUNDS, MOST_STREAMS, Host, Round, change, first

STOCK = Host(receive_buffer_bytes=6_291_456, congestion_control="cubic")
LONG = Host(receive_buffer_bytes=268_435_456, congestion_control="bbr")


@pytest.mark.parametrize(
    ("seconds", "host", "least", "most"),
    [(0.25, STOCK, 32, 60), (0.25, LONG, 3, 8), (0.02, STOCK, 4, 6), (0.0005, STOCK, 2, 2), (2.0, STOCK, 64, 64)],
)
def test_it_begins_with_what_the_path_holds_and_a_connection_keeps(seconds, host, least, most):
    decision = first(round_trip_seconds=seconds, host=host)
    assert least <= decision.streams <= most
    assert decision.why.startswith(f"{decision.streams} connections")


def test_it_begins_with_what_is_remembered():
    assert first(round_trip_seconds=0.25, host=LONG, remembered=17).streams == 17


def test_it_grows_while_growth_pays_and_goes_back_when_it_costs():
    rounds = [Round(32, 40e6)]
    assert change(tuple(rounds)).streams == 48
    rounds.append(Round(48, 60e6))
    assert change(tuple(rounds)).streams == 64
    rounds.append(Round(64, 50e6))
    decision = change(tuple(rounds))
    assert decision.streams == 48
    assert "48 gave 60.0 MB/s" in decision.why


def test_it_stays_where_more_gave_nothing():
    rounds = (Round(6, 100e6), Round(9, 101e6))
    assert change(rounds).streams == 9
    assert change((*rounds, Round(9, 100e6))).streams == 9


def test_a_step_up_after_a_while_that_gives_nothing_is_taken_back():
    rounds = (*[Round(9, 100e6)] * AGAIN_ROUNDS, Round(14, 101e6))
    decision = change(rounds)
    assert (decision.streams, decision.is_a_try) == (9, False)
    assert "hardly more than with 9; back to as many" in decision.why
    assert change((*rounds[:-1], Round(14, 110e6))).streams == 21


def test_a_step_up_from_what_is_remembered_that_gives_nothing_is_taken_back():
    rounds = (Round(6, 100e6), Round(9, 101e6))
    assert change(rounds[:1], remembered=6).is_a_try
    assert change(rounds, remembered=6).streams == 6


def test_it_backs_off_when_the_far_end_slows():
    decision = change((Round(48, 60e6), Round(48, 59e6), Round(48, 20e6)))
    assert decision.streams == 32
    assert "got slower" in decision.why


def test_it_changes_nothing_when_something_else_sets_the_rate():
    decision = change((Round(8, 40e6),), held_back_by="the route's timetable")
    assert decision.streams == 8
    assert "the route's timetable" in decision.why


@given(
    rounds=st.lists(st.builds(Round, st.integers(1, MOST_STREAMS), st.floats(0, 1e9)), min_size=1).map(tuple),
    most=st.integers(1, MOST_STREAMS),
)
def test_it_never_asks_for_none_or_for_more_than_allowed_and_always_says_why(rounds, most):
    decision = change(rounds, most=most)
    assert 1 <= decision.streams <= max(most, *(one.streams for one in rounds))
    assert decision.why
