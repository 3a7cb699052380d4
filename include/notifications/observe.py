"""What the alarms are judged by: read from ops-db in a few bounded statements, every minute."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import Connection, TextClause, text

from include.health.heartbeat import heartbeats
from include.lanes import all_lanes
from include.lifecycle.alarms import cut_sites
from include.notifications.observed import (
    BadCopies,
    BrakeSeen,
    ChannelSeen,
    LaneSeen,
    Listening,
    Observed,
    SourceSeen,
    StagingSeen,
)
from include.notifications.refused import refused_filings
from include.ops_db.measurements import how_full
from include.topology import Topology

Seen = TypeVar("Seen")

NOBODY_ASKED: Mapping[str, bool] = MappingProxyType({})

FAILING_ATTEMPTS = 3
"""A channel that did not take a message so often is told of."""

# Of a lane its head is looked at: there may be a million behind it, and when the head does not move, nothing does. What
# was handed back in the middle (a long transfer) shows that somebody is at work, between two leases, too.
LANES = text(
    """
    select lane.kind, l.full_name as location, l.site, head.due, head.nobody, failed.failed, failed.why as failed_why,
      least(head.oldest_at, begun.oldest_at) as oldest_at, coalesce(head.why, begun.why) as why,
      coalesce(begun.is_leased, false) or coalesce(head.is_handed_back, false) as is_at_work,
      (select max(finished_at) from operation where data_location_id = l.id and kind = lane.kind
        and status = 'completed') as completed_at
    from unnest(cast(:kinds as text[]), cast(:locations as text[])) as lane(kind, location)
    join data_location l on l.full_name = lane.location
    cross join lateral (
      select count(*) as due, min(created_at) as oldest_at,
        (array_agg('operation ' || id || ': ' || explanation order by created_at, id))[1] as why,
        bool_or(explanation like 'It waits: no worker listens to queue %') as nobody,
        bool_or(failure_count = 0 and not_before is null
          and scheduled_at > now() - make_interval(secs => :stalled_seconds)) as is_handed_back
      from (select * from operation where data_location_id = l.id and kind = lane.kind and status = 'pending'
        order by priority desc, id limit 1000) pending
      where not_before is null or not_before <= now() or failure_count > 0) head
    cross join lateral (
      select min(created_at) as oldest_at,
        (array_agg('operation ' || id || ': ' || explanation order by created_at, id))[1] as why,
        bool_or(status = 'in_progress' and lease_expires_at > now()) as is_leased
      from operation where data_location_id = l.id and kind = lane.kind and status in ('scheduled', 'in_progress')
      ) begun
    cross join lateral (
      select count(*) as failed,
        (array_agg('operation ' || id || ': ' || explanation order by created_at, id))[1] as why
      from (select * from operation where data_location_id = l.id and kind = lane.kind and status = 'failed'
        limit 1000) stuck) failed
    """
)

# Files that no plan of packaging has taken up wait, too: with that DAG paused there is no operation that could be late.
SOURCES = text(
    """
    select l.full_name as location, l.site, packages.packages, packages.size_bytes,
      least(packages.oldest_at, files.oldest_at) as oldest_at
    from data_location l
    cross join lateral (
      select count(*) as packages, coalesce(sum(content_bytes), 0)::bigint as size_bytes, min(created_at) as oldest_at
      from raw_data_package where source_location_id = l.id and archived_at is null and raw_files_gone_at is null
        and state <> 'failed') packages
    cross join lateral (
      select min(filed_at) as oldest_at from (select filed_at from raw_data_file
        where data_location_id = l.id and raw_data_package_id is null limit 20000) unpackaged) files
    where l.location_type = 'source' and l.active
    """
)

BAD_COPIES = text(
    """
    select l.full_name as location, l.site, l.location_type, count(*) as copies,
      (array_agg(p.name || ' (' || c.status || ')' order by c.id))[1:3] as named
    from physical_copy c join data_location l on l.id = c.data_location_id
    join raw_data_package p on p.id = c.raw_data_package_id
    where c.raw_data_package_id is not null and c.status in ('corrupt', 'missing') and l.active
    group by l.id, l.full_name, l.site, l.location_type
    """
)

BRAKES = text(
    """
    select b.id, l.full_name as location, l.site, b.asked_at, b.why
    from deletion_brake b join data_location l on l.id = b.data_location_id where b.answer is null
    """
)

STAGINGS = text(
    """
    select j.id, j.requested_by, l.full_name as location, l.site, count(*) as failed,
      (array_agg('operation ' || o.id || ': ' || o.explanation order by o.id))[1] as why
    from staging_job j join data_location l on l.id = j.data_location_id
    join staging_job_package m on m.staging_job_id = j.id
    join operation o on o.kind = 'staging' and o.data_location_id = j.data_location_id
      and o.raw_data_package_id = m.raw_data_package_id and o.status = 'failed'
    where j.state = 'active' and j.until > now()
    group by j.id, j.requested_by, l.full_name, l.site
    """
)

# Each host tells its clock with whatever it measures; a quarter of an hour ago is no news.
CLOCKS = text(
    """
    select distinct on (m.host) m.host, m.clock_ahead_seconds as ahead_seconds
    from data_location l cross join lateral (
      select host, measured_at, clock_ahead_seconds from location_measurement
      where data_location_id = l.id and measured_at > now() - interval '15 minutes'
      order by measured_at desc limit 20) m
    where m.clock_ahead_seconds is not null order by m.host, m.measured_at desc
    """
)

THROUGH = text(
    """
    select exists (
      select from operation o join data_transfer t on t.id = o.data_transfer_id
      join data_location origin on origin.id = t.origin_location_id
      where o.kind = 'transfer' and o.status = 'completed' and origin.site = :site
        and o.data_location_id = (select id from data_location where full_name = :destination)
        and o.finished_at > now() - make_interval(secs => :seconds))
    """
)

CHANNELS = text(
    """
    select channel, min(created_at) as since, max(attempts) as attempts,
      (array_agg(last_error order by id))[1] as last_error
    from notification where sent_at is null
      and (given_up_at is null and attempts >= :attempts or given_up_at > now() - interval '1 day' and attempts > 0)
    group by channel
    """
)


def observe(
    connection: Connection,
    *,
    topology: Topology,
    listening: Listening | None,
    reached: Mapping[str, bool] = NOBODY_ASKED,
) -> Observed:
    """Look at all of it; what the workers and the sites answered was asked before."""
    rules = topology.alarms
    lanes = all_lanes(topology)
    values = {
        "kinds": [lane.kind.value for lane in lanes],
        "locations": [lane.location.full_name for lane in lanes],
        "stalled_seconds": rules.lane_stalled.hours * 3600,
    }
    cuts = [
        cut
        for cut in cut_sites(connection)
        if not connection.execute(
            THROUGH, {"site": cut.site, "destination": cut.destination, "seconds": rules.link_down.seconds}
        ).scalar_one()
    ]
    beats = heartbeats(connection)
    ahead = {row.host: row.ahead_seconds for row in connection.execute(CLOCKS)}
    return Observed(
        now=connection.execute(text("select clock_timestamp()")).scalar_one(),
        places=how_full(connection),
        cuts=cuts,
        lanes=_all(connection, LANES, LaneSeen, **values),
        sources=_all(connection, SOURCES, SourceSeen),
        bad_copies=_all(connection, BAD_COPIES, BadCopies),
        brakes=_all(connection, BRAKES, BrakeSeen),
        stagings=_all(connection, STAGINGS, StagingSeen),
        filings=refused_filings(connection, days=rules.filing_refused.days),
        channels=_all(connection, CHANNELS, ChannelSeen, attempts=FAILING_ATTEMPTS),
        clocks_ahead=ahead | {name: beat.clock_ahead_seconds for name, beat in beats.items() if beat.is_fresh},
        heartbeats=beats,
        reached=reached,
        listening=listening,
    )


def _all(connection: Connection, statement: TextClause, kind: type[Seen], **values: Any) -> list[Seen]:
    return [kind(**row) for row in connection.execute(statement, values).mappings()]
