"""Points of what routes carried, window by window, against what their timetables allow."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from include.metrics.point import Point
from include.timetable import rate_at
from include.topology import Topology

WINDOW = timedelta(minutes=5)
LATE = timedelta(minutes=45)
"""A transfer hands back after half an hour, and tells only then how much it moved."""
MOST_WINDOWS = 300
"""A day of them."""

# Each attempt's bytes are spread evenly over its time.
CARRIED = text(
    """
    select origin.full_name as origin, destination.full_name as destination, destination.site,
      cast(:begins_at as timestamptz) + w.place * cast(:length as interval) as ends_at,
      sum(a.size_bytes
        * extract(epoch from least(a.finished_at, w.ends_at) - greatest(a.started_at, w.begins_at))
        / extract(epoch from a.finished_at - a.started_at)) as size_bytes
    from (
      select place, cast(:begins_at as timestamptz) + (place - 1) * cast(:length as interval) as begins_at,
        cast(:begins_at as timestamptz) + place * cast(:length as interval) as ends_at
      from generate_series(1, :windows) as place) w
    join operation_attempt a on a.started_at < w.ends_at and a.finished_at > w.begins_at
      and a.finished_at > a.started_at and a.size_bytes > 0
    join operation_ever o on o.id = a.operation_id and o.kind = 'transfer'
    join data_transfer t on t.id = o.data_transfer_id
    join data_location origin on origin.id = t.origin_location_id
    join data_location destination on destination.id = t.destination_location_id
    where a.finished_at > :begins_at and a.finished_at < cast(:ends_at as timestamptz) + interval '1 day'
    group by origin.full_name, destination.full_name, destination.site, w.place
    """
)


def windows_after(until: datetime, *, now: datetime) -> int:
    """Return how many windows have ended since `until`, and may be told."""
    return max(0, min(MOST_WINDOWS, (now - LATE - until) // WINDOW))


def first_window(now: datetime) -> datetime:
    """Return where windows begin if none was ever told: at whole five minutes."""
    before = now - LATE
    return before.replace(minute=before.minute // 5 * 5, second=0, microsecond=0)


def carried(connection: Connection, *, after: datetime, windows: int, topology: Topology) -> Iterator[Point]:
    """Yield a point for each window and each route on which something was moved, or which has a timetable."""
    ends = [after + WINDOW * place for place in range(1, windows + 1)]
    values = {"begins_at": after, "length": WINDOW, "windows": windows, "ends_at": ends[-1]}
    moved = {
        (row.origin, row.destination, row.site, row.ends_at): float(row.size_bytes)
        for row in connection.execute(CARRIED, values)
    }
    ways = {key[:3] for key in moved} | {
        (route.from_location, route.to_location, topology.location(route.to_location).site)
        for route in topology.routes
        if route.timetable
    }
    for origin, destination, site in sorted(ways):
        known = {location.full_name for location in topology.data_locations}
        route = topology.route(origin=origin, destination=destination) if {origin, destination} <= known else None
        for ends_at in ends:
            size_bytes = moved.get((origin, destination, site, ends_at), 0.0)
            allowed = rate_at(route.timetable, instant=ends_at - WINDOW / 2, zone=route.zone) if route else None
            yield Point(
                measurement="dts_link",
                tags={"route": f"{origin} to {destination}", "site": site},
                fields={
                    "size_bytes": round(size_bytes),
                    "bytes_per_second": size_bytes / WINDOW.total_seconds(),
                    "allowed_bytes_per_second": allowed.bytes_per_second if allowed else None,
                },
                at=ends_at,
            )
