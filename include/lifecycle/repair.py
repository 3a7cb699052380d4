"""Repairing an archive from another archive, where no buffer is left that could send the package.

Straight from the other store: that needs neither a buffer with room nor a further kind of transfer, and what is read is
compared with its checksum on the way, and once more when it is read back.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from include.lifecycle.sources import ArchiveCopy, nearest_first
from include.operations.stage import Planning
from include.topology import DataLocation, Topology

NOBODY_SENDS_IT = """
not exists (
  select from physical_copy b join data_location bl on bl.id = b.data_location_id
  where b.raw_data_package_id = p.id and bl.location_type = 'buffer' and bl.active
    and b.status not in ('corrupt', 'missing', 'deleted')
    and (bl.site = :site or (bl.site = any(:archive_sites) and (
      exists (select from data_location born where born.id = p.source_location_id and born.site = bl.site)
      or exists (
        select from data_transfer_package d join data_transfer_package_member m on m.data_transfer_package_id = d.id
        join data_transfer t on t.data_transfer_package_id = d.id
        where m.raw_data_package_id = p.id and d.is_primary and d.destination_location_id = bl.id
          and t.unpacking_status = 'completed')))))
and not exists (
  select from data_transfer_package d join data_transfer_package_member m on m.data_transfer_package_id = d.id
  join data_location target on target.id = d.destination_location_id
  left join data_transfer t on t.data_transfer_package_id = d.id
  where m.raw_data_package_id = p.id and target.site = :site and (t.id is null or (
    t.transfer_status not in ('failed', 'cancelled')
    and t.unpacking_status not in ('completed', 'failed', 'cancelled'))))
"""
"""As bundling does it: a site's archive is filled from its buffer; among archive sites the one where the package came
by the primary transfer, or was born, sends it."""

LOST_HERE = text(
    f"""
    select p.id, p.size_bytes, min(l.full_name) as archive
    from raw_data_package p
    join physical_copy c on c.raw_data_package_id = p.id and c.data_location_id <> :here and c.status = 'present'
      and c.verified_at is not null and c.checksum = p.checksum
    join data_location l on l.id = c.data_location_id and l.location_type = 'long_term_archive' and l.active
    where p.id in (select raw_data_package_id from physical_copy
        where raw_data_package_id is not null and status in ('corrupt', 'missing'))
      and not exists (select from physical_copy here where here.raw_data_package_id = p.id
        and here.data_location_id = :here and here.status not in ('corrupt', 'missing'))
      and not exists (select from operation o where o.raw_data_package_id = p.id and o.kind = 'archiving'
        and o.data_location_id = :here and o.status not in ('completed', 'cancelled'))
      and {NOBODY_SENDS_IT}
    group by p.id, p.size_bytes order by p.id limit :most
    """  # noqa: S608 - put together from constants of this file
)

IS_SENT_BY_NOBODY = text(f"select {NOBODY_SENDS_IT} from raw_data_package p where p.id = :package")  # noqa: S608 - the same


def lost_in_archive(planning: Planning, *, most: int) -> Sequence[Row[Any]]:
    """Return (id, size_bytes, archive) of packages that are to be repaired here from that archive, or another one."""
    values = {"here": planning.data_location_id, "most": most} | _sites(planning.location, planning.topology)
    return planning.session.execute(LOST_HERE, values).all()


def other_archive(
    session: Session, *, raw_data_package_id: int, at: DataLocation, topology: Topology
) -> ArchiveCopy | None:
    """Return the nearest verified copy in another archive; None if there is none, or a buffer can send the package."""
    values = {"package": raw_data_package_id} | _sites(at, topology)
    if not session.execute(IS_SENT_BY_NOBODY, values).scalar_one():
        return None
    copies = nearest_first(session, raw_data_package_id=raw_data_package_id, site=at.site)
    return next((copy for copy in copies if copy.full_name != at.full_name), None)


def _sites(location: DataLocation, topology: Topology) -> dict[str, object]:
    return {"site": location.site, "archive_sites": list(topology.archive_sites)}
