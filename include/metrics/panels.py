"""The dashboards, described once: what each panel shows, of which measurement, and what it is for."""

import dataclasses
from collections.abc import Mapping
from enum import StrEnum

from include.metrics.catalogue import Tag


class How(StrEnum):
    """How points become a line."""

    LEVEL = "level"
    """Of samples: the mean of each series in an interval, added up."""
    WORST = "worst"
    """Of samples: the largest in an interval."""
    LEAST = "least"
    """Of samples: the smallest in an interval."""
    TOTAL = "total"
    """Of events: their sum in an interval."""
    NUMBER = "number"
    """Of events: how many there were in an interval."""
    RATE = "rate"
    """Of events: their sum a second."""
    MOST = "most"
    """Of events: what 95 of 100 stay below."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Query:
    """Lines of one field, one for each combination of the tags `by`."""

    measurement: str
    field: str
    how: How
    by: tuple[Tag, ...] = ()
    where: Mapping[Tag, str] = dataclasses.field(default_factory=dict)
    """Only of these."""
    name: str = ""
    """Of the lines, before their tags."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """A plot."""

    title: str
    meaning: str
    """What it is for, and what to do about it."""
    unit: str
    """Grafana's name of it."""
    queries: tuple[Query, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dashboard:
    """A page of panels."""

    name: str
    title: str
    panels: tuple[Panel, ...]


def _one(title: str, meaning: str, unit: str, *queries: Query) -> Panel:
    return Panel(title=title, meaning=meaning, unit=unit, queries=queries)


def _q(measurement: str, name: str, how: How, *by: Tag, called: str = "", **where: str) -> Query:
    only = {Tag(tag): value for tag, value in where.items()}
    return Query(measurement=f"dts_{measurement}", field=name, how=how, by=by, where=only, name=called)


STAGE, SITE, LOCATION, INSTRUMENT, ROUTE = Tag.STAGE, Tag.SITE, Tag.LOCATION, Tag.INSTRUMENT, Tag.ROUTE

DASHBOARDS = (
    Dashboard(
        name="overview",
        title="Data transfer: overview",
        panels=(
            _one(
                "Filing to archive",
                "How long data takes from its filing into the first and the second archive: 95 of 100 packages are"
                " faster. It grows with the first thing that stands still: look at Waiting next.",
                "s",
                _q("archived", "seconds", How.MOST, Tag.COPY),
            ),
            _one(
                "Archived",
                "What reached the archives. Nothing for a night of observing is wrong.",
                "Bps",
                _q("archived", "size_bytes", How.RATE, SITE),
            ),
            _one(
                "Waiting",
                "Operations that wait, by stage. A stage that only grows stands still: `dts status`.",
                "short",
                _q("lane", "pending", How.LEVEL, STAGE),
            ),
            _one(
                "Oldest work",
                "How old the oldest live operation of each stage is. Hours mean that somebody should look.",
                "s",
                _q("lane", "oldest_seconds", How.WORST, STAGE),
            ),
            _one(
                "Failed",
                "Operations that wait for a person: `dts explain operation:ID`, `dts retry`.",
                "short",
                _q("lane", "failed", How.LEVEL, STAGE),
            ),
            _one(
                "Alarms",
                "Open alarms, and those that somebody should look at now: `dts alarms`, docs/runbook.md.",
                "short",
                _q("system", "alarms", How.WORST, called="open"),
                _q("system", "critical_alarms", How.WORST, called="critical"),
            ),
            _one(
                "Worker hosts",
                "1: a host's heartbeat is fresh. 0: it was stopped, it died, or the link to it is cut: `dts health`.",
                "short",
                _q("worker", "up", How.LEAST, Tag.HOST),
            ),
            _one(
                "InfluxDB is behind",
                "How old the newest thing is that InfluxDB has taken. A gap here is filled by itself.",
                "s",
                _q("system", "export_behind_seconds", How.WORST),
            ),
        ),
    ),
    Dashboard(
        name="link",
        title="Data transfer: links",
        panels=(
            _one(
                "Use against the timetable",
                "What each route carried, and what its timetable allows. Known after three quarters of an hour.",
                "Bps",
                _q("link", "bytes_per_second", How.LEVEL, ROUTE, called="used"),
                _q("link", "allowed_bytes_per_second", How.LEVEL, ROUTE, called="allowed"),
            ),
            _one(
                "Rate of transfers",
                "How fast single transfers were. Below what the link gave before: `dts doctor` on the destination.",
                "Bps",
                _q("attempt", "bytes_per_second", How.MOST, ROUTE, stage="transfer"),
            ),
            _one(
                "How transfers ended",
                "transient is the link's own; integrity is damaged bytes, and always worth a look.",
                "short",
                _q("attempt", "seconds", How.NUMBER, Tag.OUTCOME, stage="transfer"),
            ),
            _one(
                "Waiting for a transfer",
                "Transfers that wait at each destination.",
                "short",
                _q("lane", "pending", How.LEVEL, LOCATION, stage="transfer"),
            ),
        ),
    ),
    Dashboard(
        name="site",
        title="Data transfer: sites and their disks",
        panels=(
            _one(
                "Used",
                "What is used of each location, other people's files included.",
                "bytes",
                _q("location", "used_bytes", How.LEVEL, LOCATION),
            ),
            _one(
                "Free",
                "What is left. A SOURCE that is full stops observing.",
                "bytes",
                _q("location", "free_bytes", How.LEAST, LOCATION),
            ),
            _one(
                "Hours left",
                "Until it is full at the present rate. No line: it does not fill.",
                "h",
                _q("location", "hours_left", How.LEAST, LOCATION),
            ),
            _one(
                "Reserved",
                "What running operations have yet to write.",
                "bytes",
                _q("location", "reserved_bytes", How.LEVEL, LOCATION),
            ),
            _one(
                "Condition",
                "0 well, 1 pressed, 2 full, 3 read-only, 4 gone.",
                "short",
                _q("location", "condition", How.WORST, LOCATION),
            ),
            _one(
                "Clocks",
                "How far each host's clock is ahead of that of ops-db. More than seconds: chrony.",
                "s",
                _q("worker", "clock_ahead_seconds", How.LEVEL, Tag.HOST),
            ),
            _one(
                "Running",
                "Operations in progress, against the slots of the lanes.",
                "short",
                _q("lane", "running", How.LEVEL, LOCATION, called="running"),
                _q("lane", "slots", How.LEVEL, LOCATION, called="slots"),
            ),
            _one(
                "Attempts that did not succeed",
                "By location and kind of trouble.",
                "short",
                _q("attempt", "seconds", How.NUMBER, LOCATION, Tag.OUTCOME),
            ),
        ),
    ),
    Dashboard(
        name="archive",
        title="Data transfer: archives",
        panels=(
            _one(
                "In the archives",
                "Everything that is present, by archive.",
                "bytes",
                _q("archive", "size_bytes", How.LEVEL, LOCATION),
            ),
            _one("Packages", "The same in packages.", "short", _q("archive", "packages", How.LEVEL, LOCATION)),
            _one(
                "Damaged",
                "Packages whose copy there is corrupt or missing. More than none: docs/runbook.md, corrupt_copy.",
                "short",
                _q("archive", "damaged_packages", How.WORST, LOCATION),
            ),
            _one(
                "Into the archives",
                "What reached each archive.",
                "Bps",
                _q("archived", "size_bytes", How.RATE, LOCATION),
            ),
            _one(
                "Scrubbed",
                "What was read again and compared. Nothing for weeks is wrong.",
                "Bps",
                _q("attempt", "size_bytes", How.RATE, LOCATION, stage="scrubbing"),
            ),
        ),
    ),
    Dashboard(
        name="instrument",
        title="Data transfer: instruments",
        panels=(
            _one(
                "Archived for the first time",
                "What each instrument's data adds to the archives.",
                "Bps",
                _q("archived", "size_bytes", How.RATE, INSTRUMENT, copy="first"),
            ),
            _one(
                "Filing to first archive",
                "95 of 100 packages are faster.",
                "s",
                _q("archived", "seconds", How.MOST, INSTRUMENT, copy="first"),
            ),
            _one(
                "Waiting before the first attempt",
                "By instrument, whatever the stage.",
                "s",
                _q("attempt", "waited_seconds", How.MOST, INSTRUMENT),
            ),
            _one(
                "Trouble",
                "How attempts at each instrument's data ended.",
                "short",
                _q("attempt", "seconds", How.NUMBER, INSTRUMENT, Tag.OUTCOME),
            ),
            _one(
                "Filings that wait",
                "For their verdict. It should be none after a minute.",
                "short",
                _q("system", "filings_waiting", How.WORST),
            ),
            _one(
                "In the archives",
                "By instrument, all archives together.",
                "bytes",
                _q("archive", "size_bytes", How.LEVEL, INSTRUMENT),
            ),
        ),
    ),
    Dashboard(
        name="airflow",
        title="Data transfer: how Airflow serves it",
        panels=(
            _one(
                "From work to its worker",
                "How long operations waited for their first attempt, by stage. Airflow's part of it is seconds.",
                "s",
                _q("attempt", "waited_seconds", How.MOST, STAGE),
            ),
            _one(
                "Attempts",
                "What Airflow's tasks did, by stage.",
                "short",
                _q("attempt", "seconds", How.NUMBER, STAGE),
            ),
            _one(
                "Lost",
                "Attempts whose process died, was cut off or was overtaken. ops-db takes their work back.",
                "short",
                _q("attempt", "seconds", How.NUMBER, LOCATION, outcome="lost"),
            ),
            _one(
                "Scheduled",
                "Operations that are in a batch and wait for a slot. Many for long: too few slots, or no worker.",
                "short",
                _q("lane", "scheduled", How.LEVEL, STAGE),
            ),
            _one(
                "Heartbeats",
                "How old the last heartbeat of each worker host is. 90 seconds are too much.",
                "s",
                _q("worker", "heartbeat_seconds", How.WORST, Tag.HOST),
            ),
        ),
    ),
)
