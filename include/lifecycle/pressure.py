"""How much deletion has to free at a location: from above its high mark down to its low mark, and no more."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from include.ops_db.measurements import how_full
from include.ops_db.states import Condition
from include.topology import DataLocation, LocationType

# What went after the location was measured, and what is on its way out, need not be freed again. What the gate has
# refused once is not on its way.
GOING = text(
    """
    with going as (
      select o.raw_data_package_id as id from operation o
      where o.kind = 'deletion' and o.data_location_id = :here
        and (o.status in ('scheduled', 'in_progress') or (o.status = 'pending' and o.attempt_count = 0))
    )
    select coalesce(sum(size_bytes), 0) from (
      select c.size_bytes from physical_copy c where c.data_location_id = :here and c.deleted_at > :seen_at
      union all
      select c.size_bytes from going join physical_copy c on c.raw_data_package_id = going.id
      where c.data_location_id = :here and c.status <> all('{deleted,missing,corrupt}')
      union all
      select c.size_bytes from going join raw_data_file f on f.raw_data_package_id = going.id
      join physical_copy c on c.raw_data_file_id = f.id
      where c.data_location_id = :here and c.status <> all('{deleted,missing,corrupt}')
    ) freed
    """
)

NEWEST_CONDITION = text("select condition from location_change where data_location_id = :here order by id desc limit 1")


def is_pressed(session: Session, *, data_location_id: int) -> bool:
    """Tell whether a location is so full that deletion makes room, as far as anybody has looked."""
    newest = session.execute(NEWEST_CONDITION, {"here": data_location_id}).scalar()
    return newest in {Condition.PRESSED, Condition.FULL}


def how_much_to_free(session: Session, *, location: DataLocation) -> int:
    """Return how many bytes deletion by pressure has to free at a location; 0: it is not pressed, or nobody knows.

    Pressure begins at the high mark and ends at the low one. Deletions that wait or run are counted as done.
    """
    if location.location_type is LocationType.LONG_TERM_ARCHIVE:
        return 0
    known = how_full(session, full_name=location.full_name).get(location.full_name)
    if known is None or known.condition not in {Condition.PRESSED, Condition.FULL}:
        return 0
    if known.total_bytes is None or known.used_bytes is None:
        return 0
    going = session.execute(GOING, {"here": known.data_location_id, "seen_at": known.seen_at}).scalar_one()
    return max(known.used_bytes - int(known.total_bytes * location.watermarks.low) - int(going), 0)
