"""Measurements of locations in ops-db: written by their own hosts, read by whoever decides or tells about space."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from include.ops_db.states import NO_BYTES, Condition, CopyStatus

PAUSE_SECONDS = 55
"""A location is measured at most once a minute, whoever is there."""
COUNTED_SECONDS = 600
"""The catalogue of a location is counted this often: with millions of copies that takes seconds."""
KEPT_DAYS = 14
RATE_HOURS = 6
"""The present rate is that of the last six hours: a night's data, without yesterday's."""
LEAST_RATE_SECONDS = 600
"""From less than ten minutes nobody can tell a rate."""

WITH_BYTES = [status for status in CopyStatus if status not in NO_BYTES]
"""Named one by one, for the index: years of deleted copies are not looked at."""

# One statement, so one round trip from the other side of an ocean. The catalogue is asked only where CASE comes to it.
RECORD = text(
    """
    insert into location_measurement as m
      (data_location_id, host, total_bytes, used_bytes, is_read_only, trouble, clock_ahead_seconds, stored_bytes,
        stored_copies, counted_at)
    select l.id, :host, :total_bytes,
      case when :used_is_stored and cast(:trouble as text) is null then stored[1] else :used_bytes end,
      :is_read_only, :trouble, extract(epoch from cast(:host_time as timestamptz) - statement_timestamp()),
      stored[1], stored[2], counted_at
    from (
      select l.id,
        case when last.counted_at > now() - make_interval(secs => :counted_seconds)
          then array[last.stored_bytes, last.stored_copies]
          else (select array[coalesce(sum(c.size_bytes), 0), count(*)]::bigint[] from physical_copy c
                where c.data_location_id = l.id and c.status = any(:with_bytes)) end as stored,
        case when last.counted_at > now() - make_interval(secs => :counted_seconds)
          then last.counted_at else now() end as counted_at
      from data_location l
      left join lateral (select * from location_measurement where data_location_id = l.id
        order by measured_at desc limit 1) last on true
      where l.full_name = :full_name
        and (last.measured_at is null or last.measured_at < now() - make_interval(secs => :pause_seconds))
    ) l
    on conflict do nothing
    returning m.data_location_id, m.used_bytes,
      coalesce((select condition from location_change where data_location_id = m.data_location_id
        order by id desc limit 1), 'well') as was,
      coalesce((select condition from location_change where data_location_id = m.data_location_id
        and condition in ('well', 'pressed', 'full') order by id desc limit 1), 'well') as was_by_share
    """
)

CHANGE = text(
    """
    insert into location_change (data_location_id, condition, why)
    select :here, :condition, :why
    where coalesce((select condition from location_change where data_location_id = :here order by id desc limit 1),
      'well') = :was
    """
)

FORGET = text(
    "delete from location_measurement where measured_at < now() - make_interval(days => :days)"
    " and data_location_id = :here"
)

# Whoever is asked to look may be long in coming: he is asked again after a while, or once he has answered.
ASK = text(
    """
    update data_location l set measurement_asked_at = now()
    where full_name = :full_name
      and coalesce(measurement_asked_at < now() - make_interval(secs => :asked_seconds)
        or exists (select from location_measurement m where m.data_location_id = l.id
          and m.measured_at > l.measurement_asked_at), true)
      and not exists (select from location_measurement m where m.data_location_id = l.id
        and m.measured_at > now() - make_interval(secs => :due_seconds))
    returning l.id, (select max(measured_at) from location_measurement m
      where m.data_location_id = l.id and m.trouble is null) as seen_at, now() as now
    """
)

HOW_FULL = text(
    """
    select l.id, l.full_name, l.site, l.location_type, latest.measured_at, latest.trouble, latest.stored_bytes,
      latest.stored_copies, seen.measured_at as seen_at, seen.total_bytes, seen.used_bytes,
      extract(epoch from seen.measured_at - earlier.measured_at) as seconds,
      seen.used_bytes - earlier.used_bytes as grown_bytes,
      (select coalesce(sum(c.size_bytes), 0) from physical_copy c where c.data_location_id = l.id
        and c.deleted_at > earlier.measured_at and c.deleted_at <= seen.measured_at) as gone_bytes,
      coalesce(change.condition, 'well') as condition, change.why, change.changed_at
    from data_location l
    join lateral (select * from location_measurement where data_location_id = l.id
      order by measured_at desc limit 1) latest on true
    left join lateral (select * from location_measurement where data_location_id = l.id and used_bytes is not null
      order by measured_at desc limit 1) seen on true
    left join lateral (select * from location_measurement where data_location_id = l.id and used_bytes is not null
      and measured_at >= seen.measured_at - make_interval(hours => :hours) order by measured_at limit 1) earlier on true
    left join lateral (select * from location_change where data_location_id = l.id order by id desc limit 1)
      change on true
    where l.active and (cast(:full_name as text) is null or l.full_name = :full_name)
    order by l.id
    """
)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a host saw of a location. Sizes in bytes; None: nobody knows."""

    total_bytes: int | None = None
    used_bytes: int | None = None
    used_is_stored: bool = False
    """Nothing is used but what the catalogue knows (S3)."""
    is_read_only: bool = False
    trouble: str | None = None


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A measurement that was written, and what ops-db knew besides."""

    data_location_id: int
    used_bytes: int | None
    was: Condition
    was_by_share: Condition
    """How it was when it was last reached: well, pressed or full."""


@dataclass(frozen=True, kw_only=True)
class HowFull:
    """What is known about the room at a location. Sizes in bytes, rates in bytes a second; None: not known."""

    data_location_id: int
    full_name: str
    site: str
    measured_at: datetime
    seen_at: datetime | None
    """When it was last reached: sizes and rates are of then."""
    total_bytes: int | None
    used_bytes: int | None
    stored_bytes: int
    stored_copies: int
    in_rate: float | None
    out_rate: float | None
    condition: Condition
    why: str
    changed_at: datetime | None

    @property
    def free_bytes(self) -> int | None:
        """What may still be written."""
        if self.total_bytes is None or self.used_bytes is None:
            return None
        return max(self.total_bytes - self.used_bytes, 0)

    @property
    def share(self) -> float | None:
        """How full it is, 0 to 1."""
        if not self.total_bytes or self.used_bytes is None:
            return None
        return self.used_bytes / self.total_bytes

    def full_at(self, *, rate: float | None) -> datetime | None:
        """Return when it will be full if it fills at `rate`, bytes a second; None: never, or nobody knows."""
        if rate is None or rate <= 0 or self.free_bytes is None or self.seen_at is None:
            return None
        seconds = self.free_bytes / rate
        return self.seen_at + timedelta(seconds=seconds) if seconds < 10 * 365 * 86_400 else None

    @property
    def net_rate(self) -> float | None:
        """How fast it fills at present."""
        return None if self.in_rate is None or self.out_rate is None else self.in_rate - self.out_rate


def record(connection: Connection, seen: Seen, *, full_name: str, host: str) -> Recorded | None:
    """Write a measurement; None if somebody else measured the location within the last minute. One statement."""
    values = {
        "full_name": full_name,
        "host": host,
        "pause_seconds": PAUSE_SECONDS,
        "counted_seconds": COUNTED_SECONDS,
        "with_bytes": WITH_BYTES,
        "host_time": datetime.now(UTC),
    }
    row = connection.execute(RECORD, values | {name: getattr(seen, name) for name in Seen.__dataclass_fields__}).first()
    if row is None:
        return None
    return Recorded(
        data_location_id=row.data_location_id,
        used_bytes=row.used_bytes,
        was=Condition(row.was),
        was_by_share=Condition(row.was_by_share),
    )


def record_change(
    connection: Connection, *, data_location_id: int, was: Condition, condition: Condition, why: str
) -> None:
    """Write that a location changed, unless somebody else has."""
    connection.execute(CHANGE, {"here": data_location_id, "was": was, "condition": condition, "why": why})


def forget(connection: Connection, *, data_location_id: int) -> None:
    """Forget measurements of a location that are older than two weeks."""
    connection.execute(FORGET, {"here": data_location_id, "days": KEPT_DAYS})


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A location that one of its hosts should look at now."""

    data_location_id: int
    seen_at: datetime | None
    """When one last did, and reached it."""
    now: datetime


