"""How much of a link a route may use, by the hour of the week. Pure: no clock is read here.

An entry holds from a time of some days until another; one that ends when or before it begins ends on the next day
(`from: "20:00"`, `until: "06:00"`). The first entry that matches counts, and without any the link is the limit. Times
are those of the route's time zone, by which an entry is a little longer or shorter in the night the clocks change.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

BYTES_PER_MEGABIT = 125_000
ALL_DAY = timedelta(days=1)


class Day(StrEnum):
    """A day of the week, in the order of `date.weekday`."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


DAYS = tuple(Day)
Clock = Annotated[str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
"""A time of the day, `HH:MM`; 24:00 is its end."""


class WeeklyHours(BaseModel):
    """Some hours of some days."""

    # The names of the file (`from` is a word of Python's own) are those of the stored document, too.
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    days: tuple[Day, ...] = Field(default=DAYS, min_length=1)
    """Days on which it begins: mon, tue, wed, thu, fri, sat, sun (default all)."""
    begins: Clock = Field(default="00:00", alias="from")
    """`from`, HH:MM (default 00:00)."""
    until: Clock = "24:00"
    """HH:MM (default 24:00); not after `from`: on the next day."""

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.begins == self.until:
            raise ValueError(f"it ends when it begins, at {self.until}; a whole day is from 00:00 until 24:00")
        if self.begins == "24:00":
            raise ValueError("a day ends at 24:00, nothing begins then; write 00:00 and the next day")
        return self

    def on(self, day: date, *, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
        """Return when it begins and ends (UTC), if it begins on `day`."""
        if DAYS[day.weekday()] not in self.days:
            return None
        ends_on = day if self.until > self.begins else day + ALL_DAY
        return _utc(day, self.begins, zone=zone), _utc(ends_on, self.until, zone=zone)

    def ends_at(self, instant: datetime, *, zone: ZoneInfo) -> datetime | None:
        """Return when it ends (UTC) if it holds at `instant`, else None."""
        spans = _spans(self, first=instant.astimezone(zone).date(), zone=zone)
        return next((ends for begins, ends in spans if begins <= instant < ends), None)


class TimetableEntry(WeeklyHours):
    """Some hours of some days, and what the route may use then."""

    mbit_per_second: float = Field(ge=1, le=1_000_000)
    """1 Mbit/s are 125,000 bytes a second; all transfers of the route share it."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What holds at an instant: bytes a second (None: no limit), and when that changes (UTC; None: never)."""

    bytes_per_second: float | None
    until: datetime | None


def rate_at(entries: Sequence[TimetableEntry], *, instant: datetime, zone: ZoneInfo) -> Rate:
    """Return the rate at `instant`, which has a time zone, and when it changes next."""
    first = instant.astimezone(zone).date()
    # From yesterday, for what began then and lasts past midnight, through a week and the day in which it comes round.
    spans = [(entry, list(_spans(entry, first=first, zone=zone))) for entry in entries]
    now = _rate(spans, instant)
    edges = sorted({edge for _, found in spans for span in found for edge in span if edge > instant})
    changes = next((edge for edge in edges if _rate(spans, edge) != now), None)
    # What lies beyond is not known: a rate that has not changed a week and a day later never does.
    if changes is not None and changes > instant + timedelta(days=8):
        changes = None
    return Rate(now, changes)


def _spans(entry: WeeklyHours, *, first: date, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    for offset in range(-1, 10):
        span = entry.on(first + timedelta(days=offset), zone=zone)
        if span is not None:
            yield span


def _rate(
    spans: Sequence[tuple[TimetableEntry, Sequence[tuple[datetime, datetime]]]], instant: datetime
) -> float | None:
    for entry, found in spans:
        if any(begins <= instant < ends for begins, ends in found):
            return entry.mbit_per_second * BYTES_PER_MEGABIT
    return None


def _utc(day: date, clock: str, *, zone: ZoneInfo) -> datetime:
    """Return a wall clock's time in UTC; one that is skipped in spring counts as if the clock had not changed."""
    if clock == "24:00":
        day, clock = day + ALL_DAY, "00:00"
    return datetime.combine(day, time.fromisoformat(clock), tzinfo=zone).astimezone(UTC)


def in_words(rate: Rate, *, now: datetime, zone: ZoneInfo) -> str:
    """Say it: `held to 400 Mbit/s until 20:00 UTC by the timetable`."""
    until = "" if rate.until is None else f" until {_until(rate.until, now=now, zone=zone)}"
    if rate.bytes_per_second is None:
        return f"not held back by the timetable{until}"
    return f"held to {rate.bytes_per_second / BYTES_PER_MEGABIT:g} Mbit/s{until} by the timetable"


def _until(moment: datetime, *, now: datetime, zone: ZoneInfo) -> str:
    there = moment.astimezone(zone)
    day = "" if moment - now < ALL_DAY else f"{DAYS[there.weekday()]} "
    return f"{day}{there:%H:%M} {zone.key}"
