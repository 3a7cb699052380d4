"""Rounds of watching on a real ops-db, with real receivers: each message once, whatever fails, whoever looks too."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from include.alarm_rules import AlarmRules
from include.channels import MailChannel
from include.errors import TransientError
from include.lanes import lanes_of_host
from include.notifications import outbox
from include.notifications.access import Access
from include.notifications.deliver import deliver
from include.notifications.watch import Watched, last_judged_at, watch
from include.ops_db.states import FilingState
from include.ops_db.tables import Filing
from include.topology import Topology
from tests.notifications.known import channel, notifications
from tests.notifications.receivers import Web, mailbox, web
from tests.observatory import Observatory


@dataclass
class Watching:
    """An observatory that is watched by a webhook, and ways to move its clock."""

    observatory: Observatory
    hook: Web
    topology: Topology
    ports: dict[str, int]

    @property
    def engine(self) -> Engine:
        return self.observatory.engine

    def told_by(self, *channels: Any) -> None:
        self.topology = self.topology.model_copy(update={"notifications": notifications(*channels)})

    def access_to(self, connection_id: str) -> Access:
        if connection_id not in {"hook", *self.ports}:
            raise TransientError(f"There is no Airflow connection {connection_id}: add it.")
        return Access(
            connection=connection_id, password=self.hook.url, host="127.0.0.1", port=self.ports.get(connection_id)
        )

    def round(self) -> Watched:
        answers = {
            host.name: frozenset(lane.name for lane in lanes_of_host(self.topology, host.name))
            for host in self.topology.hosts
        }
        return watch(
            self.engine, topology=self.topology, listening=lambda: answers, access_to=self.access_to, host="cologne"
        )

    def later(self, **how: float) -> None:
        """Everything that is on record was so much earlier."""
        seconds = timedelta(**how).total_seconds()
        with self.engine.begin() as connection:
            connection.execute(text("set local session_replication_role = replica"))
            for table, columns in {
                "alarm": ("since", "raised_at", "last_seen_at", "cleared_at"),
                "notification": ("created_at", "not_before", "sent_at", "given_up_at"),
            }.items():
                words = ", ".join(f"{column} = {column} - make_interval(secs => :seconds)" for column in columns)
                connection.execute(text(f"update {table} set {words}"), {"seconds": seconds})

    def refuse(self, number: int = 1, *, account: str = "chai") -> list[int]:
        """Refuse filings; return their ids."""
        with Session(self.engine) as session, session.begin():
            filings = [
                Filing(
                    dag_run_id=str(uuid4()),
                    received_from=account,
                    state=FilingState.REFUSED,
                    verdict="Refused: it is so.",
                )
                for _ in range(number)
            ]
            session.add_all(filings)
            session.flush()
            return [filing.id for filing in filings]

    def correct(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("update filing set state = 'accepted'"))

    def titles(self) -> list[str]:
        return [body["title"] for body in self.hook.bodies]

    def rows(self) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text("select * from notification order by id")))


@pytest.fixture
def hook() -> Iterator[Web]:
    with web() as got:
        yield got


@pytest.fixture
def watching(observatory: Observatory, hook: Web) -> Watching:
    found = Watching(observatory, hook, observatory.topology, {})
    found.told_by(channel())
    return found


def test_a_quiet_observatory_tells_nothing_and_says_that_it_was_watched(watching: Watching) -> None:
    assert watching.round().sentence() == "0 alarms hold; 0 new messages, 0 sent."
    assert watching.titles() == []
    with watching.engine.connect() as connection:
        assert last_judged_at(connection) is not None


def test_200_alarms_of_an_outage_are_one_message_and_their_end_another(watching: Watching) -> None:
    watching.refuse(200)
    for _ in range(3):
        watching.round()
    assert watching.titles() == ["WARNING: filings of chai: 200 alarms"]
    watching.correct()
    watching.round()
    watching.later(minutes=2)
    for _ in range(3):
        watching.round()
    assert watching.titles()[1:] == ["OVER: filings of chai: 200 alarms cleared"]


def test_two_monitors_at_once_send_each_message_once(watching: Watching) -> None:
    accounts = [f"account{number}" for number in range(12)]
    for account in accounts:
        watching.refuse(account=account)
    together = Barrier(4)

    def one_of_them() -> None:
        together.wait()
        watching.round()

    threads = [Thread(target=one_of_them) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    watching.round()
    assert sorted(watching.titles()) == sorted(f"WARNING: filings of {each}: 1 alarm" for each in accounts)


def test_while_one_monitor_judges_another_only_sends(watching: Watching) -> None:
    watching.round()
    watching.refuse()
    with watching.engine.begin() as connection:
        connection.execute(text("select from alarm_watch for update"))
        assert watching.round().sentence() == "Another round is judging; 0 new messages, 0 sent."
    assert watching.round().delivered.sent == 1


def test_a_channel_that_fails_is_tried_again_and_holds_nobody_up(watching: Watching) -> None:
    watching.told_by(channel(name="bad", connection="nowhere"), channel())
    watching.refuse()
    done = watching.round()
    assert done.delivered.sent == 1
    assert done.delivered.failed == {"bad": "There is no Airflow connection nowhere: add it."}
    assert "bad: There is no Airflow connection nowhere: add it." in done.sentence()
    watching.round()
    row = next(row for row in watching.rows() if row.channel == "bad")
    assert (row.attempts, row.last_error, row.sent_at) == (1, "There is no Airflow connection nowhere: add it.", None)
    watching.told_by(channel(name="bad"), channel())
    watching.later(minutes=2)
    watching.round()
    assert len(watching.titles()) == 2


def test_pauses_double_and_after_three_days_it_is_given_up(watching: Watching) -> None:
    watching.hook.answers = [503]
    watching.refuse()
    watching.round()
    for attempt, minutes in ((2, 1), (3, 2), (4, 4)):
        watching.later(minutes=minutes - 0.1)
        assert watching.round().delivered.failed == {}
        watching.later(minutes=0.2)
        watching.round()
        assert watching.rows()[0].attempts == attempt
    assert len(watching.hook.requests) == 4
    watching.later(days=3)
    watching.round()
    row = watching.rows()[0]
    assert row.given_up_at is not None
    assert row.last_error == "The webhook answered 503: no_service. Given up."


def test_a_message_that_will_never_be_taken_is_in_nobodys_way(watching: Watching) -> None:
    watching.hook.answers = [400, 200]
    watching.refuse()
    watching.round()
    assert watching.rows()[0].given_up_at is not None
    watching.refuse(account="primecam")
    watching.round()
    assert "WARNING: filings of primecam: 1 alarm" in watching.titles()


def test_a_failing_channel_is_told_of_on_the_others(watching: Watching) -> None:
    watching.told_by(channel(name="bad", connection="nowhere"), channel())
    watching.refuse()
    for minutes in (0, 2, 3):
        watching.later(minutes=minutes)
        watching.round()
    watching.round()
    assert watching.titles()[-1] == "WARNING: channel bad: 1 alarm"


def test_an_end_waits_for_its_beginning(watching: Watching) -> None:
    watching.hook.answers = [503, 200]
    watching.refuse()
    watching.round()
    watching.correct()
    watching.later(minutes=0.5)
    watching.round()
    watching.later(minutes=2)
    watching.round()
    assert watching.titles() == [
        "WARNING: filings of chai: 1 alarm",
        "WARNING: filings of chai: 1 alarm",
        "OVER: filings of chai: 1 alarm cleared",
    ]


def test_a_monitor_that_dies_between_sending_and_writing_it_down_sends_it_again(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least once: the same message with the same key, two minutes later, and not before."""

    class PowerCutError(BaseException):
        pass

    def dies(*_: object) -> None:
        raise PowerCutError

    watching.refuse()
    with monkeypatch.context() as patch:
        patch.setattr("include.notifications.deliver.sent", dies)
        with pytest.raises(PowerCutError):
            watching.round()
    watching.round()
    assert len(watching.hook.requests) == 1
    watching.later(minutes=2.1)
    watching.round()
    first, again = watching.hook.requests
    assert first[0]["idempotency-key"] == again[0]["idempotency-key"]
    assert first[1] == again[1]
    watching.later(minutes=10)
    watching.round()
    assert len(watching.hook.requests) == 2


