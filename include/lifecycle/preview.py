"""The dry run of deletion: the gate's own answers, without anything changing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from include.lifecycle.brake import At, Going, judge
from include.lifecycle.gate import Allowed, would_say
from include.lifecycle.pressure import how_much_to_free, is_pressed, what_goes
from include.lifecycle.retention import PACKAGES_A_QUESTION, candidates, packages_here
from include.ops_db.places import location_id, require_applied
from include.plurals import counted
from include.topology import DataLocation, Topology

PACKAGES_A_PREVIEW = 2000


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What the gate would say about a package at a location now."""

    raw_data_package_id: int
    package: str
    location: str
    copies: int
    size_bytes: int
    may_go: bool
    reason: str


def preview(
    session: Session,
    *,
    topology: Topology,
    location: DataLocation,
    packages: Sequence[str] = (),
    most: int = PACKAGES_A_PREVIEW,
) -> list[Preview]:
    """Ask the gate about each package that holds something at `location` (or only `packages`, by name); change nothing.

    Every answer comes from the gate itself, in a transaction of its own within the session's that is rolled back.
    Where room is needed, it is asked as deletion would: `packages` that a person names may make room, and of all the
    others only those that are chosen for it.

    Raises:
        TopologyError: `topology` is not the applied one.
    """
    applied = require_applied(session, topology)
    now = session.execute(select(func.now())).scalar_one()
    here = location_id(session, location.full_name)
    pressed = is_pressed(session, data_location_id=here)
    chosen = None if packages or not pressed else _chosen(session, topology=topology, location=location, now=now)
    found = packages_here(session, data_location_id=here, names=list(packages), most=most)
    previews = []
    for row in found:
        answer = would_say(
            session,
            raw_data_package_id=row.id,
            location=location,
            topology=topology,
            topology_version_id=applied.version_id,
            now=now,
            pressure=pressed and (chosen is None or row.id in chosen),
        )
        previews.append(
            Preview(
                raw_data_package_id=row.id,
                package=row.name,
                location=location.full_name,
                copies=row.copies,
                size_bytes=row.size_bytes,
                may_go=isinstance(answer, Allowed),
                reason=answer.reason,
            )
        )
    return previews


def _chosen(session: Session, *, topology: Topology, location: DataLocation, now: datetime) -> set[int]:
    """Return what goes by its age or makes room, no more than is needed, and what is on its way out already."""
    here = location_id(session, location.full_name)
    look = partial(
        candidates, session, data_location_id=here, policy=topology.policy, now=now, most=PACKAGES_A_QUESTION
    )
    going = what_goes(look, to_free_bytes=how_much_to_free(session, location=location))
    may_go, planned_too = look(pressure=True), look(pressure=True, with_operations=True)
    return {row.id for row in going} | ({row.id for row in planned_too} - {row.id for row in may_go})


def brake_sentence(
    session: Session, topology: Topology, location: DataLocation, previews: Sequence[Preview]
) -> str | None:
    """Say what the brake would hold back of what the gate would let go at `location`; None: nothing."""
    going = [
        Going(id=row.raw_data_package_id, copies=row.copies, size_bytes=row.size_bytes)
        for row in previews
        if row.may_go and row.location == location.full_name
    ]
    here = location_id(session, location.full_name)
    judged = judge(At(session=session, topology=topology, location=location, data_location_id=here), going)
    said = []
    if judged.over is not None:
        said.append(f"A person would be asked first: {judged.over.why}")
    if judged.held:
        numbers = ", ".join(str(number) for number in sorted({brake for brake, _ in judged.held.values()}))
        said.append(f"{counted(len(judged.held), 'package')} held back by the brake (question {numbers}).")
    return f"{location.full_name}: {' '.join(said)}" if said else None


def sentences(previews: Sequence[Preview], *, most: int = PACKAGES_A_PREVIEW) -> list[str]:
    """Return a sentence for each, and a last one if there may be packages that were not looked at."""
    lines = [
        f"{answer.package}: {answer.copies} copies, {answer.size_bytes} bytes"
        f" {'would go' if answer.may_go else 'would stay'}: {answer.reason}"
        for answer in previews
    ]
    if len(previews) >= most:
        lines.append(f"Only the first {most} packages were looked at; name packages to see others.")
    return lines
