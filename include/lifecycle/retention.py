"""Which packages at a location have outstayed their time: candidates for deletion, in one set-based question.

A candidate is worth an operation, no more: the gate asks everything again, under lock, just before the bytes go.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, Row, text
from sqlalchemy.orm import Session

from include.lifecycle.copies import BEGUN, DELETABLE
from include.lifecycle.overrides import IN_FORCE
from include.lifecycle.pins import KEEPS
from include.policy import Policy
from include.retention import Release
from include.topology import LocationType

# What holds for a package here: one row for each module, from the policy's rules.
RULES = """
unnest(cast(:modules as bigint[]), cast(:archived_before as timestamptz[]), cast(:made_before as timestamptz[]),
  cast(:copies_needed as int[]), cast(:sites_needed as int[]))
  as rule(instrument_module_id, archived_before, made_before, copies, sites)
"""

# However long ago they were verified: if that is too long, the gate asks for a scrub.
SAFE = """
(select count(*) as copies, count(distinct l.site) as sites
 from physical_copy a join data_location l on l.id = a.data_location_id
 where a.raw_data_package_id = p.id and l.location_type = 'long_term_archive' and l.active and a.wanted
   and a.data_location_id <> :here and a.status = 'present' and a.verified_at is not null and a.checksum = p.checksum)
"""

IS_SAFE = f"""
(safe.copies >= rule.copies and safe.sites >= rule.sites
 or safe.copies > 0 and exists (select from copy_rule_override o where {IN_FORCE}))
