"""Which locations a host has to do with: its own disks, its site's archives, the buffers that it reads or writes."""

from dataclasses import dataclass
from pathlib import Path

from include.lanes import lanes_of_host
from include.topology import DataLocation, LocationType, MovedBy, OperationKind, Topology


@dataclass(frozen=True, slots=True)
class Peer:
    """A location of another site, and what this host does there over SFTP."""

    location: DataLocation
    is_read: bool
    """Transfers are pulled from it, or an archive here takes packages straight from it."""
    is_written: bool
    """Transfers are pushed to it."""


def disks_of(topology: Topology, host: str | None) -> tuple[DataLocation, ...]:
    """Return the disks that the host has mounted; of an unnamed host those whose folder is here."""
    return tuple(
        location
        for location in topology.data_locations
        if location.storage.type == "disk"
        and (Path(location.storage.root).is_dir() if host is None else location.is_disk_on(host))
    )


def archives_of(topology: Topology, host: str) -> tuple[DataLocation, ...]:
    """Return the S3 locations of the host's site."""
    site = topology.host(host).site
    return tuple(
        location for location in topology.data_locations if location.storage.type == "s3" and location.site == site
    )


def peers_of(topology: Topology, host: str) -> tuple[Peer, ...]:
    """Return the buffers of other sites that this host reads or writes for the lanes whose work it does."""
    lanes = lanes_of_host(topology, host)
    transfers = {lane.location.full_name for lane in lanes if lane.kind is OperationKind.TRANSFER}
    archiving = {lane.location.full_name for lane in lanes if lane.kind is OperationKind.ARCHIVING}
    peers = (
        Peer(
            buffer,
            is_read=_is_pulled(topology, buffer, host=host, to=transfers)
            or _are_linked(topology, buffer.full_name, archiving, moved_by=MovedBy.DIRECT),
            is_written=any(
                _are_linked(topology, origin, {buffer.full_name}, moved_by=MovedBy.PUSH) for origin in transfers
            ),
        )
        for buffer in topology.of_type(LocationType.BUFFER)
        if buffer.site != topology.host(host).site
    )
    return tuple(peer for peer in peers if peer.is_read or peer.is_written)


def _is_pulled(topology: Topology, origin: DataLocation, *, host: str, to: set[str]) -> bool:
    site = topology.host(host).site
    if not to or site not in topology.archive_sites or site in topology.direct_sites(origin.full_name):
        return False  # nothing is bundled for here
    lands_at = topology.destination(origin=origin.full_name, site=site).full_name
    return lands_at in to and topology.route(origin=origin.full_name, destination=lands_at).moved_by is MovedBy.PULL


def _are_linked(topology: Topology, origin: str, destinations: set[str], *, moved_by: MovedBy) -> bool:
    return any(
        route.from_location == origin and route.to_location in destinations and route.moved_by is moved_by
        for route in topology.routes
    )
