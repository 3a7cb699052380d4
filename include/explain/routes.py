"""The route of a transfer: what its timetable says now, and what was decided about its connections."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, text

from include.ops_db.decisions import TransferDecision, last_decisions
from include.ops_db.routes import timetable_now
from include.plurals import counted
from include.topology import Topology

DECISIONS_SHOWN = 3

ROUTE_OF_TRANSFER = text(
    """
    select origin.full_name as origin, destination.full_name as destination, r.id, r.streams,
      (select document from topology_version order by id desc limit 1) as topology
    from data_transfer t
    join data_location origin on origin.id = t.origin_location_id
    join data_location destination on destination.id = t.destination_location_id
    left join data_transfer_route r on r.origin_location_id = origin.id and r.destination_location_id = destination.id
    where t.id = :transfer
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


def explain_route(connection: Connection, data_transfer_id: int, *, now: datetime | None = None) -> ExplainedRoute:
    """Return what is known about the route of a transfer that exists; two statements."""
    row = connection.execute(ROUTE_OF_TRANSFER, {"transfer": data_transfer_id}).one()
    route = Topology.model_validate(row.topology).route(origin=row.origin, destination=row.destination)
    return ExplainedRoute(
        name=route.name,
        moved_by=route.moved_by,
        compression=route.compression,
        timetable=timetable_now(route, now=now or datetime.now(UTC)),
        streams=row.streams,
        decisions=last_decisions(connection, route_id=row.id, most=DECISIONS_SHOWN) if row.id else (),
    )
