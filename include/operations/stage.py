"""What a pipeline stage is: `plan` says what should be done, `run` does one operation. All stages have this shape."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from include.errors import DtsError
from include.operations.lease import Lease
from include.storage.interface import Storage
from include.topology import DataLocation, OperationKind, Topology


@dataclass(frozen=True)
class Selection:
    """What a person restricted a manual run to."""

    packages: tuple[str, ...] = ()
    """Names of RawDataPackages; empty: all."""
    only_location: str | None = None
    """Full name of the one location whose lane should plan; None: all."""

    def leaves_out(self, location: DataLocation) -> bool:
        """Tell whether this location's lane has nothing to do in this run."""
        return self.only_location is not None and self.only_location != location.full_name


@dataclass(frozen=True, kw_only=True)
class Planning:
    """What `plan` is given: a session in a transaction that it shares with the proposal, under the lane's lock."""

    session: Session
    topology: Topology
    location: DataLocation
    data_location_id: int
    now: datetime
    """The transaction's time, UTC."""
    run_id: str | None = None
    """The Airflow run that plans."""


def _nothing(_: Session) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Done:
    """What `run` returns."""

    explanation: str
    """One sentence: what was done, and what comes next."""
    size_bytes: int = 0
    """Bytes moved or read."""
    record: Callable[[Session], None] = field(default=_nothing)
    """Writes the stage's rows, in the transaction that completes the operation."""
    unfinished: bool = False
    """True: hand the operation back, to go on in a later task."""


class FailedWith(Exception):  # noqa: N818 - it carries an error, it is none
    """Raised by `run` when a failure must also be written into the stage's own rows (a copy that is corrupt, say)."""

    def __init__(self, error: DtsError, *, record: Callable[[Session], None]) -> None:
        super().__init__(str(error))
        self.error = error
        self.record = record


@dataclass(frozen=True, kw_only=True)
class Work:
    """What `run` is given: one leased operation and the means to do it. No transaction is open."""

    lease: Lease
    engine: Engine
    topology: Topology
    location: DataLocation
    host: str
    run_id: str
    storage_of: Callable[[str], Storage]
    """Opens a location by its full name, as this host reaches it."""
    check: Callable[[], None]
    """Raises LeaseLostError if somebody else has taken the operation over; call it between blocks."""


class Stage(Protocol):
    """A module under `include/stages`."""

    KIND: OperationKind

    def plan(self, planning: Planning) -> None:
        """Insert the operations that are missing. Never updates existing ones."""

    def run(self, work: Work) -> Done:
        """Do one operation; harmless to repeat at any point of it."""


@runtime_checkable
class ContinuingStage(Protocol):
    """A stage whose tasks, once done, go on with what else waits: each task that ends is a stall."""

    def next_operation(self, session: Session, operation_id: int) -> int | None:
        """Return a pending operation that is due and should follow `operation_id` at once, in the same task.

        Nothing is locked: whoever leases it first has it.
        """
