"""What follows an error: a table, and the growth of pauses."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include import errors
from include.operations.decide import (
    LONGEST_PAUSE_SECONDS,
    LONGEST_SENTENCE,
    SLOW_PAUSE_SECONDS,
    Decision,
    after_error,
    sentence,
    storable,
)
from include.ops_db.states import AttemptOutcome, WorkStatus
from include.topology import Policy

NOW = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
POLICY = Policy(attempts_max=5, retry_seconds=10, waiting_seconds=300)

WAITS = (WorkStatus.PENDING, AttemptOutcome.WAITING, False)
TRIES = (WorkStatus.PENDING, AttemptOutcome.TRANSIENT, True)
PERMANENT = (WorkStatus.FAILED, AttemptOutcome.PERMANENT, True)
INTEGRITY = (WorkStatus.FAILED, AttemptOutcome.INTEGRITY, True)

TABLE = {
    errors.DtsError: TRIES,
    errors.TransientError: TRIES,
    errors.LeaseLostError: TRIES,
    errors.WaitingError: WAITS,
    errors.NoSpaceError: WAITS,
    errors.PermanentError: PERMANENT,
    errors.BadInputError: PERMANENT,
    errors.FilingRefusedError: PERMANENT,
    errors.MissingFileError: PERMANENT,
    errors.TopologyError: PERMANENT,
    errors.WrongHostError: PERMANENT,
    errors.IntegrityError: INTEGRITY,
    errors.ChecksumMismatchError: INTEGRITY,
    errors.FileChangedError: INTEGRITY,
    errors.SandboxError: TRIES,
    ZeroDivisionError: TRIES,
    OSError: TRIES,
}


def decide(error: Exception, *, failure_count: int = 0, jitter: float = 0.5) -> Decision:
    return after_error(error, failure_count=failure_count, policy=POLICY, now=NOW, jitter=jitter)


def all_errors(error: type[Exception]) -> list[type[Exception]]:
    return [error, *(deeper for child in error.__subclasses__() for deeper in all_errors(child))]


def test_the_table_knows_every_error_of_the_tree() -> None:
    ours = {error for error in all_errors(errors.DtsError) if error.__module__ == "include.errors"}
    assert ours <= TABLE.keys()


@pytest.mark.parametrize("error", TABLE, ids=lambda error: error.__name__)
def test_each_error_leads_to_its_state(error: type[Exception]) -> None:
    decision = decide(error("The disk is odd"))
    assert (decision.status, decision.outcome, decision.counts_as_failure) == TABLE[error]
    assert "The disk is odd." in decision.explanation
    assert decision.calls_a_person == (decision.status is WorkStatus.FAILED)


def test_what_waits_looks_again_after_its_pause_and_says_when() -> None:
    decision = decide(errors.NoSpaceError("cologne_buffer is full"), failure_count=4)
    assert decision.not_before == NOW + timedelta(seconds=300)
    assert "It waits: cologne_buffer is full. It looks again at 2027-01-02 03:09:05 UTC." in decision.explanation


def test_what_needs_a_person_is_not_tried_again_by_itself() -> None:
    decision = decide(errors.MissingFileError("a.g3 is gone."))
    assert decision.not_before is None
    assert "`dts retry`" in decision.explanation


def test_a_stranger_is_called_by_its_name() -> None:
    assert "ZeroDivisionError: division by zero." in decide(ZeroDivisionError("division by zero")).explanation


def test_a_spent_budget_calls_a_person_and_goes_on_slowly() -> None:
    last = decide(errors.TransientError("no route"), failure_count=3)
    assert last.status is WorkStatus.PENDING
    assert "Try 4 of 5" in last.explanation
    spent = decide(errors.TransientError("no route"), failure_count=4)
    assert spent.status is WorkStatus.FAILED
    assert spent.calls_a_person
    assert spent.not_before == NOW + timedelta(seconds=SLOW_PAUSE_SECONDS)
    assert "5 times in a row" in spent.explanation
    assert "next at 2027-01-02 09:04:05 UTC" in spent.explanation


@given(failure_count=st.integers(0, 5000), jitter=st.floats(0, 1))
def test_pauses_double_within_their_bounds(failure_count: int, jitter: float) -> None:
    policy = Policy(attempts_max=10_000, retry_seconds=10)
    decision = after_error(
        errors.TransientError("x"), failure_count=failure_count, policy=policy, now=NOW, jitter=jitter
    )
    assert decision.not_before is not None
    pause = (decision.not_before - NOW).total_seconds()
    whole = min(10 * 2**failure_count, LONGEST_PAUSE_SECONDS)
    assert whole / 2 - 1e-3 <= pause <= whole + 1e-3


def test_jitter_spreads_pauses() -> None:
    pauses = [decide(errors.TransientError("x"), jitter=jitter).not_before for jitter in (0, 0.5, 1)]
    assert pauses == [NOW + timedelta(seconds=seconds) for seconds in (5, 7.5, 10)]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", "ValueError."),
        ("Two\n  lines", "Two lines."),
        ("Really?", "Really?"),
        ("a\0b", r"a\x00b."),
        (b"caf\xe9.g3".decode("utf-8", "surrogateescape"), r"caf\udce9.g3."),
    ],
)
def test_a_message_becomes_a_sentence_that_can_be_stored(message: str, expected: str) -> None:
    assert sentence(ValueError(message)) == expected


def test_an_endless_message_is_cut() -> None:
    assert len(sentence(ValueError("x" * 10**6))) <= LONGEST_SENTENCE + 2


@given(st.text(alphabet=st.characters()))
def test_whatever_is_stored_has_no_nul_and_is_utf_8(text: str) -> None:
    assert "\0" not in storable(text)
    storable(text).encode()
