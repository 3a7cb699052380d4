"""Attempts as the stages leave them, as many as a test wants."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from tests.lifecycle.archived import Archived
from tests.observatory import now

# One completed operation a package, kind and place is what the index allows of live ones; ended ones may be many.
MANY = text(
    """
    with made as (
      insert into operation (kind, data_location_id, raw_data_package_id, physical_copy_id, status, explanation,
        created_at, finished_at, attempt_count)
      select cast(:kind as text), l.id, case when cast(:kind as text) <> 'scrubbing' then cast(:package as bigint) end,
        case when cast(:kind as text) = 'scrubbing' then (
          select id from physical_copy c where c.raw_data_package_id = :package
          and c.data_location_id = l.id) end,
        'completed', 'It is done.', begun, begun + make_interval(secs => :seconds), 1
      from generate_series(1, :many) as place
      cross join lateral (select cast(:first as timestamptz) + make_interval(secs => :apart * place) as begun) t
      join data_location l on l.full_name = :location
      returning id, created_at, finished_at
    )
    insert into operation_attempt (operation_id, number, started_at, finished_at, outcome, size_bytes)
    select id, 1, created_at + interval '1 second', finished_at, :outcome, :size_bytes from made
    """
)
TRANSFER = text(
    """
    with made as (
      insert into operation (kind, data_location_id, data_transfer_id, status, explanation, created_at, finished_at)
      select 'transfer', t.destination_location_id, t.id, 'completed', 'It is done.', :begun, :ended
      from data_transfer t join data_location l on l.id = t.origin_location_id and l.full_name = :origin
      order by t.id limit 1 returning id
    )
    insert into operation_attempt (operation_id, number, started_at, finished_at, outcome, size_bytes)
    select id, 1, :begun, :ended, 'completed', :size_bytes from made
    """
)


def attempts(
    package: Archived,
    many: int = 1,
    *,
    kind: str = "archiving",
    location: str = "cologne_archive",
    outcome: str = "completed",
    size_bytes: int = 1000,
    ago: timedelta = timedelta(hours=1),
    seconds: float = 11,
    apart: float = 0.01,
) -> None:
    """Write attempts that began a second after their operations were made."""
    values = {
        "kind": kind,
        "package": package.id,
        "many": many,
        "location": location,
        "outcome": outcome,
        "size_bytes": size_bytes,
        "first": now() - ago,
        "seconds": seconds,
        "apart": apart,
    }
    with package.observatory.engine.begin() as connection:
        connection.execute(MANY, values)


def transfer(connection: Connection, *, begun: datetime, ended: datetime, size_bytes: int) -> None:
    """Write one of the package's transfer out of ccat_buffer."""
    values = {"begun": begun, "ended": ended, "size_bytes": size_bytes, "origin": "ccat_buffer"}
    connection.execute(TRANSFER, values)
