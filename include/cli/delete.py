"""`dts delete`: what would go from where, and why not; and a person's wish that it goes."""

from collections import defaultdict
from typing import Annotated

import typer
from sqlalchemy import text
from sqlalchemy.orm import Session

from include.cli import paper
from include.cli.person import By
from include.cli.place import ops_db
from include.cli.retry import this_person
from include.cli.stage import AsJson, Reason
from include.errors import TopologyError
from include.explain.subjects import packages_asked_for
from include.lanes import lanes_of_kind
from include.lifecycle.deletion_requests import request_deletion
from include.lifecycle.preview import Preview, brake_sentence, preview
from include.plurals import counted
from include.sizes import size
from include.topology import DataLocation, OperationKind, Topology

APPLIED = text("select document from topology_version order by id desc limit 1")
SHOWN = 200
"""Packages in a table; --json has them all."""


def delete(
    subjects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SUBJECT]...",
            help="Packages (or package:ID), UUIDs of observations, or an instrument and when its observations began:"
            " primecam:2026-11-20. With --dry-run also nothing: all that is there.",
        ),
    ] = None,
    *,
    location: Annotated[
        str | None, typer.Option(metavar="LOCATION", help="Only there; by default everywhere but in the archives.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go and what would stay, and why.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
    reason: Reason = "",
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Ask that packages are deleted, now that they are safe in the archives; the gate decides, whoever asks."""
    if not subjects and not dry_run:
        raise typer.BadParameter("Name what should go; --dry-run shows all that may.")
    if as_json and not (dry_run or yes):
        raise typer.BadParameter("--json asks nobody anything: it needs --dry-run or --yes.")
    with Session(ops_db()) as session:
        topology = _applied(session)
        places = _places(topology, location)
        asked = packages_asked_for(session.connection(), subjects) if subjects else None
        names = None if asked is None else (*asked.named, *asked.found)
        answers = [
            row for place in places for row in preview(session, topology=topology, location=place, packages=names or ())
        ]
        brakes = [said for place in places if (said := brake_sentence(session, topology, place, answers))]
    if as_json and dry_run:
        paper.as_json({"packages": answers, "brake": brakes})
        return
    if not as_json:
        _show(answers, brakes)
    going = [row for row in answers if row.may_go]
    if dry_run or not going:
        return
    total = size(sum(row.size_bytes for row in going))
    where = counted(len({row.location for row in going}), "location")
    if not yes:
        typer.confirm(f"Delete {counted(len(going), 'package')} with {total} at {where}?", abort=True)
    filed = _file(topology, going, person=by or this_person(), reason=reason)
    if as_json:
        paper.as_json({"packages": answers, "filed": filed})
    else:
        for line in filed:
            paper.say(line)


def _applied(session: Session) -> Topology:
    document = session.execute(APPLIED).scalar()
    if document is None:
        raise TopologyError("No topology was applied to ops-db yet: run `dts topology apply`.")
    return Topology.model_validate(document)


def _places(topology: Topology, only: str | None) -> list[DataLocation]:
    """Where anything may be deleted at all; an archive, if it is named, so that the gate itself says no."""
    if only is not None:
        return [topology.location(only)]
    return [lane.location for lane in lanes_of_kind(topology, OperationKind.DELETION)]


def _show(answers: list[Preview], brakes: list[str]) -> None:
    if not answers:
        paper.say("Nothing of it is there: there is nothing to delete.")
        return
    paper.table(
        ("location", "package", "copies", "size", "", "why"),
        [
            (row.location, row.package, row.copies, size(row.size_bytes), "goes" if row.may_go else "stays", row.reason)
            for row in answers[:SHOWN]
        ],
        numbers=("copies", "size"),
    )
    if len(answers) > SHOWN:
        paper.say(f"… and {len(answers) - SHOWN:,} more: --json has them all.")
    going = [row for row in answers if row.may_go]
    paper.say(
        f"{counted(len(going), 'package')} would go with {size(sum(row.size_bytes for row in going))},"
        f" {len(answers) - len(going):,} would stay."
    )
    for said in brakes:
        paper.say(said)


def _file(topology: Topology, going: list[Preview], *, person: str, reason: str) -> list[str]:
    """Make the operations, location by location; say what came of it."""
    by_place: dict[str, list[Preview]] = defaultdict(list)
    for row in going:
        by_place[row.location].append(row)
    said = []
    for full_name, rows in by_place.items():
        place = topology.location(full_name)
        with Session(ops_db()) as session, session.begin():
            judged = request_deletion(
                session, topology=topology, location=place, wished=rows, person=person, reason=reason
            )
        if judged.may_go:
            said.append(f"{full_name}: {counted(len(judged.may_go), 'package')} filed for deletion.")
        if waiting := len(rows) - len(judged.may_go):
            why = f" {judged.over.why}" if judged.over else ""
            said.append(
                f"{full_name}: the brake holds {counted(waiting, 'package')} back.{why}"
                " `dts brake list --all` shows its questions."
            )
    return said
