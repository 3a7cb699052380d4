"""Locations in full: how full, how fast, for how long, which hosts and queues; and whether packages would fit there."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, Row, text
from sqlalchemy.orm import Session

from include.access.roles import Action
from include.api.access import may
from include.api.documentation import problems
from include.api.parameters import WITHOUT_NUL
from include.api.services import services_of
from include.explain.subjects import packages_asked_for
from include.lanes import all_lanes, lanes_of_host
from include.lifecycle.capacity import Outage, forecast
from include.lifecycle.staging_room import room_for
from include.lifecycle.what_can_be_staged import processing_location
from include.ops_db.measurements import HowFull, how_full
from include.ops_db.places import location_id
from include.ops_db.states import Condition
from include.topology import DataLocation, LocationType, Topology
from include.topology import Host as TopologyHost

router = APIRouter(prefix="/rooms", tags=["page"])

HOSTS = text("select host, beaten_at, stopped_at, version, queues from host_heartbeat")
IDS = text("select id from raw_data_package where name = any(:names)")
Words = Annotated[list[Annotated[str, Query(max_length=300, pattern=WITHOUT_NUL)]], Query(min_length=1, max_length=100)]


class Room(BaseModel):
    """A location. Sizes in bytes, rates in bytes a second; None: not known."""

    name: str
    site: str
    type: LocationType
    storage: str
    condition: Condition | None
    why: str
    changed_at: datetime | None
    measured_at: datetime | None
    total_bytes: int | None
    used_bytes: int | None
    free_bytes: int | None
    stored_bytes: int | None
    stored_copies: int | None
    share: float | None
    low: float
    high: float
    critical: float
    """Watermarks, 0 to 1."""
    in_rate: float | None
    out_rate: float | None
    hours_left: float | None
    """Until it is full at these rates; None: never, or nobody knows."""
    hosts: list[str]
    queues: list[str]
    """That its hosts listen to."""


class Host(BaseModel):
    """A worker host, and what its worker last said of itself."""

    name: str
    site: str
    heard_at: datetime | None = None
    """None: never."""
    stopped_at: datetime | None = None
    """When it said that it stops; None: it runs, or died."""
    version: str | None = None
    queues: list[str]
    """That it listens to."""
    missing: list[str]
    """Queues that it should listen to, and does not."""


class Rooms(BaseModel):
    """All locations and hosts, in the topology's order."""

    items: list[Room]
    hosts: list[Host]


class Fit(BaseModel):
    """Whether packages would fit at a PROCESSING location. Sizes in bytes."""

    model_config = ConfigDict(from_attributes=True)

    asked: int
    """So many packages are meant."""
    packages: int
    """Those of them that are not there yet."""
    needed_bytes: int
    left_bytes: int | None
    """What nobody else will take; None: nobody has measured."""
    fits: bool
    sentence: str


@router.get("", responses=problems(), dependencies=[may(Action.READ_PLACES)])
async def rooms(request: Request) -> Rooms:
    """Return every location with what is known about its room, and every host."""
    services = services_of(request)
    return await services.ops_db.read(lambda connection: _rooms(connection, services.topology()))


@router.get("/{location}/fit", responses=problems(404), dependencies=[may(Action.READ_STAGING)])
async def fit(request: Request, location: str, subject: Words) -> Fit:
    """Tell whether packages, or those of observations or nights, would fit at a PROCESSING location."""
    services = services_of(request)
    place = processing_location(services.topology(), location)

    def ask() -> Fit:
        with Session(services.ops_db.engine) as session:
            asked = packages_asked_for(session.connection(), subject)
            names = [*asked.named, *asked.found]
            ids = session.execute(IDS, {"names": names}).scalars().all()
            here = location_id(session, location)
            room = room_for(session, location=place, data_location_id=here, packages=ids)
        if room is None:
            said = f"Nobody has measured {location} yet: each package looks for room before it is staged."
            return Fit(asked=len(names), packages=len(names), needed_bytes=0, left_bytes=None, fits=True, sentence=said)
        return Fit(
            asked=len(names),
            packages=room.packages,
            needed_bytes=room.needed_bytes,
            left_bytes=max(room.left_bytes, 0),
            fits=room.needed_bytes <= room.left_bytes,
            sentence=f"{room.sentence}.",
        )

    return await services.ops_db.run(ask)


def _rooms(connection: Connection, topology: Topology) -> Rooms:
    known = how_full(connection)
    lasting = {
        each.location: each.present.hours_left
        for each in forecast(known, topology, outage=Outage(), now=datetime.now(UTC))
    }
    heard = {row.host: row for row in connection.execute(HOSTS)}
    return Rooms(
        items=[
            _room(location, topology, known.get(location.full_name), lasting.get(location.full_name))
            for location in topology.data_locations
        ],
        hosts=[_host(host, topology, heard.get(host.name)) for host in topology.hosts],
    )


def _host(host: TopologyHost, topology: Topology, heard: Row[Any] | None) -> Host:
    should = [lane.name for lane in lanes_of_host(topology, host.name)]
    if heard is None:
        return Host(name=host.name, site=host.site, queues=[], missing=should)
    return Host(
        name=host.name,
        site=host.site,
        heard_at=heard.beaten_at,
        stopped_at=heard.stopped_at,
        version=heard.version,
        queues=sorted(heard.queues),
        missing=[queue for queue in should if queue not in heard.queues],
    )


def _room(location: DataLocation, topology: Topology, known: HowFull | None, hours_left: float | None) -> Room:
    return Room(
        name=location.full_name,
        site=location.site,
        type=location.location_type,
        storage=location.storage.type,
        low=location.watermarks.low,
        high=location.watermarks.high,
        critical=location.watermarks.critical,
        hosts=list(location.hosts),
        queues=[lane.name for lane in all_lanes(topology) if lane.location.full_name == location.full_name],
        hours_left=hours_left,
        **{name: getattr(known, name, None) for name in _MEASURED},
        why=known.why if known else "",
    )


_MEASURED = (
    "condition",
    "changed_at",
    "measured_at",
    "total_bytes",
    "used_bytes",
    "free_bytes",
    "stored_bytes",
    "stored_copies",
    "share",
    "in_rate",
    "out_rate",
)
