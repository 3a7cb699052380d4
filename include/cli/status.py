"""`dts status`: how every stage does at every site."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, text

from include.cli import paper
from include.cli.alarms import count_line
from include.cli.place import applied_topology, ops_db
from include.lanes import all_lanes
from include.lifecycle.alarms import cut_sites, tell
from include.notifications.refused import HOW_TO_CORRECT, refused_filings
from include.ops_db.measurements import HowFull, how_full
from include.topology import OperationKind, Topology

# Live operations only. The sentence is that of the oldest problem: one that failed, else that fails, else the oldest.
LIVE = text(
    """
    select o.kind, l.site,
      count(*) filter (where o.status = 'pending') as pending,
      count(*) filter (where o.status = 'scheduled') as scheduled,
      count(*) filter (where o.status = 'in_progress') as in_progress,
      count(*) filter (where o.status = 'failed') as failed,
      extract(epoch from now() - min(o.created_at)) as oldest_seconds,
      (array_agg('operation ' || o.id || ': ' || o.explanation
        order by o.status = 'failed' desc, o.failure_count > 0 desc, o.created_at, o.id))[1] as why
    from operation o join data_location l on l.id = o.data_location_id
    where o.status in ('pending', 'scheduled', 'in_progress', 'failed')
    group by o.kind, l.site
    """
)

REFUSED_DAYS = 1
REFUSED_MOST = 10


@dataclass(frozen=True)
class Row:
    """Live operations of one kind at one site."""

    pending: int = 0
    scheduled: int = 0
    in_progress: int = 0
    failed: int = 0
    oldest_seconds: float | None = None
    why: str = ""


def status() -> None:
    """Show how every stage does at every site, refused filings of the last day, and how full places are."""
    now = datetime.now(UTC)
    with ops_db().connect() as connection:
        topology = applied_topology(connection)
        rows = _rows(connection, topology)
        refused = refused_filings(connection, days=REFUSED_DAYS, most=REFUSED_MOST)
        open_alarms = count_line(connection)
        places = how_full(connection)
        cuts = cut_sites(connection)
    paper.table(
        ("stage", "site", "pending", "scheduled", "in progress", "failed", "oldest", "why"),
        [
            (
                kind,
                site,
                row.pending,
                row.scheduled,
                row.in_progress,
                row.failed,
                paper.age(row.oldest_seconds),
                row.why,
            )
            for (kind, site), row in rows.items()
        ],
        numbers=("pending", "scheduled", "in progress", "failed", "oldest"),
    )
    if refused:
        paper.heading("Filings refused in the last 24 hours, and not corrected")
        paper.table(
            ("received (UTC)", "from", "filing", "verdict"),
            [(paper.moment(r.received_at), r.received_from, r.id, r.verdict) for r in refused],
            numbers=("filing",),
        )
        paper.say(f"To correct one: {HOW_TO_CORRECT.format(id='FILING')}")
    if places:
        paper.heading("Places")
        paper.table(
            ("location", "full", "free", "last looked at (UTC)", "how it is"),
            [_place(places[each.full_name]) for each in topology.data_locations if each.full_name in places],
            numbers=("full", "free"),
        )
    if alarms := tell(places, topology=topology, cuts=cuts, now=now):
        paper.heading("Alarms")
        for alarm in alarms:
            paper.say(alarm.sentence, style="bold red")
    if open_alarms:
        paper.heading("Raised alarms")
        paper.say(open_alarms)


def _place(place: HowFull) -> tuple[object, ...]:
    share = "?" if place.share is None else f"{place.share:.0%}"
    condition = place.condition.replace("_", " ")
    return place.full_name, share, paper.size(place.free_bytes) or "?", paper.moment(place.measured_at), condition


def _rows(connection: Connection, topology: Topology) -> dict[tuple[OperationKind, str], Row]:
    """Return a row for every stage and site of the applied topology, in pipeline order; others at the end."""
    found: dict[tuple[OperationKind, str], Row] = defaultdict(Row)
    for lane in all_lanes(topology):
        found[lane.kind, lane.location.site] = Row()
    for live in connection.execute(LIVE).mappings():
        values = {key: live[key] for key in live if key not in {"kind", "site"}}
        found[OperationKind(live["kind"]), live["site"]] = Row(**values)
    return dict(found)
