"""One round of watching: judge, write down, put news into the outbox, send. Two at once do no harm."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from include.notifications import ledger, outbox
from include.notifications.deliver import AccessTo, Delivered, deliver
from include.notifications.judge import judge
from include.notifications.observe import observe
from include.notifications.observed import Listening
from include.notifications.refused import forget_paths
from include.plurals import counted
from include.topology import Topology

FIRST = text("insert into alarm_watch (id) values (1) on conflict do nothing")
# Whoever has the row judges; the other has nothing to add.
MINE = text("select id from alarm_watch where id = 1 for update skip locked")
JUDGED = text("update alarm_watch set judged_at = :now, took_seconds = :seconds, host = :host where id = 1")
LAST = text("select judged_at from alarm_watch where id = 1")


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What a round found and did."""

    alarms: int | None
    """None: another round was at it."""
    messages: int
    delivered: Delivered

    def sentence(self) -> str:
        """Say it."""
        found = "Another round is judging"
        if self.alarms is not None:
            found = f"{counted(self.alarms, 'alarm')} hold{'s' * (self.alarms == 1)}"
        said = f"{found}; {counted(self.messages, 'new message')}, {self.delivered.sent} sent."
        return " ".join([said, *(f"{name}: {why}" for name, why in self.delivered.failed.items())])


def watch(
    engine: Engine,
    *,
    topology: Topology,
    listening: Callable[[], Listening | None],
    access_to: AccessTo,
    host: str,
    reaches: Callable[[str], bool] | None = None,
) -> Watched:
    """Do one round. `reaches` tells whether any server of a site answers; it is asked where a worker does not."""
    heard = listening()  # before a transaction is open: a dead worker costs seconds
    silent = {host.site for host in topology.hosts if heard is not None and host.name not in heard}
    reached = {site: reaches(site) for site in sorted(silent)} if reaches else {}
    began = time.monotonic()
    alarms, messages = None, 0
    with engine.begin() as connection:
        connection.execute(FIRST)
        if connection.execute(MINE).first() is not None:
            seen = observe(connection, topology=topology, listening=heard, reached=reached)
            judged = judge(seen, topology=topology)
            alarms = len(judged)
            ledger.record(connection, judged, now=seen.now)
            messages = outbox.put_news(connection, topology.notifications, now=seen.now)
            channels = [channel.name for channel in topology.notifications.channels]
            forget_paths(connection, days=topology.alarms.filing_refused.days)
            outbox.tidy(connection, channels=channels, now=seen.now)
            values = {"now": seen.now, "seconds": time.monotonic() - began, "host": host}
            connection.execute(JUDGED, values)
    return Watched(
        alarms=alarms, messages=messages, delivered=deliver(engine, topology.notifications, access_to=access_to)
    )


def last_judged_at(connection: Connection) -> datetime | None:
    """Return when alarms were last judged; None: never."""
    judged_at: datetime | None = connection.execute(LAST).scalar()
    return judged_at
