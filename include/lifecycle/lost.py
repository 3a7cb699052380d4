"""Packages of which no good copy is known any more, and which copies there were.

A package on its way in a transfer that is not over is not lost: it may have arrived, and unpacking has yet to look.
"""

from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, Row, text
from sqlalchemy.orm import Session

from include.lifecycle.package_lock import lock_package
from include.plurals import counted

NO_GOOD_COPY = """
not exists (
  select from physical_copy c join data_location l on l.id = c.data_location_id
  where c.raw_data_package_id = p.id and l.location_type in ('buffer', 'long_term_archive')
    and c.status not in ('corrupt', 'missing', 'deleted'))
and not exists (
  select from data_transfer_package_member m join data_transfer t using (data_transfer_package_id)
  where m.raw_data_package_id = p.id and t.transfer_status not in ('failed', 'cancelled')
    and t.unpacking_status not in ('completed', 'failed', 'cancelled'))
"""

# From the few copies that are bad, for the packages of years are many.
LOST = text(
    f"""
    select p.id, p.size_bytes from raw_data_package p
    where p.source_location_id = :here and p.packaged_at is not null
      and p.id in (select raw_data_package_id from physical_copy
        where raw_data_package_id is not null and status in ('corrupt', 'missing'))
      and not exists (select from operation o where o.kind = 'packaging' and o.data_location_id = :here
        and o.raw_data_package_id = p.id and o.status not in ('completed', 'cancelled'))
      and {NO_GOOD_COPY}
    order by p.id limit :most
    """  # noqa: S608 - put together from constants of this file
)

IS_LOST = text(f"select {NO_GOOD_COPY} from raw_data_package p where p.id = :package")  # noqa: S608 - the same

COPIES = text(
    """
    select l.full_name, l.location_type, c.status, count(*) as copies
    from physical_copy c join data_location l on l.id = c.data_location_id
    left join raw_data_file f on f.id = c.raw_data_file_id
    where c.raw_data_package_id = :package or f.raw_data_package_id = :package
    group by l.id, l.full_name, l.location_type, c.status
    order by l.location_type = 'source', l.full_name, c.status
    """
)

RECORD_LOST = text(
    f"""
    update raw_data_package p set state = 'failed'
    where p.id = :package and p.packaged_at is not null and {NO_GOOD_COPY}
    """  # noqa: S608 - the same
)

# What is archived nowhere any more sets out anew, as if it had never been.
RECORD_FOUND = text(
    """
    update raw_data_package p set state = case when exists (
        select from physical_copy c join data_location l on l.id = c.data_location_id
        where c.raw_data_package_id = p.id and l.location_type = 'long_term_archive' and c.status = 'present'
          and c.verified_at is not null) then 'archived' else 'waiting' end
    where p.id = :package and p.packaged_at is not null and p.state = any(:was)
    """
)

RECORD_COPY = text(
    """
    insert into physical_copy
      (raw_data_package_id, data_location_id, path, size_bytes, status, checksum, verified_at)
    select p.id, l.id, p.path, p.size_bytes, 'present', p.checksum, case when :read_back then now() end
    from raw_data_package p, data_location l where p.id = :package and l.full_name = :buffer
    on conflict (raw_data_package_id, data_location_id) do update set
      path = excluded.path, size_bytes = excluded.size_bytes, status = 'present', checksum = excluded.checksum,
      verified_at = excluded.verified_at, deleted_at = null, wanted = true, created_at = now()
    where physical_copy.status in ('corrupt', 'missing', 'deleted')
    """
)


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A package without a good copy, and a sentence that says which copies there were."""

    is_lost: bool
    copies: str


def lost_packages(session: Session, *, source_location_id: int, most: int) -> list[Row[tuple[int, int]]]:
    """Return (id, size_bytes) of packages from this SOURCE that are lost, and that no packaging is concerned with."""
    return list(session.execute(LOST, {"here": source_location_id, "most": most}).all())


def loss_of(session: Session, raw_data_package_id: int) -> Loss:
    """Tell whether a package is lost, and where its copies are or were; two statements."""
    values = {"package": raw_data_package_id}
    places = []
    for row in session.execute(COPIES, values):
        what = f"its {counted(row.copies, 'raw file')} at " if row.location_type == "source" else ""
        places.append(f"{what}{row.full_name} ({row.status})")
    return Loss(is_lost=session.execute(IS_LOST, values).scalar_one(), copies=", ".join(places))


def record_lost(session: Session, raw_data_package_id: int) -> None:
    """Make it failed, unless a good copy has come up meanwhile."""
    lock_package(session, raw_data_package_id)
    session.execute(RECORD_LOST, {"package": raw_data_package_id})


def record_not_lost(session: Session, raw_data_package_id: int) -> None:
    """A good copy was known all the time, or came up: it is failed no longer."""
    lock_package(session, raw_data_package_id)
    session.execute(RECORD_FOUND, {"package": raw_data_package_id, "was": ["failed"]})


def record_made_again(session: Session, raw_data_package_id: int, *, buffer: str, read_back: bool) -> bool:
    """A good copy is in `buffer`. False if something else is recorded there now."""
    lock_package(session, raw_data_package_id)
    values = {"package": raw_data_package_id, "buffer": buffer, "read_back": read_back}
    if cast("CursorResult[Any]", session.execute(RECORD_COPY, values)).rowcount != 1:
        return False
    was = ["waiting", "transferring", "archived", "failed"]
    session.execute(RECORD_FOUND, {"package": raw_data_package_id, "was": was})
    return True
