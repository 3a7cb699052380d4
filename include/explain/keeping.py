"""What keeps a package where it is, in the words of the deletion gate itself: the only one who knows all the rules."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from include.explain.packages import ExplainedPackage
from include.lifecycle.gate import Allowed, would_say
from include.lifecycle.pressure import is_pressed
from include.lifecycle.preview import Preview, brake_sentence
from include.ops_db.places import location_id, require_applied
from include.ops_db.states import NO_BYTES
from include.topology import DataLocation, LocationType, Topology

# The gate locks the package as if it decided. Whoever really works on it must not be kept waiting for an explanation,
# nor an explanation wait for him.
SHORTLY = text("set local lock_timeout = '200ms'")
LOCK_NOT_AVAILABLE = "55P03"


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """What the gate says about a package at a location."""

    location: str
    may_go: bool | None
    """None: nobody could ask, because somebody is at work on the package."""
    why: str

    @property
    def sentence(self) -> str:
        """For a person."""
        if self.may_go is None:
            return f"At {self.location}: {self.why}"
        return (
            f"From {self.location} it may go: {self.why}" if self.may_go else f"At {self.location} it stays: {self.why}"
        )


def what_keeps(connection: Connection, package: ExplainedPackage, topology: Topology) -> tuple[Keeping, ...]:
    """Ask the gate about each location, but archives, where a copy still is; everything it writes is taken back.

    Raises:
        TopologyError: `topology` is not the applied one.
    """
    with Session(connection) as session:
        session.execute(SHORTLY)
        return tuple(_asked(session, package, place, topology) for place in _places(package, topology))


def _places(package: ExplainedPackage, topology: Topology) -> Iterator[DataLocation]:
    here = {copies.location for copies in package.copies if copies.status not in NO_BYTES}
    return (
        place
        for place in topology.data_locations
        if place.full_name in here and place.location_type is not LocationType.LONG_TERM_ARCHIVE
    )


def _asked(session: Session, package: ExplainedPackage, place: DataLocation, topology: Topology) -> Keeping:
    try:
        answer = would_say(
            session,
            raw_data_package_id=package.id,
            location=place,
            topology=topology,
            topology_version_id=require_applied(session, topology).version_id,
            now=session.execute(select(func.now())).scalar_one(),
            pressure=is_pressed(session, data_location_id=location_id(session, place.full_name)),
        )
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        why = "somebody is at work on it just now, so the gate was not asked; ask again in a moment."
        return Keeping(location=place.full_name, may_go=None, why=why)
    if not isinstance(answer, Allowed):
        return Keeping(location=place.full_name, may_go=False, why=answer.reason)
    goes = Preview(
        raw_data_package_id=package.id,
        package=package.name,
        location=place.full_name,
        copies=len(answer.copies),
        size_bytes=sum(copy.size_bytes for copy in answer.copies),
        may_go=True,
        reason=answer.reason,
    )
    brake = brake_sentence(session, topology, place, [goes])
    return Keeping(location=place.full_name, may_go=True, why=f"{answer.reason} {brake or ''}".rstrip())