"""

# Packages whose deletion had begun come first, and without conditions: their operation is gone, and what is left of
# them must either go or be given back, which the gate decides. Then what is safest, then what is oldest.
CANDIDATES = text(
    f"""
    select p.id, p.name, here.copies, here.size_bytes, here.begun
    from (
      select coalesce(c.raw_data_package_id, f.raw_data_package_id) as package_id, count(*) as copies,
        sum(c.size_bytes)::bigint as size_bytes, bool_or(c.status = any(:begun)) as begun
      from physical_copy c left join raw_data_file f on f.id = c.raw_data_file_id
      where c.data_location_id = :here and c.status = any(:deletable)
      group by 1
    ) here
    join raw_data_package p on p.id = here.package_id
    left join {RULES} on rule.instrument_module_id = p.instrument_module_id
    cross join lateral {SAFE} safe
    where (
      here.begun
      or (
        p.state = 'archived' and p.archived_at <= rule.archived_before and p.created_at <= rule.made_before
        and {IS_SAFE}
        and not ({KEEPS})
        and not exists (
          select from staging_job j join staging_job_package m on m.staging_job_id = j.id
          where m.raw_data_package_id = p.id and j.data_location_id = :here and j.state = 'active' and j.until > :now
        )
      )
    )
    and (:with_operations or not exists (
      select from operation o
      where o.kind = 'deletion' and o.data_location_id = :here and o.raw_data_package_id = p.id
        and o.status not in ('completed', 'cancelled')
    ))
    order by here.begun desc, safe.sites desc, safe.copies desc, p.archived_at, p.id
    limit :most
    """  # noqa: S608 - put together from constants
)

PACKAGES_HERE = text(
    """
    select p.id, p.name, count(*) as copies, sum(c.size_bytes)::bigint as size_bytes
    from physical_copy c
    left join raw_data_file f on f.id = c.raw_data_file_id
    join raw_data_package p on p.id = coalesce(c.raw_data_package_id, f.raw_data_package_id)
    where c.data_location_id = :here and c.status = any(:deletable) and (:all_packages or p.name = any(:names))
    group by p.id, p.name
    order by p.id
    limit :most
    """
)

PLACE = text("select full_name, location_type from data_location where id = :here")

MODULES = text(
    "select m.id, i.name as instrument, m.name as module from instrument_module m"
    " join instrument i on i.id = m.instrument_id order by m.id"
)

# Raw files whose package went on its way: its tar in the site's buffers is gone, or it is archived as policy says.
# Whoever is at work on a package has it locked, and it comes next time.
FREED = text(
    f"""
    select p.id from raw_data_package p
    left join {RULES} on rule.instrument_module_id = p.instrument_module_id
    cross join lateral {SAFE} safe
    where p.id in (
        select f.raw_data_package_id from physical_copy c join raw_data_file f on f.id = c.raw_data_file_id
        where c.data_location_id = :here and c.status = 'present')
      and p.state = 'archived' and safe.copies > 0
      and (safe.copies >= rule.copies and safe.sites >= rule.sites or exists (
        select from physical_copy b join data_location l on l.id = b.data_location_id
        where b.raw_data_package_id = p.id and b.status = 'deleted' and l.location_type = 'buffer'
          and l.site = (select site from data_location where id = :here)))
    order by p.id limit :most
    for no key update of p skip locked
    """  # noqa: S608 - the same
)

MARK = text(
    """
    update physical_copy c set status = 'deletion_possible' from raw_data_file f
    where f.raw_data_package_id = any(:packages) and c.raw_data_file_id = f.id and c.data_location_id = :here
      and c.status = 'present'
    """
)


def candidates(
    session: Session,
    *,
    data_location_id: int,
    policy: Policy,
    now: datetime,
    most: int,
    pressure: bool = False,
    with_operations: bool = False,
) -> Sequence[Row[tuple[int, str, int, int, bool]]]:
    """Return (id, name, copies, size_bytes, begun) of packages that may probably go, the safest and oldest first.

    Under `pressure` those too whose time is not over and those that go by pressure only; never one in its grace period.
    Those whose deletion is planned already come only `with_operations`.
    """
    values = _rules(session, data_location_id=data_location_id, policy=policy, now=now, pressure=pressure)
    return session.execute(
        CANDIDATES,
        {
            **values,
            "begun": list(BEGUN),
            "deletable": list(DELETABLE),
            "now": now,
            "most": most,
            "with_operations": with_operations,
        },
    ).all()


def mark_deletion_possible(session: Session, *, data_location_id: int, policy: Policy, now: datetime, most: int) -> int:
    """Make raw files at a SOURCE deletion_possible once their package is out of the way; return how many.

    The first of their two steps; the second, by age or by pressure, is deletion. Locks the packages it takes, `most` of
    them.
    """
    values = _rules(session, data_location_id=data_location_id, policy=policy, now=now, pressure=True)
    packages = list(session.execute(FREED, {**values, "most": most}).scalars())
    if not packages:
        return 0
    marked = session.execute(MARK, {"packages": packages, "here": data_location_id})
    return cast("CursorResult[Any]", marked).rowcount


def _rules(
    session: Session, *, data_location_id: int, policy: Policy, now: datetime, pressure: bool
) -> dict[str, object]:
    """What the statements' rules are at a location: a row for each module of which anything may go."""
    place = session.execute(PLACE, {"here": data_location_id}).one()
    modules, archived_before, made_before, copies, sites = [], [], [], [], []
    for module in session.execute(MODULES):
        retention = policy.retention_at(
            location_type=LocationType(place.location_type),
            full_name=place.full_name,
            instrument=module.instrument,
            module=module.module,
        )
        if retention.release is Release.BY_PRESSURE and not pressure:
            continue
        grace = timedelta(seconds=retention.grace_seconds)
        modules.append(module.id)
        archived_before.append(now - (grace if pressure else max(grace, timedelta(days=retention.keep_days))))
        made_before.append(now - timedelta(days=0 if pressure else retention.keep_days_after_filing))
        copies.append(retention.archive_copies)
        sites.append(retention.archive_sites)
    return {
        "here": data_location_id,
        "modules": modules,
        "archived_before": archived_before,
        "made_before": made_before,
        "copies_needed": copies,
        "sites_needed": sites,
    }


def packages_here(
    session: Session, *, data_location_id: int, names: Sequence[str], most: int
) -> Sequence[Row[tuple[int, str, int, int]]]:
    """Return (id, name, copies, size_bytes) of the packages that hold something at a location; no names: of all."""
    return session.execute(
        PACKAGES_HERE,
        {
            "here": data_location_id,
            "deletable": list(DELETABLE),
            "all_packages": not names,
            "names": list(names),
            "most": most,
        },
    ).all()
