"""The states of things, in the field's own words. Each value is what stands in ops-db, in the UI and in metrics."""

from enum import StrEnum


class WorkStatus(StrEnum):
    """Of an Operation, and of the two halves of a DataTransfer."""

    PENDING = "pending"
    SCHEDULED = "scheduled"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PackageState(StrEnum):
    """Of a RawDataPackage."""

    WAITING = "waiting"
    """Made or being made; not yet on its way to an archive."""
    TRANSFERRING = "transferring"
    """In a DataTransferPackage, on the way to its first archive."""
    ARCHIVED = "archived"
    """Verified in at least one long-term archive."""
    FAILED = "failed"
    """Could not be made; its files need a person."""


class CopyStatus(StrEnum):
    """Of a PhysicalCopy: what is known about the bytes at one location."""

    PRESENT = "present"
    STAGED = "staged"
    DELETION_POSSIBLE = "deletion_possible"
    DELETION_SCHEDULED = "deletion_scheduled"
    DELETION_IN_PROGRESS = "deletion_in_progress"
    DELETED = "deleted"
    DELETION_FAILED = "deletion_failed"
    MISSING = "missing"
    CORRUPT = "corrupt"


NO_BYTES = frozenset({CopyStatus.DELETED, CopyStatus.MISSING})
"""Of a copy that takes no room. With any other status there are bytes, be they damaged or on their way out."""


class Condition(StrEnum):
    """Of a DataLocation. What is full or worse stays so until it is below its low mark again."""

    WELL = "well"
    PRESSED = "pressed"
    """Above its high mark: deletion makes room, down to the low mark."""
    FULL = "full"
    """Above its critical mark: new work goes elsewhere, or waits."""
    READ_ONLY = "read_only"
    GONE = "gone"
    """Not reached, or not mounted."""

    @property
    def takes_work(self) -> bool:
        """Tell whether new work may be sent there."""
        return self in {Condition.WELL, Condition.PRESSED}


class FilingState(StrEnum):
    """Of a filing."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    REFUSED = "refused"


class BundleState(StrEnum):
    """Of a DataTransferPackage."""

    OPEN = "open"
    CLOSED = "closed"


class StagingState(StrEnum):
    """Of a StagingJob."""

    ACTIVE = "active"
    EXPIRED = "expired"
    RELEASED = "released"
    """A person gave it back before its date."""


class StagingEvent(StrEnum):
    """What happened to a StagingJob."""

    REQUESTED = "requested"
    EXTENDED = "extended"
    RELEASED = "released"
    EXPIRED = "expired"


class AttemptOutcome(StrEnum):
    """Of an attempt at an Operation."""

    COMPLETED = "completed"
    TRANSIENT = "transient"
    """Network or storage was busy: tried again by itself."""
    WAITING = "waiting"
    """Something else has to happen first."""
    PERMANENT = "permanent"
    """A person must change something."""
    INTEGRITY = "integrity"
    """Bytes were not what they should be."""
    LOST = "lost"
    """The worker died, was cut off or was overtaken."""
    YIELDED = "yielded"
    """Handed back in the middle, to go on later."""
    RESET = "reset"
    """A person asked for another try."""


class BrakeAnswer(StrEnum):
    """To the question whether all of that may go."""

    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    """Nobody said anything; policy changed, so that the question is another one."""


class NotificationKind(StrEnum):
    """Of a message about alarms."""

    BEGIN = "begin"
    """An outage began."""
    MORE = "more"
    """Further alarms of an outage that was told of."""
    END = "end"
    """All alarms of an outage have cleared."""
    SUMMARY = "summary"
    """What quiet hours held back."""
