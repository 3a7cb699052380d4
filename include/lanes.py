"""Lanes: one operation kind at one DataLocation, with the names of its task group, queue and pool."""

from dataclasses import dataclass

from include.topology import PLACES, DataLocation, MovedBy, OperationKind, Topology

__all__ = ["CONTROL_QUEUE", "PLACES", "Lane", "all_lanes", "lanes_of_host", "lanes_of_kind"]

CONTROL_QUEUE = "control"
"""The queue of light tasks (plan, receive) that need only ops-db."""

_RECEIVING = frozenset({OperationKind.TRANSFER, OperationKind.UNPACKING})


@dataclass(frozen=True)
class Lane:
    """One operation kind at one DataLocation."""

    kind: OperationKind
    location: DataLocation

    @property
    def name(self) -> str:
        """Name of its queue and of its pool: `{site}_{location}_{operation}`."""
        return f"{self.location.full_name}_{self.kind}"

    @property
    def group_id(self) -> str:
        """Name of its task group in the DAG."""
        return f"at_{self.location.full_name}"

    @property
    def slots(self) -> int:
        """How many of its tasks may run at once."""
        return self.location.slots.get(self.kind, 2)


def lanes_of_kind(topology: Topology, kind: OperationKind) -> tuple[Lane, ...]:
    """Return the lanes of one kind, in the order of the topology file."""
    found = [location for location in topology.data_locations if location.location_type in PLACES.get(kind, ())]
    if kind in _RECEIVING:
        pushes = (route.from_location for route in topology.routes if route.moved_by is MovedBy.PUSH)
        pushing = {topology.location(origin).site for origin in pushes}  # a route holds for all buffers of a site
        found = [
            location
            for location in found
            if location.site in topology.archive_sites or (kind is OperationKind.TRANSFER and location.site in pushing)
        ]
    return tuple(Lane(kind, location) for location in found)


def all_lanes(topology: Topology) -> tuple[Lane, ...]:
    """Return every lane, stage by stage."""
    return tuple(lane for kind in PLACES for lane in lanes_of_kind(topology, kind))


def lanes_of_host(topology: Topology, host: str) -> tuple[Lane, ...]:
    """Return the lanes whose queues a worker on `host` listens to."""
    topology.host(host)
    return tuple(lane for lane in all_lanes(topology) if host in lane.location.hosts)
