"""An alarm as a value: what a person should know, and which words tie it to others."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.alarm_rules import Severity


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Something that is so now, by a rule. The same `key` a minute later is the same alarm."""

    key: str
    rule: str
    severity: Severity
    sentence: str
    outage: str
    """What it is a part of, such as `ccat` or `ccat to cologne`: all of one outage is told in one message."""
    site: str | None = None
    location: str | None = None
    lasting_seconds: float = 0
    """It must have been so for so long before anybody is told."""


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """An alarm that was raised, as ops-db has it."""

    id: int
    key: str
    rule: str
    severity: Severity
    site: str | None
    location: str | None
    outage: str
    sentence: str
    since: datetime
    raised_at: datetime
    cleared_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    acknowledge_reason: str | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether it is still so."""
        return self.cleared_at is None


def alarm_of(row: Mapping[str, Any]) -> Alarm:
    """Return a row of ops-db, with the columns of `Alarm`, as one."""
    return Alarm(**{**row, "severity": Severity(row["severity"])})


def link(origin: str, destination: str) -> str:
    """Return what an outage of the way between two sites is called."""
    return f"{origin} to {destination}"
