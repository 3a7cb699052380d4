"""Points of how things stand: lanes, locations, archives, the system; read from ops-db in a few bounded statements."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, text

from include.health.heartbeat import heartbeats
from include.lanes import all_lanes
from include.metrics.catalogue import CONDITIONS
from include.metrics.point import Point
from include.ops_db.measurements import how_full
from include.topology import Topology

ARCHIVES_SECONDS = 600
"""Counting what is in the archives takes seconds once there are millions of packages."""

# By index only: the oldest of a lane is that with the smallest id.
LANES = text(
    """
    with live as (
      select data_location_id, kind, status, count(*) as operations, min(id) as oldest from operation
      where status = 'pending' group by data_location_id, kind, status
      union all
      select data_location_id, kind, status, count(*), min(id) from operation
      where status in ('scheduled', 'in_progress', 'failed') group by data_location_id, kind, status
    )
    select l.full_name, live.kind,
      coalesce(sum(live.operations) filter (where live.status = 'pending'), 0)::bigint as pending,
      coalesce(sum(live.operations) filter (where live.status = 'scheduled'), 0)::bigint as scheduled,
      coalesce(sum(live.operations) filter (where live.status = 'in_progress'), 0)::bigint as running,
      coalesce(sum(live.operations) filter (where live.status = 'failed'), 0)::bigint as failed,
      extract(epoch from clock_timestamp() - (select created_at from operation where id = min(live.oldest)))::float
        as oldest_seconds
    from live join data_location l on l.id = live.data_location_id
    group by l.full_name, live.kind
    """
)

RESERVED = text(
    """
    select l.full_name, sum(r.size_bytes)::bigint as size_bytes from space_reservation r
    join operation o on o.id = r.operation_id and o.lease_token = r.lease_token
      and o.status = 'in_progress' and o.lease_expires_at > now()
    join data_location l on l.id = r.data_location_id
    group by l.full_name
    """
)

ARCHIVES = text(
    """
    select l.full_name, l.site, i.name as instrument,
      count(*) filter (where c.status = 'present') as packages,
      coalesce(sum(c.size_bytes) filter (where c.status = 'present'), 0)::bigint as size_bytes,
      count(*) filter (where c.status in ('corrupt', 'missing')) as damaged
    from physical_copy c join data_location l on l.id = c.data_location_id
    join raw_data_package p on p.id = c.raw_data_package_id
    join executed_obs_unit u on u.id = p.executed_obs_unit_id
    join instrument i on i.id = u.instrument_id
    where l.location_type = 'long_term_archive' and l.active
    group by l.full_name, l.site, i.name
    """
)
# When a round found them counted last: whoever wins the update counts.
COUNTS = text(
    """
    insert into metric_export (stream, until_at) values ('archives', :now)
    on conflict (stream) do update set until_at = excluded.until_at
      where metric_export.until_at <= excluded.until_at - make_interval(secs => :seconds)
    returning stream
    """
)

SYSTEM = text(
    """
    select (select count(*) from filing where state = 'received') as filings,
      (select count(*) from alarm where raised_at is not null and cleared_at is null) as alarms,
      (select count(*) from alarm where raised_at is not null and cleared_at is null and severity = 'critical')
        as critical,
      pg_database_size(current_database()) as size_bytes,
      (select extract(epoch from clock_timestamp() - coalesce(exported_at, until_at))::float from metric_export
        where stream = 'attempts') as behind
    """
)


def sample(connection: Connection, *, topology: Topology, now: datetime) -> list[Point]:
    """Look at all of it; at archives only if nobody has for ten minutes."""
    points = standing(connection, topology=topology, now=now)
    if connection.execute(COUNTS, {"now": now, "seconds": ARCHIVES_SECONDS - 1}).first() is not None:
        points += archives(connection, now=now)
    return points


def standing(connection: Connection, *, topology: Topology, now: datetime) -> list[Point]:
    """Look at what can be looked at every few seconds."""
    return [
        *lanes(connection, topology=topology, now=now),
        *locations(connection, topology=topology, now=now),
        *workers(connection, topology=topology, now=now),
        system(connection, now=now),
    ]


def lanes(connection: Connection, *, topology: Topology, now: datetime) -> Iterator[Point]:
    """Yield a point for each lane of the topology, also of those with nothing to do."""
    found = {(row.full_name, row.kind): row for row in connection.execute(LANES)}
    for lane in all_lanes(topology):
        row = found.get((lane.location.full_name, lane.kind.value))
        yield Point(
            measurement="dts_lane",
            tags={"stage": lane.kind, "site": lane.location.site, "location": lane.location.full_name},
            fields={
                "pending": row.pending if row else 0,
                "scheduled": row.scheduled if row else 0,
                "running": row.running if row else 0,
                "failed": row.failed if row else 0,
                "oldest_seconds": row.oldest_seconds if row else 0.0,
                "slots": lane.slots,
            },
            at=now,
        )


def locations(connection: Connection, *, topology: Topology, now: datetime) -> Iterator[Point]:
    """Yield a point for each location of the topology that somebody has looked at."""
    types = {location.full_name: location.location_type for location in topology.data_locations}
    reserved = {row.full_name: row.size_bytes for row in connection.execute(RESERVED)}
    for place in how_full(connection).values():
        if place.full_name not in types:
            continue
        full_at = place.full_at(rate=place.net_rate)
        yield Point(
            measurement="dts_location",
            tags={"site": place.site, "location": place.full_name, "location_type": types[place.full_name]},
            fields={
                "total_bytes": place.total_bytes,
                "used_bytes": place.used_bytes,
                "free_bytes": place.free_bytes,
                "reserved_bytes": reserved.get(place.full_name, 0),
                "stored_bytes": place.stored_bytes,
                "stored_copies": place.stored_copies,
                "hours_left": max((full_at - now).total_seconds() / 3600, 0.0) if full_at else None,
                "condition": CONDITIONS[place.condition],
                "looked_at_seconds": max((now - place.measured_at).total_seconds(), 0.0),
            },
            at=now,
        )


def workers(connection: Connection, *, topology: Topology, now: datetime) -> Iterator[Point]:
    """Yield a point for each worker host of the topology that ever sent a heartbeat."""
    beats = heartbeats(connection)
    for host in topology.hosts:
        beat = beats.get(host.name)
        if beat is None:
            continue
        yield Point(
            measurement="dts_worker",
            tags={"site": host.site, "host": host.name},
            fields={
                "up": int(beat.is_fresh),
                "heartbeat_seconds": beat.age_seconds,
                "queues": len(beat.queues),
                "clock_ahead_seconds": beat.clock_ahead_seconds,
                "free_bytes": beat.free_bytes,
                "unreached": len(beat.unreached),
            },
            at=now,
        )


def archives(connection: Connection, *, now: datetime) -> Iterator[Point]:
    """Yield a point for each archive and instrument with anything in it."""
    for row in connection.execute(ARCHIVES):
        yield Point(
            measurement="dts_archive",
            tags={"site": row.site, "location": row.full_name, "instrument": row.instrument},
            fields={"packages": row.packages, "size_bytes": row.size_bytes, "damaged_packages": row.damaged},
            at=now,
        )


def system(connection: Connection, *, now: datetime) -> Point:
    """Return the point of the whole."""
    row = connection.execute(SYSTEM).one()
    return Point(
        measurement="dts_system",
        tags={},
        fields={
            "filings_waiting": row.filings,
            "alarms": row.alarms,
            "critical_alarms": row.critical,
            "ops_db_bytes": row.size_bytes,
            "export_behind_seconds": row.behind,
        },
        at=now,
    )
