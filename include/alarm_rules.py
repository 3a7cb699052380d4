"""Rules of alarms, as a topology may change them: what people are told of, from which number on, how urgent it is.

Each rule is a section of docs/runbook.md, under its name.
"""

from enum import StrEnum

from pydantic import Field

from include.places import Model


class Severity(StrEnum):
    """How urgent an alarm is."""

    INFO = "info"
    """Somebody may want to know."""
    WARNING = "warning"
    """Somebody should look in working hours."""
    CRITICAL = "critical"
    """Somebody should look now: data is, or will soon be, in danger."""

    @property
    def rank(self) -> int:
        """The more urgent, the higher."""
        return list(Severity).index(self)


class Rule(Model):
    """What all rules have. One that is not enabled raises nothing, and clears what it had raised."""

    enabled: bool = True
    severity: Severity = Severity.WARNING


class LaneStalled(Rule):
    """Work is due at a lane, and nothing was completed there for so long."""

    hours: float = Field(default=2, gt=0)


class Backlog(Rule):
    """The oldest package of a SOURCE has waited so long for its first archive."""

    hours: float = Field(default=24, gt=0)


class HoursLeft(Rule):
    """A location is full within so many hours, at the present rates."""

    hours: float = Field(default=48, gt=0)
    critical_hours: float = Field(default=12, ge=0)
    """From here on it is critical, whatever `severity` says."""


class CorruptCopy(Rule):
    """Copies of packages at a location are damaged or missing."""

    severity: Severity = Severity.CRITICAL


class BrakeWaiting(Rule):
    """The brake on deletion has waited so long for a person's answer."""

    hours: float = Field(default=0, ge=0)


class WorkerMissing(Rule):
    """For so long no worker has listened to a lane's queue."""

    severity: Severity = Severity.CRITICAL
    seconds: float = Field(default=90, ge=0)


class LinkDown(Rule):
    """For so long transfers from a site have not got through."""

    severity: Severity = Severity.CRITICAL
    seconds: float = Field(default=600, ge=0)


class ClockOff(Rule):
    """A host's clock is so far from that of ops-db."""

    seconds: float = Field(default=10, gt=0)


class FilingRefused(Rule):
    """An instrument's filing was refused, and nobody has corrected it yet."""

    days: float = Field(default=90, gt=0)
    """After so long nobody will: the alarm clears itself."""


class WorkFailed(Rule):
    """Operations of a lane failed and wait for a person, or a task of a stage did."""

    hours: float = Field(default=1, gt=0)
    """A task that failed without an operation is told of for so long."""


class AlarmRules(Model):
    """Every rule, each with its defaults; a topology names only what it changes."""

    lane_stalled: LaneStalled = LaneStalled()
    backlog: Backlog = Backlog()
    source_hours_left: HoursLeft = HoursLeft()
    buffer_hours_left: HoursLeft = HoursLeft()
    location_hours_left: HoursLeft = HoursLeft(critical_hours=0)
    """Of an archive or a PROCESSING location."""
    location_unwell: Rule = Rule()
    """A location is pressed, full, read-only or gone; the latter two are critical."""
    location_silent: Rule = Rule()
    """Nobody has looked at a location for a while."""
    link_down: LinkDown = LinkDown()
    worker_missing: WorkerMissing = WorkerMissing()
    corrupt_copy: CorruptCopy = CorruptCopy()
    brake_waiting: BrakeWaiting = BrakeWaiting()
    clock_off: ClockOff = ClockOff()
    filing_refused: FilingRefused = FilingRefused()
    staging_failed: Rule = Rule()
    """Packages of a StagingJob could not be staged."""
    work_failed: WorkFailed = WorkFailed()
    channel_failing: Rule = Rule()
    """A channel of notifications does not take them."""
