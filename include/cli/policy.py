"""`dts policy`: what is kept where and for how long, and what another topology file would free."""

from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from include.cli import paper
from include.cli.place import ops_db, the_topology
from include.lifecycle.overrides import overrides_not_over
from include.lifecycle.pins import pins_that_hold
from include.lifecycle.policy_diff import Amount, Difference, applied_document, differences
from include.ops_db.places import applied_topology
from include.plurals import counted
from include.retention import Release, Retention
from include.topology import DataLocation, LocationType, Topology

app = typer.Typer(help="What is kept where and for how long, and what may go.", no_args_is_help=True)


@app.command()
def show(
    location: Annotated[
        str | None, typer.Argument(metavar="LOCATION", help="Full name of one location; by default all.")
    ] = None,
) -> None:
    """Show the applied policy as it holds at each location, for each instrument, and the pins."""
    with Session(ops_db()) as session:
        topology, version = applied_document(session), applied_topology(session)
        pins, overrides = pins_that_hold(session), overrides_not_over(session)
    if topology is None or version is None:
        paper.say("No topology was applied yet, so nothing is deleted anywhere: `dts topology apply`.")
        return
    places = topology.data_locations if location is None else (topology.location(location),)
    paper.say(f"Policy of topology version {version.version_id}, sha256 {version.sha256[:12]}")
    for place in places:
        _show_place(topology, place)
    brake = topology.policy.brake
    most = f"{brake.share:.0%} of a location" + (f" or {paper.size(brake.bytes)}" if brake.bytes is not None else "")
    paper.heading("Brake")
    paper.say(f"More than {most} is deleted at once only after a person's yes.")
    if pins := [pin for pin in pins if location is None or pin.location in (None, location)]:
        paper.heading("Pins")
        paper.table(
            ("pin", "keeps", "at", "until (UTC)", "by", "why"),
            [
                (
                    each.id,
                    each.subject,
                    each.location or "everywhere",
                    paper.moment(each.until),
                    each.pinned_by,
                    each.reason,
                )
                for each in pins
            ],
            numbers=("pin",),
        )
    if overrides := [each for each in overrides if location in (None, each.location)]:
        paper.heading("Overrides of the rule of archive copies")
        paper.table(
            ("override", "of", "at", "asked by", "confirmed by", "over at (UTC)", "why"),
            [
                (
                    each.id,
                    each.subject,
                    each.location,
                    each.asked_by,
                    each.confirmed_by or "nobody yet",
                    paper.moment(each.expires_at),
                    each.reason,
                )
                for each in overrides
            ],
            numbers=("override",),
        )


def _show_place(topology: Topology, place: DataLocation) -> None:
    paper.heading(f"{place.full_name} ({str(place.location_type.value).replace('_', ' ')})")
    if place.location_type is LocationType.LONG_TERM_ARCHIVE:
        paper.say("Nothing is ever deleted here.")
        return
    marks = place.watermarks
    paper.say(
        f"By pressure from {marks.high:.0%} full down to {marks.low:.0%}; from {marks.critical:.0%} on new work waits."
    )
    rows: dict[tuple[str, ...], list[str]] = {}
    for instrument in topology.instruments:
        for module in instrument.modules:
            held = topology.policy.retention_at(
                location_type=place.location_type, full_name=place.full_name, instrument=instrument.name, module=module
            )
            rows.setdefault(_said(held), []).append(f"{instrument.name} {module}")
    paper.table(
        ("by", "goes by itself", "by pressure", "needs", "copies of"),
        [(*said, ", ".join(modules)) for said, modules in rows.items()],
    )


def _said(held: Retention) -> tuple[str, str, str, str]:
    grace = f"{paper.age(held.grace_seconds)} after archiving"
    lately = "" if held.verified_within_days is None else f", verified within {held.verified_within_days:g} d"
    needs = f"{counted(held.archive_copies, 'archive copy')} at {counted(held.archive_sites, 'site')}{lately}"
    return held.name, _by_itself(held), grace, needs


def _by_itself(held: Retention) -> str:
    if held.release is Release.BY_PRESSURE:
        return "never"
    after = max(held.keep_days * 86_400, held.grace_seconds)
    filed = f", {held.keep_days_after_filing:g} d after filing" if held.keep_days_after_filing else ""
    return f"{paper.age(after)} after archiving{filed}"


@app.command()
def diff(
    file: Annotated[Path, typer.Argument(help="A topology file that is not applied yet.")],
) -> None:
    """Say what the file's policy would free, and what it would keep longer, than the applied one. Changes nothing."""
    new = the_topology(file)
    with Session(ops_db()) as session:
        applied = applied_document(session)
        found = [] if applied is None else differences(session, applied=applied, new=new)
    say_differences(found)


def say_differences(found: list[Difference]) -> None:
    """Print what changes, a few lines for each location where anything does."""
    telling = [each for each in found if each.freed.packages or each.kept.packages or _presses_otherwise(each)]
    for each in telling:
        paper.say(f"{each.location}:", style="bold")
        if each.freed.packages:
            paper.say(f"  frees {_amount(each.freed)}")
        if each.kept.packages:
            paper.say(f"  keeps {_amount(each.kept)}")
        if _presses_otherwise(each):
            before, after = paper.size(each.pressed_before.size_bytes), paper.size(each.pressed_after.size_bytes)
            paper.say(f"  could free {after} if the location were too full, instead of {before}")
        if each.unasked:
            paper.say(f"  The gate was not asked about {counted(each.unasked, 'package')} of them: it may keep some.")
        if each.over is not None:
            paper.say(f"  {each.over.why}")
    if not telling:
        paper.say("Nothing more would go, and nothing would stay longer.")


def _presses_otherwise(each: Difference) -> bool:
    return each.pressed_before != each.pressed_after


def _amount(amount: Amount) -> str:
    more = ", …" if amount.packages > len(amount.examples) else ""
    return (
        f"{counted(amount.packages, 'package')} ({counted(amount.copies, 'copy')}, {paper.size(amount.size_bytes)}):"
        f" {', '.join(amount.examples)}{more}"
    )
