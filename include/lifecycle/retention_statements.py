"""What looking for candidates says to ops-db. At a SOURCE everything begins with packages, elsewhere with their copies.

A SOURCE has millions of raw files behind it, and some thousand packages whose files are still there: an index on those
packages leads the way, and their files are looked at one package after the other.
"""

from sqlalchemy import text

from include.lifecycle.brake import HELD_BACK
from include.lifecycle.overrides import IN_FORCE
from include.lifecycle.pins import KEEPS

_RAW_FILES_HERE = """
raw_data_file f join physical_copy c on c.raw_data_file_id = f.id and c.data_location_id = :here
where f.raw_data_package_id = p.id
"""

# With a limit, for else the planner would rather read all raw files that there ever were.
_PACKAGES_AT_SOURCE = f"""
raw_data_package p
cross join lateral (select from {_RAW_FILES_HERE} and c.status = any(:deletable) limit 1) one
where p.source_location_id = :here and p.raw_files_gone_at is null
"""
_SIZE_AT_SOURCE = f"""
select count(*) as copies, sum(c.size_bytes)::bigint as size_bytes
from {_RAW_FILES_HERE} and c.status = any(:deletable)
"""  # noqa: S608 - put together from constants

_PACKAGES_ELSEWHERE = """
physical_copy c join raw_data_package p on p.id = c.raw_data_package_id
where c.data_location_id = :here and c.status = any(:deletable)
"""
_SIZE_ELSEWHERE = """
select count(*) as copies, sum(c.size_bytes)::bigint as size_bytes from physical_copy c
where c.raw_data_package_id = p.id and c.data_location_id = :here and c.status = any(:deletable)
"""

# What holds for a package here: one row for each module, from the policy's rules.
_RULES = """
unnest(cast(:modules as bigint[]), cast(:archived_before as timestamptz[]), cast(:made_before as timestamptz[]),
  cast(:copies_needed as int[]), cast(:sites_needed as int[]))
  as rule(instrument_module_id, archived_before, made_before, copies, sites)
"""

# However long ago they were verified: if that is too long, the gate asks for a scrub.
_SAFE = """
(select count(*) as copies, count(distinct l.site) as sites
 from physical_copy a join data_location l on l.id = a.data_location_id
 where a.raw_data_package_id = p.id and l.location_type = 'long_term_archive' and l.active and a.wanted
   and a.data_location_id <> :here and a.status = 'present' and a.verified_at is not null and a.checksum = p.checksum)
"""

_IS_SAFE = f"""
(safe.copies >= rule.copies and safe.sites >= rule.sites
 or safe.copies > 0 and exists (select from copy_rule_override o where {IN_FORCE}))
"""

_IS_PLANNED = """
exists (select from operation o where o.kind = 'deletion' and o.data_location_id = :here
  and o.raw_data_package_id = p.id and o.status not in ('completed', 'cancelled'))
"""

# Packages whose deletion had begun come first, and without conditions: their operation is gone, and what is left of
# them must either go or be given back, which the gate decides. Then what is safest, then what is oldest.
_CANDIDATES = """
with begun as materialized (
  select distinct coalesce(c.raw_data_package_id, f.raw_data_package_id) as id
  from physical_copy c left join raw_data_file f on f.id = c.raw_data_file_id
  where c.data_location_id = :here and c.status = any(:begun)
), free as materialized (
  select p.id, safe.sites, safe.copies, p.archived_at
  from (select p.* from {packages}) p
  join {rules} on rule.instrument_module_id = p.instrument_module_id
  cross join lateral {safe} safe
  where p.state = 'archived' and p.archived_at <= rule.archived_before and p.created_at <= rule.made_before
    and {is_safe}
    and not ({keeps})
    and (:with_held or not {held_back})
    and not exists (
      select from staging_job j join staging_job_package m on m.staging_job_id = j.id
      where m.raw_data_package_id = p.id and j.data_location_id = :here and j.state = 'active' and j.until > :now)
    and (:with_operations or not {is_planned})
    and p.id not in (select id from begun)
  order by safe.sites desc, safe.copies desc, p.archived_at, p.id limit :most
)
select p.id, p.name, here.copies, here.size_bytes, found.begun
from (
  select id, true as begun, null::bigint as sites, null::bigint as copies, null::timestamptz as archived_at from begun
  union all select id, false, sites, copies, archived_at from free
) found
join raw_data_package p on p.id = found.id
cross join lateral ({size}) here
where here.copies > 0 and (not found.begun or :with_operations or not {is_planned})
order by found.begun desc, found.sites desc, found.copies desc, p.archived_at, p.id
limit :most
"""

_PACKAGES_HERE = """
select p.id, p.name, here.copies, here.size_bytes
from (select p.id, p.name from {packages} and (:all_packages or p.name = any(:names))) p
cross join lateral ({size}) here
order by p.id limit :most
"""

_PARTS = {"rules": _RULES, "safe": _SAFE, "is_safe": _IS_SAFE, "keeps": KEEPS, "held_back": HELD_BACK}
_PARTS |= {"is_planned": _IS_PLANNED}
_AT_SOURCE = _PARTS | {"packages": _PACKAGES_AT_SOURCE, "size": _SIZE_AT_SOURCE}
_ELSEWHERE = _PARTS | {"packages": _PACKAGES_ELSEWHERE, "size": _SIZE_ELSEWHERE}

CANDIDATES_AT_SOURCE = text(_CANDIDATES.format(**_AT_SOURCE))
CANDIDATES_ELSEWHERE = text(_CANDIDATES.format(**_ELSEWHERE))
PACKAGES_AT_SOURCE = text(_PACKAGES_HERE.format(**_AT_SOURCE))
PACKAGES_ELSEWHERE = text(_PACKAGES_HERE.format(**_ELSEWHERE))

PLACE = text("select full_name, location_type from data_location where id = :here")

MODULES = text(
    "select m.id, i.name as instrument, m.name as module from instrument_module m"
    " join instrument i on i.id = m.instrument_id order by m.id"
)

# Whoever is at work on a package has it locked, and it comes next time.
FREED = text(
    f"""
    select p.id from raw_data_package p
    left join {_RULES} on rule.instrument_module_id = p.instrument_module_id
    cross join lateral {_SAFE} safe
    where p.source_location_id = :here and p.raw_files_gone_at is null and p.raw_files_freed_at is null
      and p.state = 'archived' and safe.copies > 0
      and (safe.copies >= rule.copies and safe.sites >= rule.sites or exists (
        select from physical_copy b join data_location l on l.id = b.data_location_id
        where b.raw_data_package_id = p.id and b.status = 'deleted' and l.location_type = 'buffer'
          and l.site = (select site from data_location where id = :here)))
    order by p.archived_at, p.id limit :most
    for no key update of p skip locked
    """  # noqa: S608 - put together from constants
)

FREE = text("update raw_data_package set raw_files_freed_at = now() where id = any(:packages)")

MARK = text(
    """
    update physical_copy c set status = 'deletion_possible' from raw_data_file f
    where f.raw_data_package_id = any(:packages) and c.raw_data_file_id = f.id and c.data_location_id = :here
      and c.status = 'present'
    """
)

GONE = text(
    f"""
    update raw_data_package set raw_files_gone_at = now() where id in (
      select p.id from raw_data_package p
      left join lateral (select true as here from {_RAW_FILES_HERE} and c.status not in ('deleted', 'missing')
        limit 1) one on true
      where p.source_location_id = :here and p.raw_files_gone_at is null and p.state = 'archived' and one.here is null
      order by p.id limit :most for no key update of p skip locked)
    """  # noqa: S608 - the same
)
