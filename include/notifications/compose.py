"""What a channel is to be told now. Pure.

All alarms of one outage are one message. What joins it later is told with the next message of that outage: after
`again_after_seconds`, or at once where it is more urgent than what was told. The end is told when all of it is over.
In quiet hours nothing is told but what breaks them; afterwards one summary says what there was, and is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from include.alarm_rules import Severity
from include.channels import Channel, Notifications
from include.notifications.alarm import Alarm
from include.notifications.message import Message, message
from include.ops_db.states import NotificationKind

QUIET = "quiet hours"
RELAPSE_SECONDS = 600
"""An outage that comes back sooner after its last message is told after so long, if it is still there."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """An alarm, and what a channel knows of it."""

    alarm: Alarm
    severity: Severity | None = None
    """As the channel was told; None: it was not."""
    end: bool = False
    """It was told that it is over."""

    @property
    def is_news(self) -> bool:
        """Tell whether the channel should be told that it is so."""
        if not self.alarm.is_open or self.alarm.acknowledged_at is not None:
            return False
        return self.severity is None or self.alarm.severity.rank > self.severity.rank

    @property
    def is_live(self) -> bool:
        """Tell whether the channel was told of it, and not of its end."""
        return self.severity is not None and not self.end


@dataclass(frozen=True, kw_only=True)
class Telling:
    """A message, and the alarms about which it tells the channel."""

    message: Message
    begun: Sequence[Alarm] = ()
    ended: Sequence[Alarm] = ()


def compose(
    channel: Channel,
    known: Sequence[Told],
    *,
    last_told_at: Mapping[str, datetime],
    notifications: Notifications,
    now: datetime,
) -> list[Telling]:
    """Return what to tell a channel now. `last_told_at`: when it was last told of each outage."""
    mine = [told for told in known if _concerns(channel, told)]
    is_quiet = channel.quiet is not None and channel.quiet.ends_at(now) is not None
    found: list[Telling] = []
    if not is_quiet and channel.quiet is not None:
        found += _summary(channel, mine, notifications=notifications)
        summarised = {alarm.id for telling in found for alarm in (*telling.begun, *telling.ended)}
        mine = [told for told in mine if told.alarm.id not in summarised]
    for outage in dict.fromkeys(told.alarm.outage for told in mine):
        group = [told for told in mine if told.alarm.outage == outage]
        telling = _of_outage(
            channel, group, is_quiet=is_quiet, last_at=last_told_at.get(outage), notifications=notifications, now=now
        )
        found += [telling] if telling else []
    return found


def _concerns(channel: Channel, told: Told) -> bool:
    alarm = told.alarm
    if told.severity is not None:  # who heard of it hears of its end
        return not told.end
    here = not channel.sites or alarm.site is None or alarm.site in channel.sites
    return here and alarm.severity.rank >= channel.least_severity.rank


def _of_outage(
    channel: Channel,
    group: Sequence[Told],
    *,
    is_quiet: bool,
    last_at: datetime | None,
    notifications: Notifications,
    now: datetime,
) -> Telling | None:
    live = [told for told in group if told.is_live]
    news = [told.alarm for told in group if told.is_news and not (is_quiet and not _breaks(channel, told.alarm))]
    outage = group[0].alarm.outage
    if news and now >= _due_at(channel, news, live=live, last_at=last_at):
        kind = NotificationKind.MORE if live else NotificationKind.BEGIN
        made = message(kind, news, channel=channel.name, outage=outage, notifications=notifications)
        return Telling(message=made, begun=news)
    if not _is_over(group):
        return None
    over = [told.alarm for told in live]
    if is_quiet and not any(_breaks(channel, alarm) for alarm in over):
        return None
    made = message(NotificationKind.END, over, channel=channel.name, outage=outage, notifications=notifications)
    return Telling(message=made, ended=over)


def _due_at(channel: Channel, news: Sequence[Alarm], *, live: Sequence[Told], last_at: datetime | None) -> datetime:
    gathered_at = min(alarm.raised_at for alarm in news) + timedelta(seconds=channel.grouping_seconds)
    if last_at is None:
        return gathered_at
    if not live:
        return max(gathered_at, last_at + timedelta(seconds=RELAPSE_SECONDS))
    told = max(told.severity.rank for told in live if told.severity is not None)
    if max(alarm.severity.rank for alarm in news) > told:
        return gathered_at
    return max(gathered_at, last_at + timedelta(seconds=channel.again_after_seconds))


def _is_over(group: Sequence[Told]) -> bool:
    return any(told.is_live for told in group) and not any(told.alarm.is_open for told in group)


def _breaks(channel: Channel, alarm: Alarm) -> bool:
    return channel.quiet is None or alarm.severity.rank >= channel.quiet.broken_by.rank


def _summary(channel: Channel, mine: Sequence[Told], *, notifications: Notifications) -> Iterator[Telling]:
    """Say in one message what quiet hours held back, if they did."""
    quiet = channel.quiet
    if quiet is None:
        return
    held = [
        told.alarm
        for told in mine
        if told.severity is None and told.alarm.acknowledged_at is None and quiet.ends_at(told.alarm.raised_at)
    ]
    outages = dict.fromkeys(told.alarm.outage for told in mine if told.is_live)
    groups = [[told for told in mine if told.alarm.outage == outage] for outage in outages]
    over = [
        told.alarm
        for group in groups
        if _is_over(group) and any(told.alarm.cleared_at and quiet.ends_at(told.alarm.cleared_at) for told in group)
        for told in group
        if told.is_live
    ]
    if held or over:
        told_of = [*held, *over]
        made = message(
            NotificationKind.SUMMARY, told_of, channel=channel.name, outage=QUIET, notifications=notifications
        )
        # What came and went is told of once, as both.
        yield Telling(message=made, begun=held, ended=[alarm for alarm in told_of if not alarm.is_open])
