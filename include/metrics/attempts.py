"""Points of what was done: every attempt once it has ended, and every package that reached an archive."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from include.metrics.catalogue import SEVERAL
from include.metrics.point import Point
from include.ops_db.states import AttemptOutcome
from include.topology import OperationKind

# An attempt's end is written by a transaction that began before it; one that is still open may hold ends that are
# earlier than some that can be seen. So nothing is read that ended after the beginning of the oldest one. Whoever has
# written nothing for ten minutes never will: ops-db ends what is idle after one (and a dump must not hold this up).
SETTLED = text(
    """
    select greatest(
      least(min(xact_start), clock_timestamp()), clock_timestamp() - interval '10 minutes')
    from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
      and xact_start is not null
    """
)

# Sub-selects run for the rows of this batch only. The instrument of a transfer is that of its packages.
ENDED = text(
    """
    with batch as materialized (
      select * from operation_attempt a
      where a.finished_at >= :until_at and a.finished_at < :settled_at and a.outcome is not null
        and (a.finished_at, a.operation_id, a.number) > (:until_at, :until_operation, :until_number)
      order by a.finished_at, a.operation_id, a.number limit :most
    )
    select a.operation_id, a.number, a.started_at, a.finished_at, a.outcome, a.size_bytes, o.kind, o.created_at,
      o.raw_data_package_id, l.full_name as location, l.site,
      origin.full_name || ' to ' || destination.full_name as route,
      case when o.filing_id is not null then (
        select i.name from filing f join executed_obs_unit u on u.id = f.executed_obs_unit_id
        join instrument i on i.id = u.instrument_id where f.id = o.filing_id)
      when o.data_transfer_id is not null or o.data_transfer_package_id is not null then (
        select case when count(distinct i.name) > 1 then :several else min(i.name) end
        from data_transfer_package_member m join raw_data_package p on p.id = m.raw_data_package_id
        join executed_obs_unit u on u.id = p.executed_obs_unit_id join instrument i on i.id = u.instrument_id
        where m.data_transfer_package_id = bundle.id)
      else (
        select i.name from raw_data_package p join executed_obs_unit u on u.id = p.executed_obs_unit_id
        join instrument i on i.id = u.instrument_id
        where p.id = coalesce(o.raw_data_package_id,
          (select c.raw_data_package_id from physical_copy c where c.id = o.physical_copy_id)))
      end as instrument
    from batch a
    left join operation_ever o on o.id = a.operation_id
    left join data_location l on l.id = o.data_location_id
    left join data_transfer t on t.id = o.data_transfer_id
    left join data_transfer_package bundle
      on bundle.id = coalesce(o.data_transfer_package_id, t.data_transfer_package_id)
    left join data_location origin on origin.id = coalesce(t.origin_location_id, bundle.origin_location_id)
    left join data_location destination
      on destination.id = coalesce(t.destination_location_id, bundle.destination_location_id)
    order by a.finished_at, a.operation_id, a.number
    """
)

ARRIVED = text(
    """
    select p.file_count, p.size_bytes,
      (select min(filed_at) from raw_data_file where raw_data_package_id = p.id) as filed_at,
      (select count(*) from physical_copy c join data_location l on l.id = c.data_location_id
        where c.raw_data_package_id = p.id and l.location_type = 'long_term_archive'
          and c.created_at <= asked.at) as copies
    from unnest(cast(:packages as bigint[]), cast(:ends as timestamptz[])) with ordinality as asked(id, at, place)
    left join raw_data_package p on p.id = asked.id
    order by asked.place
    """
)

COPIES = {1: "first", 2: "second"}


@dataclass(frozen=True, kw_only=True)
class Mark:
    """The last attempt that was read."""

    at: datetime
    operation: int = 0
    number: int = 0


def settled_at(connection: Connection) -> datetime:
    """Return until when nothing new can appear. Ask before reading, in a statement of its own."""
    found: datetime | None = connection.execute(SETTLED).scalar()
    if found is None:  # nobody else is connected
        found = connection.execute(text("select clock_timestamp()")).scalar_one()
    return found


def ended(connection: Connection, *, after: Mark, settled: datetime, most: int) -> tuple[list[Point], Mark, int]:
    """Return the points of the next attempts, the last one's mark, and how many they were."""
    values = {
        "until_at": after.at,
        "until_operation": after.operation,
        "until_number": after.number,
        "settled_at": settled,
        "most": most,
        "several": SEVERAL,
    }
    rows = connection.execute(ENDED, values).all()
    if not rows:
        return [], after, 0
    known = [row for row in rows if row.kind is not None]
    points = [*map(_of_attempt, known), *_of_arrivals(connection, known)]
    last = rows[-1]
    return points, Mark(at=last.finished_at, operation=last.operation_id, number=last.number), len(rows)


def _of_attempt(row: Row[Any]) -> Point:
    seconds = max((row.finished_at - row.started_at).total_seconds(), 0.0)
    waited = max((row.started_at - row.created_at).total_seconds(), 0.0)
    return Point(
        measurement="dts_attempt",
        tags={
            "stage": row.kind,
            "site": row.site,
            "location": row.location,
            "instrument": row.instrument,
            "route": row.route,
            "outcome": row.outcome,
        },
        fields={
            "size_bytes": row.size_bytes,
            "seconds": seconds,
            "bytes_per_second": row.size_bytes / seconds if row.size_bytes and seconds else None,
            "waited_seconds": waited if row.number == 1 else None,
        },
        at=row.finished_at,
        # Many may end in one statement: neighbours of the same series must not become one point.
        nanosecond=row.operation_id % 1000,
    )


def _of_arrivals(connection: Connection, rows: Sequence[Row[Any]]) -> Iterator[Point]:
    arrived = [
        row
        for row in rows
        if row.kind == OperationKind.ARCHIVING and row.outcome == AttemptOutcome.COMPLETED and row.raw_data_package_id
    ]
    if not arrived:
        return
    asked = {
        "packages": [row.raw_data_package_id for row in arrived],
        "ends": [row.finished_at for row in arrived],
    }
    for row, found in zip(arrived, connection.execute(ARRIVED, asked), strict=True):
        if found.filed_at is None:
            continue
        yield Point(
            measurement="dts_archived",
            tags={
                "site": row.site,
                "location": row.location,
                "instrument": row.instrument,
                "copy": COPIES.get(max(found.copies, 1), "further"),
            },
            fields={
                "seconds": (row.finished_at - found.filed_at).total_seconds(),
                "size_bytes": found.size_bytes or 0,
                "files": found.file_count,
            },
            at=row.finished_at,
            nanosecond=row.operation_id % 1000,
        )
