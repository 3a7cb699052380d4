"""Where the events in a package's life stand in ops-db, a statement for each kind of row.

All are about `:packages`; they find their rows by index, and what is long gone everywhere is found as well.
"""

from sqlalchemy import text

FILED = text(
    """
    select f.received_at as at, l.full_name as place, f.received_from as by, f.id as filing, f.dag_run_id as run_id,
      count(*) as files, sum(r.size_bytes)::bigint as size_bytes, p.name as package
    from raw_data_package p join raw_data_file r on r.raw_data_package_id = p.id
    join filing f on f.id = r.filing_id join data_location l on l.id = r.data_location_id
    where p.id = any(:packages) group by f.id, l.full_name, p.name
    """
)

PACKAGED = text(
    """
    select p.packaged_at as at, l.full_name as place, p.file_count as files, p.size_bytes, p.checksum, p.name as package
    from raw_data_package p join data_location l on l.id = p.source_location_id
    where p.id = any(:packages) and p.packaged_at is not null
    """
)

MOVED = text(
    """
    select b.id as bundle, t.id as transfer, coalesce(b.closed_at, b.opened_at) as bundled_at, b.state, b.is_primary,
      origin.full_name as origin, destination.full_name as destination, t.transferred_at, t.unpacked_at,
      p.name as package, p.size_bytes
    from data_transfer_package_member m join raw_data_package p on p.id = m.raw_data_package_id
    join data_transfer_package b on b.id = m.data_transfer_package_id
    join data_location origin on origin.id = b.origin_location_id
    join data_location destination on destination.id = b.destination_location_id
    left join data_transfer t on t.data_transfer_package_id = b.id
    where m.raw_data_package_id = any(:packages)
    """
)

COPIES = text(
    """
    select l.full_name as place, l.location_type, c.status, c.created_at, c.verified_at, c.deleted_at, c.checksum,
      c.size_bytes, case l.location_type when 'processing' then p.file_count else 1 end as files, p.name as package
    from physical_copy c join raw_data_package p on p.id = c.raw_data_package_id
    join data_location l on l.id = c.data_location_id
    where c.raw_data_package_id = any(:packages)
    union all
    select l.full_name, l.location_type, c.status, min(c.created_at), max(c.verified_at), max(c.deleted_at), null,
      sum(c.size_bytes)::bigint, count(*), p.name
    from raw_data_package p join raw_data_file f on f.raw_data_package_id = p.id
    join physical_copy c on c.raw_data_file_id = f.id
    join data_location l on l.id = c.data_location_id
    where p.id = any(:packages)
    group by l.full_name, l.location_type, c.status, p.name
    """
)

# A copy that is staged, or comes, again has the same row: of what it went through before, attempts know.
EARLIER = text(
    """
    select a.finished_at as at, l.full_name as place,
      case o.kind when 'staging' then 'staged' else 'deleted' end as what,
      case o.kind when 'staging' then p.content_bytes else a.size_bytes end as size_bytes, p.name as package
    from operation_ever o join operation_attempt a on a.operation_id = o.id
    join data_location l on l.id = o.data_location_id join raw_data_package p on p.id = o.raw_data_package_id
    where o.raw_data_package_id = any(:packages) and o.kind in ('staging', 'deletion') and l.location_type <> 'source'
      and a.outcome = 'completed' and a.size_bytes > 0
      and not exists (
        select from physical_copy c where c.raw_data_package_id = p.id and c.data_location_id = l.id
          and case o.kind when 'staging' then c.verified_at else c.deleted_at end
            between a.started_at and a.finished_at)
    """
)

# What was tried and is worth telling: what failed for a person, what was read again, and a person's resets.
ATTEMPTS = text(
    """
    select a.finished_at as at, l.full_name as place, o.kind, a.outcome, a.person as by, a.run_id,
      coalesce(a.error_text, a.explanation) as said, p.name as package
    from operation_ever o join operation_attempt a on a.operation_id = o.id
    join data_location l on l.id = o.data_location_id
    left join physical_copy c on c.id = o.physical_copy_id
    join raw_data_package p on p.id = coalesce(o.raw_data_package_id, c.raw_data_package_id)
    where o.id in (
        select id from operation_ever where raw_data_package_id = any(:packages)
        union all select s.id from physical_copy k join operation_ever s on s.physical_copy_id = k.id
        where k.raw_data_package_id = any(:packages))
      and (a.outcome in ('integrity', 'permanent', 'reset') or o.kind = 'scrubbing' and a.outcome = 'completed')
    """
)

STAGING = text(
    """
    select e.recorded_at as at, l.full_name as place, e.event, coalesce(e.person, 'its date') as by, e.until, e.reason,
      j.id as job, p.name as package
    from staging_job_package m join raw_data_package p on p.id = m.raw_data_package_id
    join staging_job j on j.id = m.staging_job_id join staging_job_event e on e.staging_job_id = j.id
    join data_location l on l.id = j.data_location_id
    where m.raw_data_package_id = any(:packages)
    """
)

PINS = text(
    """
    select pin.pinned_at as at, pin.released_at, coalesce(l.full_name, 'everywhere') as place, pin.pinned_by as by,
      pin.released_by, pin.reason, pin.until, p.name as package
    from raw_data_package p
    join pin on pin.raw_data_package_id = p.id or pin.executed_obs_unit_id = p.executed_obs_unit_id
    left join data_location l on l.id = pin.data_location_id
    where p.id = any(:packages)
    """
)

OVERRIDES = text(
    """
    select o.asked_at as at, o.confirmed_at, l.full_name as place, o.asked_by as by, o.confirmed_by, o.reason,
      o.expires_at, p.name as package
    from raw_data_package p
    join copy_rule_override o on o.raw_data_package_id = p.id or o.executed_obs_unit_id = p.executed_obs_unit_id
    join data_location l on l.id = o.data_location_id
    where p.id = any(:packages)
    """
)

REQUESTS = text(
    """
    select r.requested_at as at, l.full_name as place, r.requested_by as by, r.reason, p.name as package
    from deletion_request r join raw_data_package p on p.id = r.raw_data_package_id
    join data_location l on l.id = r.data_location_id
    where r.raw_data_package_id = any(:packages)
    """
)

BRAKE = text(
    """
    select b.id as question, b.asked_at as at, l.full_name as place, b.requested_by as by, b.run_id, b.package_count,
      b.answer, b.answered_at, b.answered_by, b.reason, b.lifted_at, b.lifted_by, b.lift_reason, p.name as package
    from deletion_brake_package m join raw_data_package p on p.id = m.raw_data_package_id
    join deletion_brake b on b.id = m.deletion_brake_id join data_location l on l.id = b.data_location_id
    where m.raw_data_package_id = any(:packages)
    """
)

RECORDS = text(
    """
    select d.recorded_at as at, l.full_name as place, d.requested_by as by, d.run_id, d.reason, d.copy_count as files,
      d.size_bytes, d.topology_version_id as policy_version, d.evidence, d.copy_rule_override_id as override,
      p.name as package
    from deletion_record d join raw_data_package p on p.id = d.raw_data_package_id
    join data_location l on l.id = d.data_location_id
    where d.raw_data_package_id = any(:packages)
    """
)
