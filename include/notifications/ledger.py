"""Alarms in ops-db: raised once, cleared once, seen by a person."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from include.errors import BadInputError
from include.notifications.alarm import Alarm, Judged, alarm_of
from include.operations.decide import storable

STEADY_SECONDS = 90
"""An alarm is cleared once it was not seen for so long: what comes and goes from minute to minute is one alarm."""
KEYS_MOST = 5000
"""So many alarms are kept open at once; a judgement with more is cut off."""

SEVERITIES = "array['info', 'warning', 'critical']"

SEE = text(
    f"""
    insert into alarm as a
      (key, rule, severity, site, location, outage, sentence, since, raised_at, last_seen_at, stays_until)
    select key, rule, severity, site, location, outage, sentence, :now, case when lasting <= 0 then :now end, :now,
      :stays_until
    from unnest(cast(:keys as text[]), cast(:rules as text[]), cast(:severities as text[]), cast(:sites as text[]),
      cast(:locations as text[]), cast(:outages as text[]), cast(:sentences as text[]), cast(:lasting as float[]))
      as seen(key, rule, severity, site, location, outage, sentence, lasting)
    order by key
    on conflict (key) where cleared_at is null do update set
      severity = case when array_position({SEVERITIES}, excluded.severity::text)
        > array_position({SEVERITIES}, a.severity::text) then excluded.severity else a.severity end,
      sentence = excluded.sentence,
      outage = case when a.raised_at is null then excluded.outage else a.outage end,
      last_seen_at = greatest(a.last_seen_at, :now),
      stays_until = greatest(a.stays_until, excluded.stays_until),
      raised_at = coalesce(a.raised_at, case when a.since <= :now - make_interval(secs =>
        (select s.lasting from unnest(cast(:keys as text[]), cast(:lasting as float[])) as s(key, lasting)
         where s.key = a.key limit 1)) then :now end)
    """  # noqa: S608 - put together from constants of this file
)

# What did not last for long enough to be told of was never an alarm.
FORGET = text(
    """
    delete from alarm where cleared_at is null and raised_at is null and last_seen_at < :now
      and not key = any(:keys) and (stays_until is null or stays_until <= :now)
    """
)

CLEAR = text(
    """
    update alarm set cleared_at = :now
    where cleared_at is null and raised_at is not null and not key = any(:keys)
      and last_seen_at <= :now - make_interval(secs => :steady) and (stays_until is null or stays_until <= :now)
    """
)

COLUMNS = """
id, key, rule, severity, site, location, outage, sentence, since, raised_at, cleared_at, acknowledged_at,
acknowledged_by, acknowledge_reason
"""

OPEN = text(
    f"""
    select {COLUMNS} from alarm where raised_at is not null and cleared_at is null
    order by array_position({SEVERITIES}, severity::text) desc, raised_at, id
    """  # noqa: S608 - the same
)

CLEARED = text(
    f"""
    select {COLUMNS} from alarm where raised_at is not null and cleared_at is not null order by cleared_at desc, id
    limit :most
    """  # noqa: S608 - the same
)

ACKNOWLEDGE = text(
    """
    update alarm set acknowledged_at = now(), acknowledged_by = :person, acknowledge_reason = :reason
    where acknowledged_at is null and raised_at is not null and cleared_at is null and key = any(:keys)
    returning key
    """
)


def record(connection: Connection, judged: Sequence[Judged], *, now: datetime) -> None:
    """Write what holds now: new alarms, those that go on, and those that have ended."""
    keys = see(connection, judged, now=now)
    connection.execute(FORGET, {"now": now, "keys": keys})
    connection.execute(CLEAR, {"now": now, "keys": keys, "steady": STEADY_SECONDS})


def see(
    connection: Connection, judged: Sequence[Judged], *, now: datetime, stays_until: datetime | None = None
) -> list[str]:
    """Write alarms that hold now, and clear none; return their keys. `stays_until` is for what is over at once."""
    by_key = {alarm.key: alarm for alarm in judged[:KEYS_MOST]}
    alarms = list(by_key.values())
    if alarms:
        connection.execute(
            SEE,
            {
                "now": now,
                "stays_until": stays_until,
                "keys": [alarm.key for alarm in alarms],
                "rules": [alarm.rule for alarm in alarms],
                "severities": [alarm.severity.value for alarm in alarms],
                "sites": [alarm.site for alarm in alarms],
                "locations": [alarm.location for alarm in alarms],
                "outages": [alarm.outage for alarm in alarms],
                "sentences": [storable(alarm.sentence) for alarm in alarms],
                "lasting": [alarm.lasting_seconds for alarm in alarms],
            },
        )
    return list(by_key)


def see_event(connection: Connection, alarm: Judged, *, stays: timedelta) -> None:
    """Raise an alarm about something that is over at once; it stays open for a while after it was last seen."""
    now: datetime = connection.execute(text("select clock_timestamp()")).scalar_one()
    see(connection, [alarm], now=now, stays_until=now + stays)


def open_alarms(connection: Connection) -> list[Alarm]:
    """Return the alarms that are open, the most urgent first."""
    return [alarm_of(dict(row)) for row in connection.execute(OPEN).mappings()]


def cleared_alarms(connection: Connection, *, most: int) -> list[Alarm]:
    """Return the alarms that were cleared, the last one first."""
    return [alarm_of(dict(row)) for row in connection.execute(CLEARED, {"most": most}).mappings()]


def acknowledge(connection: Connection, keys: Sequence[str], *, person: str, reason: str) -> None:
    """Write that a person has seen open alarms: nobody is told of them any more. One of a refused filing ends by it.

    Raises:
        BadInputError: there is no open alarm of that key that nobody has seen; nothing is written.
    """
    values = {"keys": list(keys), "person": storable(person), "reason": storable(reason)}
    seen = set(connection.execute(ACKNOWLEDGE, values).scalars())
    for key in keys:
        if key not in seen:
            raise BadInputError(f"There is no open alarm {key!r} that nobody has acknowledged: see `dts alarms`.")
