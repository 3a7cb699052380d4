"""The route of a transfer: what its timetable says now, and what was decided about its connections."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, text

from include.ops_db.decisions import TransferDecision, last_decisions
from include.ops_db.routes import timetable_now
from include.plurals import counted
from include.topology import Topology

DECISIONS_SHOWN = 3

# A transfer's own, or the one that something else (an upload into an archive) decided about last.
ROUTE = text(
    """
    with ends as (
      select origin_location_id, destination_location_id from data_transfer where id = :transfer
      union all (
        select r.origin_location_id, r.destination_location_id
        from transfer_decision d join data_transfer_route r on r.id = d.data_transfer_route_id
        where d.operation_id = :operation and cast(:transfer as bigint) is null
        order by d.id desc limit 1)
    )
    select origin.full_name as origin, destination.full_name as destination, r.id, r.streams,
      (select document from topology_version order by id desc limit 1) as topology
    from ends t
    join data_location origin on origin.id = t.origin_location_id
    join data_location destination on destination.id = t.destination_location_id
    left join data_transfer_route r on r.origin_location_id = origin.id and r.destination_location_id = destination.id
    """
)


@dataclass(frozen=True, kw_only=True)
class ExplainedRoute:
    """A route now."""

    name: str
    moved_by: str
    compression: str
    timetable: str
    """`held to 400 Mbit/s until 20:00 UTC by the timetable`; empty without one."""
    streams: int | None
    decisions: tuple[TransferDecision, ...]
    """The newest, oldest first."""

    @property
    def sentence(self) -> str:
        """Say how bytes go along it."""
        moved = {"pull": "pulled by the destination", "push": "pushed by the origin", "direct": "sent directly"}
        compressed = "" if self.compression == "none" else f", compressed with {self.compression}"
        streams = f"; the last transfer used {counted(self.streams, 'connection')}" if self.streams else ""
        return (
            f"Route {self.name}: {moved.get(self.moved_by, self.moved_by)}{compressed},"
            f" {self.timetable or 'as fast as the link gives'}{streams}."
        )


def explain_route(
    connection: Connection, *, operation_id: int, data_transfer_id: int | None, now: datetime | None = None
) -> ExplainedRoute | None:
    """Return what is known about the route of an operation, None if nothing is; two statements.

    Of a transfer it always is, of what goes into an archive once something was decided.
    """
    row = connection.execute(ROUTE, {"operation": operation_id, "transfer": data_transfer_id}).one_or_none()
    if row is None:
        return None
    route = Topology.model_validate(row.topology).route(origin=row.origin, destination=row.destination)
    return ExplainedRoute(
        name=route.name,
        moved_by=route.moved_by,
        compression=route.compression,
        timetable=timetable_now(route, now=now or datetime.now(UTC)),
        streams=row.streams,
        decisions=last_decisions(connection, route_id=row.id, most=DECISIONS_SHOWN) if row.id else (),
    )
