"""The outbox: messages wait in ops-db until their channel has taken them; each is delivered at least once.

Whoever sends a message first takes it for two minutes, in one statement, and sends it with no transaction open. If he
dies between sending and writing that down, it is sent again after that, with the same key: a webhook and a mailbox can
know it by that, Slack cannot.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from include.alarm_rules import Severity
from include.channels import Channel, Notifications
from include.notifications.alarm import alarm_of
from include.notifications.compose import Telling, Told, compose
from include.notifications.message import Message
from include.operations.decide import sentence

TAKEN_SECONDS = 120
FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3600.0
GIVEN_UP_SECONDS = 3 * 86_400
"""What a channel has not taken for three days, a weekend and more, is no news."""
WAITING_MOST = 100
"""So many messages wait for a channel; of more the oldest are given up."""
KEPT_DAYS = 90
REMEMBERED_DAYS = 7
"""What was cleared longer ago than this is told to nobody."""

KNOWN = text(
    """
    select a.id, a.key, a.rule, a.severity, a.site, a.location, a.outage, a.sentence, a.since, a.raised_at,
      a.cleared_at, a.acknowledged_at, a.acknowledged_by, a.acknowledge_reason,
      begun.severity as told_severity, ended.alarm_id is not null as told_end
    from alarm a
    left join notification_alarm begun on begun.alarm_id = a.id and begun.channel = :channel and not begun.is_end
    left join notification_alarm ended on ended.alarm_id = a.id and ended.channel = :channel and ended.is_end
    where a.raised_at is not null
      and (a.cleared_at is null or (a.cleared_at > :now - make_interval(days => :days) and ended.alarm_id is null))
    order by a.id
    """
)

LAST_TOLD = text(
    """
    select outage, max(created_at) as told_at from notification
    where channel = :channel and created_at > :now - make_interval(days => :days) group by outage
    """
)

PUT = text(
    """
    insert into notification (key, channel, outage, kind, severity, message, created_at, not_before)
    values (:key, :channel, :outage, :kind, :severity, cast(:message as jsonb), :now, :now)
    on conflict (key) do nothing returning id
    """
)

PUT_ALARMS = text(
    """
    insert into notification_alarm as told (alarm_id, channel, is_end, severity, notification_id)
    select id, :channel, :is_end, severity, :notification
    from unnest(cast(:ids as bigint[]), cast(:severities as text[])) as alarm(id, severity)
    on conflict (alarm_id, channel, is_end) do update
      set severity = excluded.severity, notification_id = excluded.notification_id
    """
)

GIVE_UP = text(
    """
    update notification set given_up_at = :now, last_error = coalesce(last_error || ' ', '') || 'Given up.'
    where sent_at is null and given_up_at is null and (
      created_at < :now - make_interval(secs => :seconds) or not channel = any(:channels)
      or id in (select id from (select id, row_number() over (partition by channel order by id desc) as place
        from notification where sent_at is null and given_up_at is null) waiting where place > :most))
    """
)

FORGET = text(
    """
    delete from notification where coalesce(sent_at, given_up_at) < :now - make_interval(days => :days)
    """
)

# In order, channel by channel: an end must not arrive before its beginning.
TAKE = text(
    """
    update notification set attempts = attempts + 1, not_before = now() + make_interval(secs => :seconds)
    where id = (
      select id from notification n
      where sent_at is null and given_up_at is null and not_before <= now() and channel = any(:channels)
        and not exists (select from notification earlier where earlier.channel = n.channel and earlier.id < n.id
          and earlier.sent_at is null and earlier.given_up_at is null)
      order by attempts, id limit 1 for update skip locked)
    returning id, channel, message, attempts
    """
)

SENT = text(
    """
    update notification set sent_at = now(), last_error = null
    where id = :id and attempts = :attempts and sent_at is null
    """
)

FAILED = text(
    """
    update notification set last_error = :error, not_before = now() + make_interval(secs => :pause),
      given_up_at = case when :final then now() end
    where id = :id and attempts = :attempts and sent_at is null
    """
)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A message that is ours to send for two minutes."""

    id: int
    attempts: int
    message: Message


def put_news(connection: Connection, notifications: Notifications, *, now: datetime) -> int:
    """Put what each channel is to be told now into the outbox; return how many messages that are."""
    tellings = [
        telling
        for channel in notifications.channels
        for telling in _news_for(connection, channel, notifications=notifications, now=now)
    ]
    for telling in tellings:
        _put(connection, telling, now=now)
    return len(tellings)


def _news_for(
    connection: Connection, channel: Channel, *, notifications: Notifications, now: datetime
) -> Sequence[Telling]:
    values = {"channel": channel.name, "now": now, "days": REMEMBERED_DAYS}
    known = [_told(dict(row)) for row in connection.execute(KNOWN, values).mappings()]
    last = {row.outage: row.told_at for row in connection.execute(LAST_TOLD, values)}
    return compose(channel, known, last_told_at=last, notifications=notifications, now=now)


def _told(row: dict[str, Any]) -> Told:
    severity, end = row.pop("told_severity"), row.pop("told_end")
    return Told(severity=None if severity is None else Severity(severity), end=end, alarm=alarm_of(row))


def _put(connection: Connection, telling: Telling, *, now: datetime) -> None:
    message = telling.message
    values = {name: getattr(message, name) for name in ("key", "channel", "outage", "kind", "severity")}
    stored = {"message": message.model_dump_json(), "now": now}
    number = connection.execute(PUT, values | stored).scalar()
    for is_end, alarms in ((False, telling.begun), (True, telling.ended)):
        if alarms:
            connection.execute(
                PUT_ALARMS,
                {
                    "channel": message.channel,
                    "is_end": is_end,
                    "notification": number,
                    "ids": [alarm.id for alarm in alarms],
                    "severities": [alarm.severity.value for alarm in alarms],
                },
            )


def tidy(connection: Connection, *, channels: Collection[str], now: datetime) -> None:
    """Give up what is too old, too much, or for a channel that is no more; forget what was settled long ago."""
    values = {"now": now, "seconds": GIVEN_UP_SECONDS, "channels": list(channels), "most": WAITING_MOST}
    connection.execute(GIVE_UP, values)
    connection.execute(FORGET, {"now": now, "days": KEPT_DAYS})


def take(connection: Connection, *, channels: Collection[str]) -> Taken | None:
    """Take the next message for one of these channels that is due; None: there is none. Commit before sending."""
    row = connection.execute(TAKE, {"seconds": TAKEN_SECONDS, "channels": list(channels)}).first()
    if row is None:
        return None
    return Taken(id=row.id, attempts=row.attempts, message=Message.model_validate(row.message))


def sent(connection: Connection, taken: Taken) -> None:
    """Write that a channel has taken a message."""
    connection.execute(SENT, {"id": taken.id, "attempts": taken.attempts})


def failed(connection: Connection, taken: Taken, error: Exception, *, final: bool) -> None:
    """Write why a channel has not; it is tried again after a pause that doubles, unless that is `final`."""
    pause = min(FIRST_PAUSE_SECONDS * 2 ** min(taken.attempts - 1, 20), LONGEST_PAUSE_SECONDS)
    values = {"id": taken.id, "attempts": taken.attempts, "error": sentence(error), "pause": pause, "final": final}
    connection.execute(FAILED, values)
