"""What the transfers of a route share in ops-db: its time, the number of connections, the timetable that is applied."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

from sqlalchemy import Connection, Engine, text

from include.timetable import Rate, in_words, rate_at
from include.topology import Route
from include.transfer.pace import SAVED_SECONDS

# One statement, one row, one moment: until when the route's time is promised. What nobody used is gone, but for a
# moment; a server's clock that was set back must not stop the route.
PROMISE = text(
    f"""
    update data_transfer_route set promised_until = make_interval(secs => :seconds)
      + least(greatest(promised_until, clock_timestamp() - interval '{SAVED_SECONDS} seconds'),
              clock_timestamp() + interval '2 minutes')
    where id = :route
    returning extract(epoch from promised_until - clock_timestamp()) as ends_in
    """  # noqa: S608 - put together from constants
)

# What the applied topology says about a route or about other buffers of these sites (as Topology.route), and the rows
# of both, made if need be: what is said of one buffer holds for all of a site together, so they share the time of the
# one that it is said of.
SHARED = text(
    """
    with version as (
      select id, document from topology_version order by id desc limit 1
    ), ends as (
      select here.id as origin_id, there.id as destination_id, here.site as origin_site, there.site as destination_site
      from data_location here, data_location there where here.full_name = :origin and there.full_name = :destination
    ), said as (
      select from_there.id as origin_id, to_there.id as destination_id, route.document
      from ends, version, jsonb_array_elements(version.document -> 'routes') with ordinality as route(document, place)
      join data_location from_there on from_there.full_name = route.document ->> 'from_location'
      join data_location to_there on to_there.full_name = route.document ->> 'to_location'
      where (from_there.id, to_there.id) = (ends.origin_id, ends.destination_id)
        or ((from_there.site, to_there.site) = (ends.origin_site, ends.destination_site)
          and route.document ->> 'moved_by' <> 'direct')
      order by (from_there.id, to_there.id) = (ends.origin_id, ends.destination_id) desc,
        from_there.id = ends.origin_id desc, route.place
      limit 1
    ), known as (
      insert into data_transfer_route (origin_location_id, destination_location_id)
      select origin_id, destination_id from ends union select origin_id, destination_id from said
      order by origin_id, destination_id
      on conflict (origin_location_id, destination_location_id)
      do update set origin_location_id = excluded.origin_location_id
      returning id, origin_location_id as origin_id, destination_location_id as destination_id, streams
    )
    select mine.id, mine.streams, coalesce(paced.id, mine.id) as paced_by_id, version.id as version, said.document
    from ends join known mine using (origin_id, destination_id) left join version on true left join said on true
    left join known paced on (paced.origin_id, paced.destination_id) = (said.origin_id, said.destination_id)
    """
)


@dataclass(frozen=True, slots=True)
class SharedRoute:
    """What all transfers of a route share."""

    id: int
    streams: int | None
    """How many connections the last transfer ended with."""
    paced_by_id: int
    """The route whose time its transfers take: its own, or that between the sites' buffers which a timetable names."""
    topology_version: int | None
    route: Route
    """What that version says; if nothing, a route as any other."""


def shared_route(connection: Connection, *, origin: str, destination: str) -> SharedRoute:
    """Return what everything that goes from one location to another shares; one statement. Both are in ops-db."""
    row = connection.execute(SHARED, {"origin": origin, "destination": destination}).first()
    assert row is not None  # it is made if need be
    plain = Route(from_location=origin, to_location=destination)
    route = plain if row.document is None else Route.model_validate(row.document)
    return SharedRoute(row.id, row.streams, row.paced_by_id, row.version, route)


class RouteTimetable:
    """A route's timetable, as it is known now. `change` it from any thread; nobody who asks waits."""

    def __init__(self, route: Route) -> None:
        self._lock = Lock()
        self._route = route
        self._known: tuple[float, Rate] | None = None

    @property
    def route(self) -> Route:
        """What is known of the route."""
        return self._route

    def change(self, route: Route) -> None:
        """Hold to this one from now on."""
        with self._lock:
            self._route, self._known = route, None

    def rate(self) -> float | None:
        """Return what the timetable says now, bytes a second; None: no limit."""
        with self._lock:
            # It is worked out once a second: it is asked for with every lump.
            if self._known is None or time.monotonic() >= self._known[0]:
                now = datetime.now(UTC)
                rate = rate_at(self._route.timetable, instant=now, zone=self._route.zone)
                seconds = 1.0 if rate.until is None else min(1.0, (rate.until - now).total_seconds())
                self._known = (time.monotonic() + seconds, rate)
            return self._known[1].bytes_per_second


@dataclass(frozen=True)
class RoutePromises:
    """A route's time, handed out by ops-db: see `include.transfer.pace`."""

    engine: Engine
    route_id: int
    timetable: RouteTimetable

    def rate(self) -> float | None:
        """Return what the timetable says now, bytes a second; None: no limit."""
        return self.timetable.rate()

    def promise(self, seconds: float) -> float:
        """Have the route's next `seconds`, and return in how many seconds they begin. One round trip."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            row = connection.execute(PROMISE, {"route": self.route_id, "seconds": seconds}).one()
            return float(row.ends_in) - seconds


def timetable_now(route: Route, *, now: datetime) -> str:
    """Say what the timetable does to the route now; nothing if it has none."""
    if not route.timetable:
        return ""
    return in_words(rate_at(route.timetable, instant=now, zone=route.zone), now=now, zone=route.zone)