def ask(connection: Connection, *, full_name: str, due_seconds: float, asked_seconds: float) -> Asked | None:
    """Return it if a location was not measured for `due_seconds` and nobody was asked for `asked_seconds`."""
    values = {"full_name": full_name, "due_seconds": due_seconds, "asked_seconds": asked_seconds}
    row = connection.execute(ASK, values).first()
    return None if row is None else Asked(data_location_id=row.id, seen_at=row.seen_at, now=row.now)


def how_full(session: Session | Connection, *, full_name: str | None = None) -> dict[str, HowFull]:
    """Return what is known about each location of the topology that was ever measured, or about one, by full name."""
    rows = session.execute(HOW_FULL, {"hours": RATE_HOURS, "full_name": full_name})
    found = {}
    for row in rows:
        is_known = row.seconds is not None and row.seconds >= LEAST_RATE_SECONDS
        out = float(row.gone_bytes) / float(row.seconds) if is_known else None
        net = float(row.grown_bytes) / float(row.seconds) if is_known else None
        found[row.full_name] = HowFull(
            data_location_id=row.id,
            full_name=row.full_name,
            site=row.site,
            measured_at=row.measured_at,
            seen_at=row.seen_at,
            total_bytes=row.total_bytes,
            used_bytes=row.used_bytes,
            stored_bytes=row.stored_bytes,
            stored_copies=row.stored_copies,
            # Whatever came filled the disk, or made up for what went.
            in_rate=None if net is None or out is None else max(net + out, 0.0),
            out_rate=out,
            condition=Condition(row.condition),
            why=row.why or "",
            changed_at=row.changed_at,
        )
    return found
