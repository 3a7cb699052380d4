"""`dts topology`: the shape of the observatory, checked, applied, shown."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from include.cli import paper
from include.cli.place import ops_db, the_topology, topology_file
from include.cli.policy import say_differences
from include.cli.retry import this_person
from include.cli.topology_changes import changes
from include.errors import BadInputError
from include.lanes import all_lanes, lanes_of_host
from include.lifecycle.policy_diff import applied_document, differences
from include.ops_db.apply import apply_topology
from include.ops_db.tables import TopologyVersion
from include.policy import doubts_about
from include.sandbox.components import queues_of_host
from include.timetable import DAYS, in_words, rate_at
from include.topology import Route, Topology

app = typer.Typer(help="Sites, storage, hosts, routes and policy, from the topology file.", no_args_is_help=True)

File = Annotated[
    Path | None,
    typer.Argument(help="The topology file; by default DTS_TOPOLOGY, or the running sandbox's.", show_default=False),
]


@app.command()
def validate(file: File = None) -> None:
    """Read the file and name every mistake in it, and what is hardly meant."""
    topology = the_topology(file)
    paper.say(
        f"{topology_file(file)} is valid: {len(topology.sites)} sites, {len(topology.data_locations)} locations,"
        f" {len(topology.hosts)} hosts, {len(all_lanes(topology))} lanes; sha256 {topology.sha256[:12]}."
    )
    for doubt in doubts_about(topology.policy):
        paper.say(f"Warning: {doubt}.")


@app.command()
def apply(
    file: File = None,
    *,
    by: Annotated[str | None, typer.Option(help="Who applies it; by default the account that types.")] = None,
    moved: Annotated[
        list[str] | None,
        typer.Option(metavar="LOCATION", help="Its files were moved to its new root or bucket. May be given often."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Apply it, however much it would free.")] = False,
) -> None:
    """Make it the applied topology, and print what changed.

    Refuses to drop a location that still holds copies, or to look for its copies elsewhere unless they were moved.
    What would free more of a location than the brake lets go at once is shown first, and applied only with --yes.
    """
    topology = the_topology(file)
    with Session(ops_db()) as session, session.begin():
        if not yes:
            _refuse_to_free_much(session, topology)
        document = session.scalar(select(TopologyVersion.document).order_by(TopologyVersion.id.desc()).limit(1))
        applied = apply_topology(session, topology, applied_by=by or this_person(), moved=moved or ())
    if not applied.changed:
        paper.say(f"Version {applied.version_id} was applied already; nothing changed.")
        return
    for line in changes(document or {}, topology.model_dump(mode="json")):
        paper.say(line)
    paper.say(
        f"Applied as version {applied.version_id}, sha256 {topology.sha256[:12]}."
        " Airflow's pools: `dts topology pools`."
    )


def _refuse_to_free_much(session: Session, topology: Topology) -> None:
    applied = applied_document(session)
    if applied is None or applied.sha256 == topology.sha256:
        return
    found = differences(session, applied=applied, new=topology)
    if over := [each.location for each in found if each.over is not None]:
        say_differences(found)
        raise BadInputError(
            f"Nothing was applied: it would free more at {', '.join(over)} than the brake lets go at once. If that is"
            " meant, repeat it with --yes."
        )


@app.command()
def show(file: File = None) -> None:
    """Show sites, locations, hosts, instruments, routes and policy."""
    topology = the_topology(file)
    paper.say(f"{topology_file(file)}, sha256 {topology.sha256[:12]}")
    _show_places(topology)
    paper.heading("Instruments")
    paper.table(
        ("instrument", "modules", "writes to", "filed by"),
        [
            (each.name, ", ".join(each.modules), ", ".join(each.data_locations), ", ".join(each.filed_by))
            for each in topology.instruments
        ],
    )
    _show_routes(topology)
    paper.heading("Policy")
    paper.table(("what", "value"), topology.policy.model_dump().items())


@app.command()
def queues(
    host: Annotated[str, typer.Option(help="Name of a worker host in the topology.")],
    file: File = None,
) -> None:
    """Print what the worker of a host listens to: `airflow celery worker -q "$(dts topology queues --host NAME)"`."""
    paper.say(",".join(queues_of_host(the_topology(file), host)))


@app.command()
def pools(file: File = None) -> None:
    """Print the lanes' pools as JSON: `dts topology pools > pools.json && airflow pools import pools.json`."""
    described = {
        lane.name: {
            "slots": lane.slots,
            "description": f"{lane.kind} at {lane.location.full_name}",
            "include_deferred": False,
        }
        for lane in all_lanes(the_topology(file))
    }
    sys.stdout.write(json.dumps(described, indent=2) + "\n")


def _show_places(topology: Topology) -> None:
    paper.heading("Sites")
    paper.table(("site", "name", "where"), [(site.short_name, site.name, site.location) for site in topology.sites])
    paper.heading("Locations")
    kinds: dict[str, list[str]] = {}
    for lane in all_lanes(topology):
        kinds.setdefault(lane.location.full_name, []).append(f"{lane.kind} {lane.slots}")
    paper.table(
        ("location", "type", "storage", "hosts", "lanes and their slots"),
        [
            (
                each.full_name,
                each.location_type,
                each.storage.root if each.storage.type == "disk" else f"s3: {each.storage.bucket}",
                ", ".join(each.hosts),
                ", ".join(kinds.get(each.full_name, [])),
            )
            for each in topology.data_locations
        ],
    )
    paper.heading("Hosts")
    paper.table(
        ("host", "site", "processes", "lease", "lanes"),
        [
            (each.name, each.site, each.concurrency, f"{each.lease_seconds} s", len(lanes_of_host(topology, each.name)))
            for each in topology.hosts
        ],
        numbers=("processes", "lanes"),
    )


def _show_routes(topology: Topology) -> None:
    if not topology.routes:
        return
    now = datetime.now(UTC)
    paper.heading("Routes")
    paper.table(
        ("from", "to", "moved by", "compression", "timetable", "now"),
        [
            (
                each.from_location,
                each.to_location,
                each.moved_by,
                each.compression,
                _timetable(each),
                in_words(rate_at(each.timetable, instant=now, zone=each.zone), now=now, zone=each.zone)
                if each.timetable
                else "",
            )
            for each in topology.routes
        ],
    )


def _timetable(route: Route) -> str:
    if not route.timetable:
        return "none: what the link gives"
    entries = [
        f"{'every day' if len(each.days) == len(DAYS) else ' '.join(each.days)} {each.begins}-{each.until}"
        f" {each.mbit_per_second:g} Mbit/s"
        for each in route.timetable
    ]
    return f"{'; '.join(entries)} ({route.time_zone})"
