"""The flow, as browsers get it: what is at each stage and on each route at one moment."""

from datetime import datetime

from pydantic import BaseModel

from include.topology import MovedBy, OperationKind


class Stage(BaseModel):
    """Live operations of one kind at one location. Sizes in bytes."""

    kind: OperationKind
    waiting: int = 0
    moving: int = 0
    failed: int = 0
    """Each waits for a person."""
    troubled: int = 0
    """Failed at least once, and tried again by themselves."""
    waiting_bytes: int = 0
    moving_bytes: int = 0
    oldest_seconds: float | None = None
    done: int = 0
    """In the last hour."""
    done_bytes: int = 0
    operation: int | None = None
    """The one that `why` is of: that failed, else that fails, else the oldest."""
    why: str = ""


class Place(BaseModel):
    """A location with its stages."""

    name: str
    type: str
    condition: str | None
    """None: it was never measured."""
    why: str
    share: float | None
    """How full it is, 0 to 1."""
    free_bytes: int | None
    stages: list[Stage]


class FlowSite(BaseModel):
    """A site with its locations."""

    name: str
    title: str
    where: str
    has_source: bool
    has_archive: bool
    places: list[Place]


class Decision(BaseModel):
    """What was decided about the connections of a route, and why."""

    at: datetime
    connections: int
    why: str
    operation: int


class FlowRoute(BaseModel):
    """A route now. Sizes in bytes, rates in bytes a second."""

    origin: str
    destination: str
    origin_site: str
    destination_site: str
    is_primary: bool
    """Out of the observatory, not from archive to archive."""
    moved_by: MovedBy
    rate: float | None
    """None: nobody has watched for long enough."""
    rate_last_hour: float
    allowed: float | None
    """What the timetable allows now; None: no limit."""
    timetable: str
    connections: int | None
    waiting: int
    moving: int
    failed: int
    troubled: int
    left_bytes: int
    """Of what is under way, waits or is being bundled."""
    oldest_seconds: float | None
    why: str
    operation: int | None
    sentence: str
    """When it will have caught up."""
    caught_up_at: datetime | None
    decisions: list[Decision]


class Behind(BaseModel):
    """What was filed at a SOURCE and is in no archive yet."""

    source: str
    packages: int
    files: int
    """Of these no package has been made yet."""
    size_bytes: int
    hours: float
    """Since the oldest of it came."""


class FlowAlarm(BaseModel):
    """Something that people should know."""

    key: str
    severity: str
    sentence: str
    since: datetime
    acknowledged_by: str | None


class Flow(BaseModel):
    """All of it, at one moment."""

    at: datetime
    topology_is_applied: bool
    failed: int
    moving: int
    waiting: int
    brakes: int
    """Questions of the brake that wait for an answer."""
    filings: int
    """That wait for their verdict."""
    refused: int
    """Filings, in the last 24 hours."""
    sites: list[FlowSite]
    routes: list[FlowRoute]
    behind: list[Behind]
    alarms: list[FlowAlarm]
