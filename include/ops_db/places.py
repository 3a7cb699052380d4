"""Names of places to their ids in ops-db, and the topology that was applied."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from include.errors import TopologyError
from include.ops_db.tables import DataLocation, TopologyVersion
from include.topology import Topology


@dataclass(frozen=True)
class AppliedTopology:
    """Which topology ops-db holds."""

    version_id: int
    sha256: str


def location_ids(session: Session) -> dict[str, int]:
    """Return the id of every location by its full name, those that left the topology included."""
    return {row.full_name: row.id for row in session.execute(select(DataLocation.full_name, DataLocation.id))}


def location_id(session: Session, full_name: str) -> int:
    """Return the id of a location.

    Raises:
        TopologyError: ops-db does not know it.
    """
    found = session.scalar(select(DataLocation.id).where(DataLocation.full_name == full_name))
    if found is None:
        raise TopologyError(f"ops-db does not know the location {full_name}: run `dts topology apply` first.")
    return found


def applied_topology(session: Session) -> AppliedTopology | None:
    """Return the newest applied topology, None before the first `dts topology apply`."""
    row = session.execute(
        select(TopologyVersion.id, TopologyVersion.sha256).order_by(TopologyVersion.id.desc()).limit(1)
    ).one_or_none()
    return AppliedTopology(row.id, row.sha256) if row else None


def require_applied(session: Session, topology: Topology) -> AppliedTopology:
    """Return the applied topology if it is `topology`.

    Raises:
        TopologyError: none was applied, or another one.
    """
    applied = applied_topology(session)
    if applied is None:
        raise TopologyError("No topology was applied to ops-db yet: run `dts topology apply`.")
    if applied.sha256 != topology.sha256:
        raise TopologyError(
            f"This process reads topology {topology.sha256[:12]}, but {applied.sha256[:12]} (version"
            f" {applied.version_id}) is the applied one: bring its file up to date, or run `dts topology apply`."
        )
    return applied
