"""What people must know about the places where data is, before it is too late: a sentence for each trouble."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, text

from include.alarm_rules import AlarmRules, HoursLeft
from include.operations.decide import clock
from include.ops_db.measurements import HowFull
from include.ops_db.states import Condition
from include.sizes import size
from include.topology import LocationType, Topology

SILENT_CLOCKS = 3
"""A location that was not measured for three turns of the stages' clock, and a quarter of an hour, is told of."""
SILENT_SECONDS = 900.0

# Transfers that fail again and again: nothing behind them gets safe, whatever the reason.
CUT = text(
    """
    select distinct on (origin.site) origin.site, o.id, o.failure_count, destination.full_name as destination
    from operation o
    join data_transfer t on t.id = o.data_transfer_id
    join data_location origin on origin.id = t.origin_location_id
    join data_location destination on destination.id = t.destination_location_id
    where o.kind = 'transfer' and o.status in ('pending', 'scheduled', 'in_progress', 'failed') and o.failure_count > 0
    order by origin.site, o.failure_count desc, o.id
    """
)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Transfers from a site that do not get through."""

    site: str
    operation_id: int
    """The one that failed most often."""
    destination: str


class Trouble(StrEnum):
    """What may be the matter with a location."""

    UNWELL = "unwell"
    SILENT = "silent"
    FILLING = "filling"


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """Something about a location that a person should know."""

    location: str
    trouble: Trouble
    sentence: str
    hours_left: float | None = None
    """Until it is full, of one that fills."""
    cut: Cut | None = None
    """What keeps it from being emptied."""


def hours_rule(rules: AlarmRules, location_type: LocationType) -> tuple[str, HoursLeft]:
    """Return which rule says when people hear of a location that fills, and its name."""
    match location_type:
        case LocationType.SOURCE:
            return "source_hours_left", rules.source_hours_left
        case LocationType.BUFFER:
            return "buffer_hours_left", rules.buffer_hours_left
        case _:
            return "location_hours_left", rules.location_hours_left


def cut_sites(connection: Connection) -> list[Cut]:
    """Return the sites whose transfers fail again and again."""
    rows = connection.execute(CUT)
    return [Cut(site=row.site, operation_id=row.id, destination=row.destination) for row in rows]


def tell(known: dict[str, HowFull], *, topology: Topology, cuts: Sequence[Cut], now: datetime) -> list[Alarm]:
    """Say what a person should know, location by location, in the topology's order."""
    silent_seconds = max(SILENT_SECONDS, SILENT_CLOCKS * topology.policy.clock_seconds)
    found = []
    for location in topology.data_locations:
        place = known.get(location.full_name)
        if place is None:
            continue
        born = location.location_type in {LocationType.SOURCE, LocationType.BUFFER}
        cut = next((each for each in cuts if born and each.site == location.site), None)
        _, rule = hours_rule(topology.alarms, location.location_type)
        sentences = ((Trouble.UNWELL, _unwell(place)), (Trouble.SILENT, _silent(place, now=now, most=silent_seconds)))
        found += [
            Alarm(location=location.full_name, trouble=trouble, sentence=sentence)
            for trouble, sentence in sentences
            if sentence
        ]
        if soon := _soon(place, cut, now=now, told_hours=rule.hours):
            found.append(soon)
    return found


def _unwell(place: HowFull) -> str | None:
    if place.condition is Condition.WELL:
        return None
    since = f" (Since {clock(place.changed_at)}.)" if place.changed_at else ""
    return f"{place.why}{since}"


def _silent(place: HowFull, *, now: datetime, most: float) -> str | None:
    seconds = (now - place.measured_at).total_seconds()
    if seconds <= most:
        return None
    return (
        f"{place.full_name} was last looked at {seconds / 3600:.1f} hours ago, at {clock(place.measured_at)}:"
        " what follows from that is told on. Is its worker running, and does it reach ops-db?"
    )


def _soon(place: HowFull, cut: Cut | None, *, now: datetime, told_hours: float) -> Alarm | None:
    """Say when it will be full. What comes in goes on coming while nothing gets safe behind a link that is cut."""
    rate = place.net_rate if cut is None else place.in_rate
    full_at = place.full_at(rate=rate)
    if full_at is None or rate is None:
        return None
    hours = max((full_at - now).total_seconds() / 3600, 0.0)
    if cut is None and hours > told_hours:
        return None
    full = f"is full at {clock(full_at)}, in {hours:.0f} hours" if hours else "is full by now"
    behind = (
        f"Transfers from {cut.site} to {cut.destination} do not get through (operation {cut.operation_id}), and nothing"
        " is deleted that is not safe in the archives. "
        if cut
        else ""
    )
    return Alarm(
        location=place.full_name,
        trouble=Trouble.FILLING,
        sentence=f"{behind}At the present {size(round(rate))}/s {place.full_name} {full}.",
        hours_left=hours,
        cut=cut,
    )
