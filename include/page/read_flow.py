"""Reading the flow: what is at each stage now, how full places are, and what no archive has yet."""

from collections import defaultdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from include.lanes import all_lanes
from include.ops_db.measurements import HowFull, how_full
from include.page import flow_statements as statements
from include.page.flow import Behind, Flow, FlowAlarm, FlowSite, Place, Stage
from include.page.rates import RateMeter
from include.page.read_routes import read_routes
from include.topology import DataLocation, LocationType, OperationKind, Topology

HOUR = 3600.0


def read_flow(connection: Connection, topology: Topology, meter: RateMeter, *, at: float) -> Flow:
    """Return the flow now, and have the meter take its look at `at` (of a steady clock); ten statements."""
    people = connection.execute(statements.WAITING_FOR_PEOPLE).one()
    stages = _stages(connection, topology)
    live = [stage for found in stages.values() for stage in found]
    return Flow(
        at=people.now,
        topology_is_applied=people.topology == topology.sha256,
        failed=sum(stage.failed for stage in live),
        moving=sum(stage.moving for stage in live),
        waiting=sum(stage.waiting for stage in live),
        brakes=people.brakes,
        filings=people.filings,
        refused=people.refused,
        sites=_sites(topology, stages, how_full(connection)),
        routes=read_routes(connection, topology, meter, stages=stages, now=people.now, at=at),
        behind=_behind(connection, now=people.now),
        alarms=[FlowAlarm.model_validate(dict(row)) for row in connection.execute(statements.ALARMS).mappings()],
    )


def _stages(connection: Connection, topology: Topology) -> dict[str, list[Stage]]:
    """Return the stages of each location in the pipeline's order; also of those that left the topology."""
    lanes = [(lane.location.full_name, str(lane.kind)) for lane in all_lanes(topology)]
    found: dict[tuple[str, str], dict[str, Any]] = {lane: {} for lane in lanes}
    for row in connection.execute(statements.STAGES).mappings():
        found.setdefault((row["location"], row["kind"]), {}).update(row)
    values = {"locations": [location for location, _ in lanes], "kinds": [kind for _, kind in lanes]}
    for done in connection.execute(statements.DONE, values):
        found[done.location, done.kind].update(done=done.count, done_bytes=done.size_bytes)
    stages: dict[str, list[Stage]] = defaultdict(list)
    for (location, kind), values_of in found.items():
        stages[location].append(Stage.model_validate({**values_of, "kind": OperationKind(kind)}))
    return stages


def _sites(topology: Topology, stages: dict[str, list[Stage]], known: dict[str, HowFull]) -> list[FlowSite]:
    found = []
    for site in topology.sites:
        here = [location for location in topology.data_locations if location.site == site.short_name]
        found.append(
            FlowSite(
                name=site.short_name,
                title=site.name,
                where=site.location,
                has_source=any(location.location_type is LocationType.SOURCE for location in here),
                has_archive=site.short_name in topology.archive_sites,
                places=[_place(each, stages.get(each.full_name, []), known.get(each.full_name)) for each in here],
            )
        )
    return found


def _place(location: DataLocation, stages: list[Stage], known: HowFull | None) -> Place:
    return Place(
        name=location.full_name,
        type=location.location_type,
        condition=known.condition if known else None,
        why=known.why if known else "",
        share=known.share if known else None,
        free_bytes=known.free_bytes if known else None,
        stages=stages,
    )


def _behind(connection: Connection, *, now: datetime) -> list[Behind]:
    found = []
    for row in connection.execute(statements.BEHIND):
        oldest = min((at for at in (row.oldest_at, row.oldest_file_at) if at is not None), default=now)
        found.append(
            Behind(
                source=row.location,
                packages=row.packages,
                files=row.files,
                size_bytes=row.size_bytes + row.file_bytes,
                hours=max((now - oldest).total_seconds(), 0.0) / HOUR,
            )
        )
    return found