def test_a_slow_monitor_does_not_write_over_what_another_has_sent(watching: Watching) -> None:
    watching.refuse()
    watching.hook.answers = [503, 200]
    watching.round()
    watching.later(minutes=2)
    with watching.engine.begin() as connection:
        slow = outbox.take(connection, channels=["hook"])
    assert slow is not None
    watching.later(minutes=3)
    watching.round()
    with watching.engine.begin() as connection:
        outbox.failed(connection, slow, TransientError("It was slow."), final=True)
    row = watching.rows()[0]
    assert (row.sent_at is not None, row.given_up_at, row.last_error) == (True, None, None)


def test_a_round_ends_in_time_and_the_next_one_goes_on(watching: Watching) -> None:
    for number in range(3):
        watching.refuse(account=f"account{number}")
    watching.hook.answers = [503]
    watching.round()
    watching.hook.answers = [200]
    watching.later(minutes=2)
    done = deliver(watching.engine, watching.topology.notifications, access_to=watching.access_to, budget_seconds=0)
    assert (done.sent, done.failed) == (0, {})
    assert watching.round().delivered.sent == 3


def test_the_outbox_of_a_dead_channel_is_bounded(watching: Watching) -> None:
    watching.told_by(channel(connection="nowhere"))
    for number in range(outbox.WAITING_MOST + 5):
        watching.refuse(account=f"account{number}")
    watching.round()
    waiting = [row for row in watching.rows() if row.given_up_at is None]
    assert len(waiting) == outbox.WAITING_MOST
    assert waiting[-1].id == watching.rows()[-1].id


