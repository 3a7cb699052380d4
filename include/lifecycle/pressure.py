"""How much deletion has to free at a location: from above its high mark down to its low mark, and no more."""

from collections.abc import Callable, Sequence

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from include.lifecycle.condition import by_share
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

PRESSED = frozenset({Condition.PRESSED, Condition.FULL})

NEWEST_CONDITION = text("select condition from location_change where data_location_id = :here order by id desc limit 1")


Found = Row[tuple[int, str, int, int, bool]]
"""(id, name, copies, size_bytes, begun) of a package, as `retention.candidates` finds it."""


def is_pressed(session: Session, *, data_location_id: int) -> bool:
    """Tell whether a location is so full that deletion makes room, as far as anybody has looked."""
    newest = session.execute(NEWEST_CONDITION, {"here": data_location_id}).scalar()
    return newest in PRESSED


def how_much_to_free(session: Session, *, location: DataLocation, by_new_marks: bool = False) -> int:
    """Return how many bytes deletion by pressure has to free at a location; 0: it is not pressed, or nobody knows.

    Pressure begins at the high mark and ends at the low one. Deletions that wait or run are counted as done.
    `by_new_marks`: as it will be said at the next look, by marks of `location` that nobody has applied yet.
    """
    if location.location_type is LocationType.LONG_TERM_ARCHIVE:
        return 0
    known = how_full(session, full_name=location.full_name).get(location.full_name)
    if known is None or known.total_bytes is None or known.used_bytes is None or known.share is None:
        return 0
    condition = known.condition
    if by_new_marks and condition in {Condition.WELL, *PRESSED}:
        condition = by_share(known.share, location=location, was=condition)
    if condition not in PRESSED:
        return 0
    going = session.execute(GOING, {"here": known.data_location_id, "seen_at": known.seen_at}).scalar_one()
    return max(known.used_bytes - int(known.total_bytes * location.watermarks.low) - int(going), 0)


def what_goes(look: Callable[..., Sequence[Found]], *, to_free_bytes: int) -> list[Found]:
    """Return what may go by its age; besides it as much as makes room, no more, of what may go under pressure.

    `look` is `retention.candidates`, but for `pressure`.
    """
    found = list(look())
    needed = to_free_bytes - sum(row.size_bytes for row in found)
    if needed <= 0:
        return found
    known = {row.id for row in found}
    for row in look(pressure=True):
        if row.id not in known and needed > 0:
            found.append(row)
            needed -= row.size_bytes
    return found
