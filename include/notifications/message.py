"""A message about alarms, as a value and as text. It is stored as JSON, so that every attempt sends the same."""

import hashlib
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from include.alarm_rules import Severity
from include.channels import Notifications
from include.notifications.alarm import Alarm
from include.operations.decide import clock
from include.ops_db.states import NotificationKind
from include.plurals import counted

MOST_NAMED = 20
"""So many alarms stand in a message; the rest is counted."""


class Line(BaseModel):
    """An alarm in a message."""

    model_config = ConfigDict(frozen=True)

    key: str
    rule: str
    severity: Severity
    site: str | None
    location: str | None
    sentence: str
    since: datetime
    cleared_at: datetime | None
    runbook: str
    """Where to read what to do."""


class Message(BaseModel):
    """What one channel is told at once."""

    model_config = ConfigDict(frozen=True)

    key: str
    channel: str
    kind: NotificationKind
    outage: str
    severity: Severity
    title: str
    open_count: int
    cleared_count: int
    alarms: tuple[Line, ...]
    """The most urgent, at most twenty."""
    page_url: str | None

    def text(self) -> str:
        """Return it as plain text, without its title."""
        lines = [_as_text(line) for line in self.alarms]
        more = self.open_count + self.cleared_count - len(self.alarms)
        if more > 0:
            lines.append(f"And {counted(more, 'more alarm')}: `dts alarms` lists them.")
        if self.page_url:
            lines.append(f"Data transfer: {self.page_url}")
        return "\n\n".join(lines)


def message(
    kind: NotificationKind, alarms: list[Alarm], *, channel: str, outage: str, notifications: Notifications
) -> Message:
    """Return the message that tells a channel of these alarms."""
    ordered = sorted(alarms, key=lambda alarm: (not alarm.is_open, -alarm.severity.rank, alarm.raised_at, alarm.id))
    severity = max((alarm.severity for alarm in alarms), key=lambda each: each.rank)
    open_count = sum(alarm.is_open for alarm in alarms)
    return Message(
        key=_key(kind, ordered, channel=channel),
        channel=channel,
        kind=kind,
        outage=outage,
        severity=severity,
        title=_title(kind, ordered, outage=outage, severity=severity, open_count=open_count),
        open_count=open_count,
        cleared_count=len(alarms) - open_count,
        alarms=tuple(_line(alarm, notifications=notifications) for alarm in ordered[:MOST_NAMED]),
        page_url=notifications.page_url,
    )


def runbook_of(rule: str, *, notifications: Notifications) -> str:
    """Return where the section about a rule is."""
    return f"{notifications.runbook_url or 'docs/runbook.md'}#{rule}"


def _key(kind: NotificationKind, alarms: list[Alarm], *, channel: str) -> str:
    """The same alarms in the same state make the same message, whoever makes it."""
    told = " ".join(sorted(f"{alarm.id}:{alarm.severity}:{alarm.is_open}" for alarm in alarms))
    return hashlib.sha256(f"{channel} {kind} {told}".encode()).hexdigest()[:32]


def _title(kind: NotificationKind, alarms: list[Alarm], *, outage: str, severity: Severity, open_count: int) -> str:
    count = counted(len(alarms), "alarm")
    match kind:
        case NotificationKind.BEGIN:
            return f"{severity.upper()}: {outage}: {count}"
        case NotificationKind.MORE:
            return f"{severity.upper()}: {outage}: {counted(len(alarms), 'further alarm')}"
        case NotificationKind.END:
            return f"OVER: {outage}: {count} cleared"
        case NotificationKind.SUMMARY:
            return f"After quiet hours: {counted(open_count, 'open alarm')}, {len(alarms) - open_count} over"


def _line(alarm: Alarm, *, notifications: Notifications) -> Line:
    runbook = runbook_of(alarm.rule, notifications=notifications)
    values = {name: getattr(alarm, name) for name in Line.model_fields if name != "runbook"}
    return Line(**values, runbook=runbook)


def _as_text(line: Line) -> str:
    when = f"since {clock(line.since)}"
    if line.cleared_at:
        when = f"{clock(line.since)} until {clock(line.cleared_at)}"
    return f"[{line.severity}] {line.sentence}\n({when}; {line.key}; what to do: {line.runbook})"
