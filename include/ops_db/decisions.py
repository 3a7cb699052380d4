"""What a transfer tells ops-db while it is under way, and what it hears: one statement every few seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

KEPT = 500
"""Decisions of a route that are kept, the newest."""

REPORT = text(
    """
    with shrunk as (
      update space_reservation set size_bytes = least(size_bytes, :left)
      where operation_id = :operation_id and lease_token = :lease_token
    ), told as (
      insert into transfer_decision (data_transfer_route_id, operation_id, decided_at, streams, why)
      select :route, :operation_id, d.decided_at, d.streams, d.why
      from unnest(cast(:decided as timestamptz[]), cast(:streams as int[]), cast(:whys as text[]))
        with ordinality as d(decided_at, streams, why, turn)
      order by d.turn
    ), kept as (
      update data_transfer_route set streams = cast(:last as int)
      where id = :route and cast(:last as int) is not null and streams is distinct from cast(:last as int)
    )
    select max(id) from topology_version
    """
)

PRUNE = text(
    """
    delete from transfer_decision where data_transfer_route_id = :route and id <=
      (select id from transfer_decision where data_transfer_route_id = :route order by id desc offset :kept limit 1)
    """
)

LAST = text(
    """
    select d.operation_id, d.decided_at, d.streams, d.why from transfer_decision d
    where d.data_transfer_route_id = :route order by d.id desc limit :most
    """
)


@dataclass(frozen=True, slots=True)
class TransferDecision:
    """So many connections from then on, and why."""

    decided_at: datetime
    streams: int
    why: str


@dataclass(frozen=True, kw_only=True)
class TransferReport:
    """How far an operation under a lease is: bytes that it has yet to write, and what it decided since the last."""

    route_id: int
    operation_id: int
    lease_token: int
    left_bytes: int
    decisions: Sequence[TransferDecision]
    streams: int | None
    """How many connections it uses."""


def write_report(connection: Connection, report: TransferReport) -> int | None:
    """Write it, and return which version of the topology is applied. One statement."""
    version: int | None = connection.execute(
        REPORT,
        {
            "route": report.route_id,
            "operation_id": report.operation_id,
            "lease_token": report.lease_token,
            "left": report.left_bytes,
            "decided": [decision.decided_at for decision in report.decisions],
            "streams": [decision.streams for decision in report.decisions],
            "whys": [decision.why for decision in report.decisions],
            "last": report.streams,
        },
    ).scalar()
    return version


def prune_decisions(connection: Connection, *, route_id: int) -> None:
    """Keep the newest decisions of a route."""
    connection.execute(PRUNE, {"route": route_id, "kept": KEPT})


def last_decisions(connection: Connection, *, route_id: int, most: int) -> tuple[TransferDecision, ...]:
    """Return a route's newest decisions, oldest first."""
    rows = connection.execute(LAST, {"route": route_id, "most": most}).all()
    return tuple(TransferDecision(row.decided_at, row.streams, row.why) for row in reversed(rows))
