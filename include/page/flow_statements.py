"""What the flow is read with: a handful of statements, each by an index, however many packages there are."""

from sqlalchemy import text

# Live operations only. The sentence is that of the oldest problem: one that failed, else that fails, else the oldest.
STAGES = text(
    """
    with live as (
      select o.data_location_id, o.kind,
        count(*) filter (where o.status in ('pending', 'scheduled')) as waiting,
        count(*) filter (where o.status = 'in_progress') as moving,
        count(*) filter (where o.status = 'failed') as failed,
        count(*) filter (where o.status <> 'failed' and o.failure_count > 0) as troubled,
        coalesce(sum(o.size_bytes) filter (where o.status in ('pending', 'scheduled')), 0)::bigint as waiting_bytes,
        coalesce(sum(o.size_bytes) filter (where o.status = 'in_progress'), 0)::bigint as moving_bytes,
        extract(epoch from now() - min(o.created_at))::float as oldest_seconds,
        coalesce(min(o.id) filter (where o.status = 'failed'), min(o.id) filter (where o.failure_count > 0),
          min(o.id)) as worst
      from operation o where o.status not in ('completed', 'cancelled')
      group by o.data_location_id, o.kind
    )
    select l.full_name as location, live.kind, live.waiting, live.moving, live.failed, live.troubled,
      live.waiting_bytes, live.moving_bytes, live.oldest_seconds, live.worst as operation, o.explanation as why
    from live join data_location l on l.id = live.data_location_id join operation o on o.id = live.worst
    """
)

DONE = text(
    """
    select lane.location, lane.kind, done.count, done.size_bytes
    from unnest(cast(:locations as text[]), cast(:kinds as text[])) as lane(location, kind)
    join data_location l on l.full_name = lane.location
    cross join lateral (
      select count(*) as count, coalesce(sum(o.size_bytes), 0)::bigint as size_bytes from operation o
      where o.data_location_id = l.id and o.kind = lane.kind and o.status = 'completed'
        and o.finished_at > now() - interval '1 hour') done
    where done.count > 0
    """
)

TRANSFERS = text(
    """
    select o.id, o.status, o.size_bytes, r.size_bytes as left_bytes, origin.full_name as origin,
      destination.full_name as destination, o.failure_count, o.explanation,
      extract(epoch from now() - o.created_at)::float as age_seconds,
      extract(epoch from now() - a.started_at)::float as running_seconds
    from operation o
    join data_transfer t on t.id = o.data_transfer_id
    join data_location origin on origin.id = t.origin_location_id
    join data_location destination on destination.id = t.destination_location_id
    left join space_reservation r on r.operation_id = o.id and r.lease_token = o.lease_token
      and o.status = 'in_progress'
    left join lateral (select started_at from operation_attempt a
      where o.status = 'in_progress' and a.operation_id = o.id order by a.number desc limit 1) a on true
    where o.kind = 'transfer' and o.status not in ('completed', 'cancelled')
    order by o.status = 'failed' desc, o.failure_count > 0 desc, o.created_at, o.id
    """
)

# What ended since the look before: its bytes have not been counted yet to their end.
TRANSFERRED = text(
    """
    select o.id, o.size_bytes, origin.full_name as origin, destination.full_name as destination,
      extract(epoch from now() - o.finished_at)::float as ago_seconds
    from data_location l
    join operation o on o.data_location_id = l.id and o.kind = 'transfer' and o.status = 'completed'
      and o.finished_at > now() - interval '1 hour'
    join data_transfer t on t.id = o.data_transfer_id
    join data_location origin on origin.id = t.origin_location_id
    join data_location destination on destination.id = t.destination_location_id
    """
)

OPEN_BUNDLES = text(
    """
    select origin.full_name as origin, destination.full_name as destination, count(*) as packages,
      coalesce(sum(p.size_bytes), 0)::bigint as size_bytes
    from data_transfer_package b
    join data_transfer_package_member m on m.data_transfer_package_id = b.id
    join raw_data_package p on p.id = m.raw_data_package_id
    join data_location origin on origin.id = b.origin_location_id
    join data_location destination on destination.id = b.destination_location_id
    where b.state = 'open' group by origin.full_name, destination.full_name
    """
)

# What no archive has yet, and what no package has yet.
BEHIND = text(
    """
    select l.full_name as location, packages.count as packages, packages.size_bytes, packages.oldest_at,
      files.count as files, files.size_bytes as file_bytes, files.oldest_at as oldest_file_at
    from data_location l
    cross join lateral (
      select count(*) as count, coalesce(sum(coalesce(p.size_bytes, p.content_bytes)), 0)::bigint as size_bytes,
        min(p.created_at) as oldest_at
      from raw_data_package p
      where p.source_location_id = l.id and p.archived_at is null and p.raw_files_gone_at is null) packages
    cross join lateral (
      select count(*) as count, coalesce(sum(f.size_bytes), 0)::bigint as size_bytes, min(f.filed_at) as oldest_at
      from raw_data_file f where f.data_location_id = l.id and f.raw_data_package_id is null) files
    where l.location_type = 'source' and l.active
    """
)

DECISIONS = text(
    """
    select origin.full_name as origin, destination.full_name as destination, r.streams, d.decided_at,
      d.streams as streams_then, d.why, d.operation_id
    from data_transfer_route r
    join data_location origin on origin.id = r.origin_location_id
    join data_location destination on destination.id = r.destination_location_id
    left join lateral (select * from transfer_decision d where d.data_transfer_route_id = r.id
      order by d.id desc limit :most) d on true
    order by r.id, d.id desc
    """
)

ALARMS = text(
    """
    select key, severity, site, location, sentence, since, acknowledged_by from alarm
    where raised_at is not null and cleared_at is null
    order by array_position(array['info', 'warning', 'critical'], severity::text) desc, raised_at, id limit 50
    """
)

WAITING_FOR_PEOPLE = text(
    """
    select (select count(*) from deletion_brake where answer is null) as brakes,
      (select count(*) from filing where state = 'received') as filings,
      (select count(*) from filing where state = 'refused' and received_at > now() - interval '1 day') as refused,
      (select sha256 from topology_version order by id desc limit 1) as topology, now() as now
    """
)
