"""Who reads a package's copies at a location, or writes them, so that they cannot go now."""

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.orm import Session

from include.topology import LocationType

# A failed operation counts: a person may have it tried again, and then it needs the copy. Not so staging: it reads from
# an archive, and before it writes it looks whether a deletion is on.
READERS = text(
    """
    select format('operation %s (%s at %s) is %s', o.id, o.kind, l.full_name, o.status) as reader
    from operation o join data_location l on l.id = o.data_location_id
    where o.raw_data_package_id = :package and o.status not in ('completed', 'cancelled') and case o.kind
      when 'packaging' then :location_type in ('source', 'buffer')
      when 'archiving' then :location_type = 'buffer' and (l.site = :site or l.full_name = any(:direct_archives))
      when 'staging' then o.data_location_id = :here and o.status = 'in_progress'
      else false end
    union all
    select format('data transfer %s from %s to %s is not finished (transfer %s, unpacking %s)',
      t.id, origin.full_name, destination.full_name, t.transfer_status, t.unpacking_status)
    from data_transfer_package_member m
    join data_transfer t using (data_transfer_package_id)
    join data_location origin on origin.id = t.origin_location_id
    join data_location destination on destination.id = t.destination_location_id
    where m.raw_data_package_id = :package and :here in (t.origin_location_id, t.destination_location_id)
      and t.unpacking_status not in ('completed', 'failed', 'cancelled')
      and t.transfer_status not in ('failed', 'cancelled')
    union all
    select format('operation %s (%s of data transfer %s) is %s', o.id, o.kind, t.id, o.status)
    from data_transfer_package_member m
    join data_transfer t using (data_transfer_package_id)
    join operation o on o.data_transfer_id = t.id
    where m.raw_data_package_id = :package and :here in (t.origin_location_id, t.destination_location_id)
      and o.status in ('scheduled', 'in_progress')
    union all
    select format('operation %s (%s) is %s, and reads it', o.id, o.kind, o.status)
    from physical_copy c join operation o on o.physical_copy_id = c.id
    where c.raw_data_package_id = :package and c.data_location_id = :here and o.status = 'in_progress'
    union all
    select format('bundle %s from %s to %s is not on its way yet', b.id, origin.full_name, destination.full_name)
    from data_transfer_package_member m
    join data_transfer_package b on b.id = m.data_transfer_package_id
    join data_location origin on origin.id = b.origin_location_id
    join data_location destination on destination.id = b.destination_location_id
    where m.raw_data_package_id = :package and b.origin_location_id = :here
      and (b.state = 'open' or not exists (select from data_transfer t where t.data_transfer_package_id = b.id))
    """
)


def readers_of(
    session: Session,
    *,
    raw_data_package_id: int,
    data_location_id: int,
    site: str,
    location_type: LocationType,
    direct_archives: Collection[str],
) -> list[str]:
    """Return a phrase for each: what it is, and in which state.

    `direct_archives` are full names of those that take packages straight from the location.
    """
    values = {
        "package": raw_data_package_id,
        "here": data_location_id,
        "site": site,
        "location_type": location_type.value,
        "direct_archives": list(direct_archives),
    }
    return list(session.execute(READERS, values).scalars())
