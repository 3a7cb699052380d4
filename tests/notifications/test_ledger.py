"""Alarms in ops-db: each is raised once and cleared once, and what it said stays."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from include.alarm_rules import Severity
from include.errors import BadInputError
from include.notifications import ledger
from include.notifications.alarm import Alarm, Judged
from tests.notifications.known import NOW, judged, minutes


def record(engine: Engine, *alarms: Judged, now: datetime = NOW) -> list[Alarm]:
    """A round; returns what is open after it."""
    with engine.begin() as connection:
        ledger.record(connection, alarms, now=now)
        return ledger.open_alarms(connection)


def history(engine: Engine) -> list[Alarm]:
    with engine.connect() as connection:
        return ledger.cleared_alarms(connection, most=100)


def test_an_alarm_is_raised_once_and_cleared_once(engine: Engine) -> None:
    for minute in range(5):
        (found,) = record(engine, judged(sentence=f"It is so, minute {minute}."), now=NOW + minutes(minute))
    assert (found.since, found.raised_at, found.sentence) == (NOW, NOW, "It is so, minute 4.")
    for minute in range(5, 8):
        record(engine, now=NOW + minutes(minute))
    (cleared,) = history(engine)
    assert (cleared.id, cleared.cleared_at) == (found.id, NOW + minutes(6))
    (again,) = record(engine, judged(), now=NOW + minutes(9))
    assert again.id != found.id


def test_what_comes_and_goes_is_one_alarm(engine: Engine) -> None:
    for minute in range(10):
        (found,) = record(engine, *([judged()] if minute % 2 == 0 else []), now=NOW + minutes(minute))
    assert found.since == NOW
    assert history(engine) == []


def test_what_must_last_is_raised_once_it_has(engine: Engine) -> None:
    missing = judged("worker_missing:us", lasting_seconds=90)
    assert record(engine, missing) == []
    assert record(engine, missing, now=NOW + minutes(1)) == []
    (found,) = record(engine, missing, now=NOW + minutes(2))
    assert (found.since, found.raised_at) == (NOW, NOW + minutes(2))


def test_what_did_not_last_was_never_an_alarm(engine: Engine) -> None:
    missing = judged("worker_missing:us", lasting_seconds=90)
    for minute in (0, 2, 4):
        assert record(engine, missing, now=NOW + minutes(minute)) == []
        assert record(engine, now=NOW + minutes(minute + 1)) == []
    assert history(engine) == []


def test_an_alarm_that_gets_worse_stays_so(engine: Engine) -> None:
    for severity in (Severity.WARNING, Severity.CRITICAL, Severity.INFO):
        (found,) = record(engine, judged(severity=severity))
    assert found.severity is Severity.CRITICAL


def test_an_event_stays_for_its_time(engine: Engine) -> None:
    with engine.begin() as connection:
        now = connection.execute(text("select clock_timestamp()")).scalar_one()
        ledger.see_event(connection, judged("work_failed:x"), stays=timedelta(hours=1))
    assert len(record(engine, now=now + minutes(59))) == 1
    assert record(engine, now=now + minutes(62)) == []
    assert len(history(engine)) == 1


def test_the_most_urgent_stands_first(engine: Engine) -> None:
    found = record(
        engine, judged("a:1", severity=Severity.INFO), judged("b:1", severity=Severity.CRITICAL), judged("c:1")
    )
    assert [alarm.key for alarm in found] == ["b:1", "c:1", "a:1"]


def test_a_person_acknowledges_once(engine: Engine) -> None:
    record(engine, judged("a:1"), judged("b:1"))
    with engine.begin() as connection:
        ledger.acknowledge(connection, ["a:1"], person="jane", reason="I know.")
    seen, unseen = sorted(record(engine, judged("a:1"), judged("b:1")), key=lambda alarm: alarm.key)
    assert (seen.acknowledged_by, seen.acknowledge_reason, unseen.acknowledged_by) == ("jane", "I know.", None)
    for keys in (["a:1"], ["b:1", "misspelt"]):
        with pytest.raises(BadInputError, match="There is no open alarm"), engine.begin() as connection:
            ledger.acknowledge(connection, keys, person="joe", reason="")
    assert {alarm.acknowledged_by for alarm in record(engine, judged("a:1"), judged("b:1"))} == {"jane", None}


@pytest.mark.parametrize(
    "change",
    [
        "delete from alarm",
        "truncate alarm cascade",
        "update alarm set key = 'other'",
        "update alarm set raised_at = now()",
        "update alarm set cleared_at = null",
        "update alarm set sentence = 'It was nothing.'",
    ],
)
def test_nobody_changes_history(engine: Engine, change: str) -> None:
    record(engine, judged())
    record(engine, now=NOW + minutes(5))
    with pytest.raises(DBAPIError, match="never changed|never deleted"), engine.begin() as connection:
        connection.execute(text(change))


def test_odd_characters_in_a_sentence_do_not_stop_a_round(engine: Engine) -> None:
    (found,) = record(engine, judged(sentence="A file a\0b\udcff is missing."))
    assert found.sentence == "A file a\\x00b\\udcff is missing."
