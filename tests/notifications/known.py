"""Alarms and channels for tests, without a database."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from include.alarm_rules import Severity
from include.channels import Notifications, WebhookChannel
from include.notifications.alarm import Alarm, Judged

NOW = datetime(2026, 4, 1, 12, 0, tzinfo=UTC)
_numbers = count(1)


def channel(**changes: Any) -> WebhookChannel:
    """A channel that tells of everything at once, unless a test says otherwise."""
    values: dict[str, Any] = {
        "name": "hook",
        "type": "webhook",
        "connection": "hook",
        "grouping_seconds": 0,
        "least_severity": "info",
    }
    return WebhookChannel.model_validate(values | changes)


def notifications(*channels: Any, **more: Any) -> Notifications:
    return Notifications(channels=channels, **more)


def alarm(key: str = "", **changes: Any) -> Alarm:
    """An alarm at ccat that is open since noon."""
    number = next(_numbers)
    values: dict[str, Any] = {
        "id": number,
        "key": key or f"backlog:{number}",
        "rule": "backlog",
        "severity": Severity.WARNING,
        "site": "ccat",
        "location": None,
        "outage": "ccat",
        "sentence": f"It is so, number {number}.",
        "since": NOW,
        "raised_at": NOW,
    }
    return Alarm(**(values | changes))


def judged(key: str = "backlog:ccat_source", **changes: Any) -> Judged:
    values: dict[str, Any] = {
        "key": key,
        "rule": key.partition(":")[0],
        "severity": Severity.WARNING,
        "sentence": f"{key} is so.",
        "outage": "ccat",
        "site": "ccat",
    }
    return Judged(**(values | changes))


def minutes(count_: float) -> timedelta:
    return timedelta(minutes=count_)
