"""The dry run of deletion: the gate's own answers, without anything changing."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from include.lifecycle.brake import At, Going, judge
from include.lifecycle.gate import Allowed, would_say
from include.lifecycle.pressure import is_pressed
from include.lifecycle.retention import packages_here
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

    Raises:
        TopologyError: `topology` is not the applied one.
    """
    applied = require_applied(session, topology)
    now = session.execute(select(func.now())).scalar_one()
    here = location_id(session, location.full_name)
    pressure = is_pressed(session, data_location_id=here)
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
            pressure=pressure,
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
