"""What the doctor says: one finding for each thing that was looked at."""

from collections.abc import Iterable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Verdict(StrEnum):
    """How it is. Only `bad` makes the command fail."""

    GOOD = "good"
    COULD_BE_BETTER = "could be better"
    BAD = "bad"
    NOT_MEASURED = "not measured"


class Area(StrEnum):
    """What it is about, in the order in which people read it."""

    KERNEL = "kernel"
    LINK = "link"
    ARCHIVE = "archive"
    DISK = "disk"
    CLOCK = "clock"
    OPS_DB = "ops-db"
    PROGRAMS = "programs"


class Finding(BaseModel):
    """One thing that was looked at."""

    model_config = ConfigDict(frozen=True)

    area: Area
    what: str
    verdict: Verdict
    sentence: str
    advice: str = ""
    """What to do about it; empty where nothing is to be done."""
    sysctl: tuple[str, ...] = ()
    """Lines for the kernel's settings that would help."""
    value: float | None = None
    unit: str | None = None
    """Of `value`: MB/s, s, ms, days, bytes."""


def not_measured(area: Area, what: str, *, why: str, advice: str = "") -> Finding:
    """Return the finding about something that could not be had."""
    return Finding(area=area, what=what, verdict=Verdict.NOT_MEASURED, sentence=why, advice=advice)


def is_fit(findings: Iterable[Finding]) -> bool:
    """Tell whether nothing is bad."""
    return all(finding.verdict is not Verdict.BAD for finding in findings)
