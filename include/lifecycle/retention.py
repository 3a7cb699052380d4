"""Which packages at a location have outstayed their time: candidates for deletion, in one set-based question.

A candidate is worth an operation, no more: the gate asks everything again, under lock, just before the bytes go.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from include.lifecycle.copies import BEGUN, DELETABLE
from include.topology import Policy

# Packages whose deletion had begun come first, and without conditions: their operation is gone, and what is left of
# them must either go or be given back, which the gate decides.
CANDIDATES = text(
    """
    select p.id, p.name, here.copies, here.size_bytes, here.begun
    from (
      select coalesce(c.raw_data_package_id, f.raw_data_package_id) as package_id, count(*) as copies,
        sum(c.size_bytes)::bigint as size_bytes, bool_or(c.status = any(:begun)) as begun
      from physical_copy c left join raw_data_file f on f.id = c.raw_data_file_id
      where c.data_location_id = :here and c.status = any(:deletable)
      group by 1
    ) here
    join raw_data_package p on p.id = here.package_id
    where (
      here.begun
      or (
        p.state = 'archived' and p.archived_at <= :archived_before
        and (
          select count(*) >= :archive_copies and count(distinct l.site) >= :archive_sites
          from physical_copy a join data_location l on l.id = a.data_location_id
          where a.raw_data_package_id = p.id and l.location_type = 'long_term_archive' and a.data_location_id <> :here
            and a.status = 'present' and a.verified_at is not null and a.checksum = p.checksum
        )
        and not exists (
          select from staging_job j join staging_job_package m on m.staging_job_id = j.id
          where m.raw_data_package_id = p.id and j.data_location_id = :here and j.state = 'active' and j.until > :now
        )
      )
    )
    and not exists (
      select from operation o
      where o.kind = 'deletion' and o.data_location_id = :here and o.raw_data_package_id = p.id
        and o.status not in ('completed', 'cancelled')
    )
    order by here.begun desc, p.archived_at, p.id
    limit :most
    """
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


def candidates(
    session: Session, *, data_location_id: int, policy: Policy, now: datetime, most: int
) -> Sequence[Row[tuple[int, str, int, int, bool]]]:
    """Return (id, name, copies, size_bytes, begun) of packages that may probably go and have no live operation."""
    return session.execute(
        CANDIDATES,
        {
            "here": data_location_id,
            "begun": list(BEGUN),
            "deletable": list(DELETABLE),
            "archived_before": now - timedelta(seconds=policy.deletion_grace_seconds),
            "archive_copies": policy.archive_copies,
            "archive_sites": policy.archive_sites,
            "now": now,
            "most": most,
        },
    ).all()


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
