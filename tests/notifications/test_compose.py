"""What a channel is told: an outage is one message, its end another; quiet hours hold back, and one summary follows."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from include.alarm_rules import Severity
from include.channels import Channel
from include.notifications.compose import Telling, Told, compose
from include.notifications.message import MOST_NAMED
from include.ops_db.states import NotificationKind
from tests.notifications.known import NOW, alarm, channel, minutes, notifications

NIGHT = {"hours": [{"from": "20:00", "until": "08:00"}], "time_zone": "Europe/Berlin"}
"""In summer time: 18:00 to 06:00 UTC."""
MIDNIGHT = datetime(2026, 4, 2, 0, 0, tzinfo=UTC)
MORNING = datetime(2026, 4, 2, 6, 0, 30, tzinfo=UTC)


def told(
    *known: Told, to: Channel | None = None, now: datetime = NOW, last: dict[str, datetime] | None = None
) -> list[Telling]:
    to = to or channel()
    return compose(to, known, last_told_at=last or {}, notifications=notifications(to), now=now)


def kinds(tellings: list[Telling]) -> list[NotificationKind]:
    return [telling.message.kind for telling in tellings]


def new(**changes: Any) -> Told:
    return Told(alarm=alarm(**changes))


def known(**changes: Any) -> Told:
    found = alarm(**changes)
    return Told(alarm=found, severity=found.severity)


def test_an_outage_with_200_alarms_is_one_message_and_its_end_another() -> None:
    alarms = [alarm() for _ in range(200)]
    (begin,) = told(*(Told(alarm=each) for each in alarms))
    assert begin.message.kind is NotificationKind.BEGIN
    assert begin.message.open_count == 200
    assert len(begin.begun) == 200
    assert len(begin.message.alarms) == MOST_NAMED
    assert "And 180 more alarms" in begin.message.text()
    over = [Told(alarm=replace(each, cleared_at=NOW), severity=each.severity) for each in alarms]
    (end,) = told(*over)
    assert end.message.kind is NotificationKind.END
    assert len(end.ended) == 200
    assert told(*(replace(each, end=True) for each in over)) == []


def test_alarms_are_gathered_for_a_while_before_they_are_told() -> None:
    to = channel(grouping_seconds=60)
    assert told(new(), to=to, now=NOW + minutes(0.9)) == []
    (begin,) = told(new(), new(raised_at=NOW + minutes(0.8)), to=to, now=NOW + minutes(1))
    assert len(begin.begun) == 2


def test_what_is_over_before_it_was_told_is_not_told() -> None:
    assert told(new(cleared_at=NOW)) == []


def test_two_outages_are_two_messages() -> None:
    assert [each.message.outage for each in told(new(), new(outage="us", site="us"))] == ["ccat", "us"]


def test_the_end_waits_for_the_last_alarm_of_the_outage() -> None:
    assert told(known(cleared_at=NOW), known()) == []
    assert kinds(told(known(cleared_at=NOW), known(cleared_at=NOW))) == [NotificationKind.END]


def test_what_joins_an_outage_is_told_an_hour_later() -> None:
    last = {"ccat": NOW}
    late = new(raised_at=NOW + minutes(5))
    assert told(known(), late, now=NOW + minutes(59), last=last) == []
    assert kinds(told(known(), late, now=NOW + minutes(60), last=last)) == [NotificationKind.MORE]


def test_an_outage_that_comes_and_goes_is_told_every_ten_minutes_at_most() -> None:
    back = new(raised_at=NOW + minutes(2))
    assert told(back, now=NOW + minutes(9), last={"ccat": NOW}) == []
    assert kinds(told(back, now=NOW + minutes(10), last={"ccat": NOW})) == [NotificationKind.BEGIN]


def test_what_is_more_urgent_than_the_outage_is_told_at_once() -> None:
    urgent = new(severity=Severity.CRITICAL, raised_at=NOW + minutes(5))
    (more,) = told(known(), urgent, now=NOW + minutes(5), last={"ccat": NOW})
    assert (more.message.kind, more.message.severity) == (NotificationKind.MORE, Severity.CRITICAL)
    assert more.begun == [urgent.alarm]


def test_an_alarm_that_becomes_more_urgent_is_told_again() -> None:
    worse = Told(alarm=alarm(severity=Severity.CRITICAL), severity=Severity.WARNING)
    assert kinds(told(worse, last={"ccat": NOW})) == [NotificationKind.MORE]
    assert told(replace(worse, severity=Severity.CRITICAL), last={"ccat": NOW}) == []


def test_a_channel_hears_of_its_severities_and_sites_and_of_what_has_no_site() -> None:
    to = channel(least_severity="warning", sites=["us"])
    heard = told(
        new(site="ccat"),
        new(site="us", severity=Severity.INFO, outage="us"),
        new(site="us", outage="us"),
        new(site=None, outage="channel mail"),
        to=to,
    )
    assert [each.message.outage for each in heard] == ["us", "channel mail"]


def test_what_a_person_has_seen_is_not_told_but_its_end_is() -> None:
    assert told(new(acknowledged_at=NOW, acknowledged_by="jane")) == []
    assert kinds(told(known(acknowledged_at=NOW, acknowledged_by="jane", cleared_at=NOW))) == [NotificationKind.END]


def test_quiet_hours_hold_back_and_then_one_summary_is_sent() -> None:
    to = channel(quiet=NIGHT)
    night = {"since": MIDNIGHT, "raised_at": MIDNIGHT}
    stays = new(**night)
    went = new(**night, outage="us", cleared_at=MIDNIGHT + minutes(9))
    ended = known(outage="cologne", cleared_at=MIDNIGHT)
    assert told(stays, went, ended, to=to, now=MIDNIGHT + minutes(10)) == []
    (summary,) = told(stays, went, ended, to=to, now=MORNING)
    assert summary.message.kind is NotificationKind.SUMMARY
    assert (summary.message.open_count, summary.message.cleared_count) == (1, 2)
    assert summary.message.title == "After quiet hours: 1 open alarm, 2 over"
    assert {each.id for each in summary.begun} == {stays.alarm.id, went.alarm.id}
    assert {each.id for each in summary.ended} == {went.alarm.id, ended.alarm.id}


def test_what_is_urgent_breaks_quiet_hours_and_its_end_does_too() -> None:
    to = channel(quiet=NIGHT)
    night = {"raised_at": MIDNIGHT, "severity": Severity.CRITICAL}
    (begin,) = told(new(**night), new(raised_at=MIDNIGHT), to=to, now=MIDNIGHT)
    assert [each.severity for each in begin.begun] == [Severity.CRITICAL]
    assert kinds(told(known(**night, cleared_at=MIDNIGHT), to=to, now=MIDNIGHT)) == [NotificationKind.END]


def test_quiet_hours_without_anything_end_without_a_summary() -> None:
    assert told(known(), to=channel(quiet=NIGHT), now=MORNING) == []


def test_what_was_gathered_when_quiet_hours_began_is_told_after_them() -> None:
    evening = datetime(2026, 4, 1, 17, 59, 30, tzinfo=UTC)
    to = channel(quiet=NIGHT, grouping_seconds=60)
    late = new(raised_at=evening)
    assert told(late, to=to, now=MIDNIGHT) == []
    assert kinds(told(late, to=to, now=MORNING)) == [NotificationKind.BEGIN]


def test_a_message_links_to_the_page_and_to_the_runbook() -> None:
    to = channel()
    where = notifications(to, page_url="https://airflow.example.org/dts", runbook_url="https://example.org/runbook")
    (begin,) = compose(to, [new()], last_told_at={}, notifications=where, now=NOW)
    text = begin.message.text()
    assert "what to do: https://example.org/runbook#backlog" in text
    assert text.endswith("Data transfer: https://airflow.example.org/dts")
