"""Reading the routes: what each moves, how fast beside its timetable, and when it will have caught up."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from include.ops_db.states import WorkStatus
from include.page import flow_statements as statements
from include.page.flow import Decision, FlowRoute, Stage
from include.page.rates import RateMeter, RouteName, Seen
from include.page.route_names import routes_of
from include.sizes import size
from include.timetable import in_words, rate_at
from include.topology import LocationType, MovedBy, OperationKind, Topology

DECISIONS_SHOWN = 5
"""Of each route."""
HOUR = 3600.0
LONG = timedelta(days=30)
"""An estimate further away than this is none."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """When a route will have caught up, with a sentence that says so."""

    sentence: str
    caught_up_at: datetime | None = None


def read_routes(
    connection: Connection,
    topology: Topology,
    meter: RateMeter,
    *,
    stages: dict[str, list[Stage]],
    now: datetime,
    at: float,
) -> list[FlowRoute]:
    """Return the routes now; four statements. The meter takes its look at `at`, of a steady clock."""
    live = connection.execute(statements.TRANSFERS).all()
    ended = connection.execute(statements.TRANSFERRED).all()
    meter.look((*_under_way(live), *_over(ended)), at=at)
    decided = _by_route(connection.execute(statements.DECISIONS, {"most": DECISIONS_SHOWN}))
    bundles = {name: rows[0] for name, rows in _by_route(connection.execute(statements.OPEN_BUNDLES)).items()}
    live_on, ended_on = _by_route(live), _by_route(ended)
    names = routes_of(topology, used=(*live_on, *decided))
    return [
        _route(
            name,
            topology,
            meter,
            live=live_on.get(name, []),
            hour_bytes=sum(row.size_bytes for row in ended_on.get(name, [])),
            bundled_bytes=bundles[name].size_bytes if name in bundles else 0,
            coming=_coming(name, topology, stages, ended_on, names),
            decided=decided.get(name, []),
            now=now,
        )
        for name in names
    ]


def estimate(*, left_bytes: int, rate: float, coming: float, now: datetime) -> Estimate:
    """Say when `left_bytes` will be gone, at a rate and with more coming (bytes a second)."""
    if not left_bytes:
        return Estimate(sentence="Nothing waits.", caught_up_at=now)
    waits = f"{size(left_bytes)} to go"
    if not rate:
        return Estimate(sentence=f"{waits}, and nothing moves.")
    if rate <= coming:
        return Estimate(sentence=f"{waits}; it falls behind by {size(round(coming - rate))}/s.")
    takes = (
        timedelta(seconds=left_bytes / (rate - coming)) if left_bytes / (rate - coming) < LONG.total_seconds() else LONG
    )
    if takes >= LONG:
        return Estimate(sentence=f"{waits}: more than {LONG.days} days at the present rate.")
    return Estimate(sentence=f"{waits}: caught up in {_span(takes)}.", caught_up_at=now + takes)


def _span(takes: timedelta) -> str:
    minutes = takes.total_seconds() / 60
    if minutes < 1:
        return "less than a minute"
    return f"about {minutes:.0f} min" if minutes < 120 else f"about {minutes / 60:.0f} h"


def _route(
    name: RouteName,
    topology: Topology,
    meter: RateMeter,
    *,
    live: Sequence[Row[Any]],
    hour_bytes: int,
    bundled_bytes: int,
    coming: float,
    decided: Sequence[Row[Any]],
    now: datetime,
) -> FlowRoute:
    origin, destination = (topology.location(end) for end in name)
    route = topology.route(origin=name[0], destination=name[1])
    allowed = rate_at(route.timetable, instant=now, zone=route.zone)
    rate = meter.rate(name)
    left_bytes = bundled_bytes + sum(_left(row) for row in live)
    estimated = estimate(
        left_bytes=left_bytes, rate=max(rate or 0.0, hour_bytes / HOUR, _average(live)), coming=coming, now=now
    )
    first = live[0] if live else None
    return FlowRoute(
        origin=name[0],
        destination=name[1],
        origin_site=origin.site,
        destination_site=destination.site,
        is_primary=origin.site not in topology.archive_sites,
        moved_by=route.moved_by,
        rate=rate if rate is not None else _average(live),
        rate_last_hour=hour_bytes / HOUR,
        allowed=allowed.bytes_per_second,
        timetable=in_words(allowed, now=now, zone=route.zone) if route.timetable else "",
        connections=decided[0].streams if decided else None,
        waiting=sum(row.status in {WorkStatus.PENDING, WorkStatus.SCHEDULED} for row in live),
        moving=sum(row.status == WorkStatus.IN_PROGRESS for row in live),
        failed=sum(row.status == WorkStatus.FAILED for row in live),
        troubled=sum(row.status != WorkStatus.FAILED and row.failure_count > 0 for row in live),
        left_bytes=left_bytes,
        oldest_seconds=max((row.age_seconds for row in live), default=None),
        why=first.explanation if first else "",
        operation=first.id if first else None,
        sentence=estimated.sentence,
        caught_up_at=estimated.caught_up_at,
        decisions=[
            Decision(at=row.decided_at, connections=row.streams_then, why=row.why, operation=row.operation_id)
            for row in decided
            if row.decided_at is not None
        ],
    )


def _coming(
    name: RouteName,
    topology: Topology,
    stages: dict[str, list[Stage]],
    ended_on: dict[RouteName, list[Row[Any]]],
    names: Sequence[RouteName],
) -> float:
    """Return how much comes to a route, bytes a second of the last hour: what is packaged there, or arrives there."""
    origin = topology.location(name[0])
    if origin.site in topology.archive_sites:
        arrived = (rows for (_, to), rows in ended_on.items() if topology.location(to).site == origin.site)
        return float(sum(row.size_bytes for rows in arrived for row in rows)) / HOUR
    sources = [each.full_name for each in topology.of_type(LocationType.SOURCE) if each.site == origin.site]
    packaged = (
        stage for source in sources for stage in stages.get(source, ()) if stage.kind == OperationKind.PACKAGING
    )
    shares = sum(other[0] == name[0] for other in names)
    direct = topology.route(origin=name[0], destination=name[1]).moved_by is MovedBy.DIRECT
    return sum(stage.done_bytes for stage in packaged) / HOUR / (1 if direct else max(shares, 1))


def _under_way(rows: Iterable[Row[Any]]) -> Iterable[Seen]:
    for row in rows:
        yield Seen(
            operation_id=row.id,
            route=(row.origin, row.destination),
            size_bytes=row.size_bytes,
            left_bytes=_left(row),
        )


def _over(rows: Iterable[Row[Any]]) -> Iterable[Seen]:
    for row in rows:
        yield Seen(
            operation_id=row.id,
            route=(row.origin, row.destination),
            size_bytes=row.size_bytes,
            left_bytes=0,
            ended_seconds_ago=row.ago_seconds,
        )


def _left(row: Row[Any]) -> int:
    return int(row.size_bytes if row.left_bytes is None else row.left_bytes)


def _average(rows: Sequence[Row[Any]]) -> float:
    """Return what transfers under way have given since they began, as long as nobody has watched."""
    running = (row for row in rows if row.left_bytes is not None and row.running_seconds)
    return float(sum((row.size_bytes - row.left_bytes) / row.running_seconds for row in running))


def _by_route(rows: Iterable[Row[Any]]) -> dict[RouteName, list[Row[Any]]]:
    found: dict[RouteName, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        found[row.origin, row.destination].append(row)
    return found