def test_what_waits_for_a_channel_that_is_no_more_is_given_up_and_old_messages_are_forgotten(
    watching: Watching,
) -> None:
    watching.told_by(channel(connection="nowhere"))
    watching.refuse()
    watching.round()
    watching.told_by()
    watching.round()
    assert watching.rows()[0].given_up_at is not None
    watching.later(days=outbox.KEPT_DAYS + 1)
    watching.round()
    assert watching.rows() == []
    watching.told_by(channel())  # it had been told of what is still open
    watching.round()
    assert watching.titles() == []


def test_a_mailbox_and_a_webhook_are_told_the_same(watching: Watching) -> None:
    mail = MailChannel(
        name="mail", type="mail", connection="mail", sender="a@b.c", to=("d@e.f",), starttls=False, grouping_seconds=0
    )
    with mailbox() as got:
        watching.ports["mail"] = got.port
        watching.told_by(mail, channel())
        watching.refuse()
        assert watching.round().delivered.sent == 2
    assert got.mails[0]["Subject"] == f"[data transfer] {watching.titles()[0]}"


def test_a_rule_that_is_switched_off_clears_what_it_raised(watching: Watching) -> None:
    watching.refuse()
    watching.round()
    off = AlarmRules.model_validate({"filing_refused": {"enabled": False}})
    watching.topology = watching.topology.model_copy(update={"alarms": off})
    watching.later(minutes=2)
    assert watching.round().alarms == 0
    assert watching.titles()[-1] == "OVER: filings of chai: 1 alarm cleared"


def test_a_new_channel_hears_of_what_is_open(watching: Watching) -> None:
    watching.refuse()
    watching.round()
    watching.told_by(channel(), channel(name="second"))
    watching.round()
    assert [body["channel"] for body in watching.hook.bodies] == ["hook", "second"]


def test_quiet_hours_hold_back_until_they_end(watching: Watching) -> None:
    always = {"hours": [{"from": "00:00", "until": "24:00"}]}
    watching.told_by(channel(quiet=always))
    watching.refuse()
    watching.round()
    assert watching.titles() == []
    with watching.engine.connect() as connection:
        yesterday = connection.execute(text("select now() - interval '1 day'")).scalar_one()
    watching.told_by(channel(quiet={"hours": [{"days": [f"{yesterday:%a}".lower()]}]}))
    watching.later(days=1)
    watching.round()
    watching.round()
    assert watching.titles() == ["After quiet hours: 1 open alarm, 0 over"]
