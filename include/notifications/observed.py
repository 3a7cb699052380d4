"""What the rules look at, as values. Sizes in bytes, times UTC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from include.health.heartbeat import Heartbeat
from include.lifecycle.alarms import Cut
from include.notifications.refused import RefusedFiling
from include.ops_db.measurements import HowFull

Listening = Mapping[str, frozenset[str]]
"""Which queues the worker of each host listens to; a host that does not answer is not in it."""


@dataclass(frozen=True, kw_only=True)
class LaneSeen:
    """The head of a lane, and how it moves."""

    kind: str
    location: str
    site: str
    due: int = 0
    """Operations that could be done now, up to a thousand."""
    oldest_at: datetime | None = None
    """When the oldest of them was made."""
    why: str | None = None
    """What it says."""
    nobody: bool | None = None
    """The last plan found no worker."""
    is_at_work: bool = False
    completed_at: datetime | None = None
    failed: int = 0
    failed_why: str | None = None

    @property
    def name(self) -> str:
        """Of its queue."""
        return f"{self.location}_{self.kind}"


@dataclass(frozen=True, kw_only=True)
class SourceSeen:
    """What was filed at a SOURCE and is in no archive."""

    location: str
    site: str
    packages: int
    size_bytes: int
    oldest_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class BadCopies:
    """Copies of packages at a location that are corrupt or missing."""

    location: str
    site: str
    location_type: str
    copies: int
    named: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class BrakeSeen:
    """A question of the brake that nobody has answered."""

    id: int
    location: str
    site: str
    asked_at: datetime
    why: str


@dataclass(frozen=True, kw_only=True)
class StagingSeen:
    """An active StagingJob with packages whose staging failed."""

    id: int
    requested_by: str
    location: str
    site: str
    failed: int
    why: str


@dataclass(frozen=True, kw_only=True)
class ChannelSeen:
    """A channel that does not take its messages."""

    channel: str
    since: datetime
    attempts: int
    last_error: str | None


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Everything that the rules look at, at one moment."""

    now: datetime
    places: Mapping[str, HowFull] = field(default_factory=dict)
    cuts: Sequence[Cut] = ()
    """Ways on which transfers fail and none has got through of late."""
    lanes: Sequence[LaneSeen] = ()
    sources: Sequence[SourceSeen] = ()
    bad_copies: Sequence[BadCopies] = ()
    brakes: Sequence[BrakeSeen] = ()
    stagings: Sequence[StagingSeen] = ()
    filings: Sequence[RefusedFiling] = ()
    channels: Sequence[ChannelSeen] = ()
    clocks_ahead: Mapping[str, float] = field(default_factory=dict)
    """By host, in seconds, compared with ops-db."""
    heartbeats: Mapping[str, Heartbeat] = field(default_factory=dict)
    """By host; one that never sent any is not in it."""
    reached: Mapping[str, bool] = field(default_factory=dict)
    """Of sites with workers that do not answer: whether a server of theirs does. Not in it: it was not asked."""
    listening: Listening | None = None
    """None: the workers could not be asked; then what the last plans found counts."""
