"""Retention: what is kept where, for how long, as a list of rules; the first that matches a copy counts.

A rule says when a copy goes *by age*. Under pressure (its location is fuller than its high watermark) it may go as soon
as the grace period is over, the oldest first, until there is room. What must be true of a package before any copy of it
goes (archive copies, their verification, the grace period) holds always.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from include.places import InstrumentName, LocationType, Model


class Release(StrEnum):
    """What makes a copy go once it may."""

    BY_AGE = "by_age"
    """Its time is over; sooner if its location is too full."""
    BY_PRESSURE = "by_pressure"
    """Only that its location is too full."""


class RetentionRule(Model):
    """How long copies of some packages stay at some locations. What it does not say is as in the policy itself."""

    at: str | None = None
    """source, buffer or processing, or the full name of one location (default: everywhere)."""
    instrument: InstrumentName | None = None
    """Only what this instrument filed (default: all)."""
    module: InstrumentName | None = None
    """Only what this module filed (default: all)."""
    keep_days: float = Field(default=0, ge=0, le=36_500)
    """Days after archiving for which it stays while there is room."""
    keep_days_after_filing: float = Field(default=0, ge=0, le=36_500)
    """The same, counted from when its package was cut from what was filed. Both must be over."""
    release: Release = Release.BY_AGE
    """by_age (default), or by_pressure: it stays until the location is too full."""
    deletion_grace_seconds: int | None = Field(default=None, ge=0)
    archive_copies: int | None = Field(default=None, ge=1)
    archive_sites: int | None = Field(default=None, ge=1)
    verified_within_days: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _is_about_copies_that_may_go(self) -> Self:
        if self.at == LocationType.LONG_TERM_ARCHIVE:
            raise ValueError("at: long_term_archive: nothing is ever deleted there, so no rule is needed")
        return self

    def covers(self, other: "RetentionRule") -> bool:
        """Tell whether all that `other` matches is matched by this one, as far as the words alone show it."""
        return (
            self.at in (None, other.at)
            and self.instrument in (None, other.instrument)
            and self.module in (None, other.module)
        )

    def matches(self, *, location_type: LocationType, full_name: str, instrument: str, module: str) -> bool:
        """Tell whether it is about copies of this instrument and module at this location."""
        return (
            self.at in (None, location_type.value, full_name)
            and self.instrument in (None, instrument)
            and self.module in (None, module)
        )


@dataclass(frozen=True, slots=True)
class Retention:
    """What holds for the copies of a package at a location: a rule with the policy's numbers where it has none."""

    rule: int | None
    """Number of the rule in the file, from 1; None if none matches."""
    keep_days: float
    keep_days_after_filing: float
    release: Release
    grace_seconds: int
    archive_copies: int
    archive_sites: int
    verified_within_days: float | None

    @property
    def name(self) -> str:
        """`retention rule 2`: how sentences call it."""
        return "the policy" if self.rule is None else f"retention rule {self.rule}"

    @property
    def numbers(self) -> "Retention":
        """The same without the number of its rule: what it says, wherever it stands."""
        return replace(self, rule=None)

    def verified_since(self, now: datetime) -> datetime | None:
        """Return when an archive copy must have been verified at the earliest to count; None: any time will do."""
        return None if self.verified_within_days is None else now - timedelta(days=self.verified_within_days)

    def grace_ends_at(self, archived_at: datetime) -> datetime:
        """Return from when on a package that was archived then may go at all."""
        return archived_at + timedelta(seconds=self.grace_seconds)

    def goes_by_age_at(self, *, archived_at: datetime, filed_at: datetime) -> datetime | None:
        """Return when it goes though there is room; None: never by age."""
        if self.release is Release.BY_PRESSURE:
            return None
        return max(
            self.grace_ends_at(archived_at),
            archived_at + timedelta(days=self.keep_days),
            filed_at + timedelta(days=self.keep_days_after_filing),
        )
