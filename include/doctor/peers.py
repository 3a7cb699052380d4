"""Which locations a host has to do with: its own disks, its site's archives, the buffers that it pulls from."""

from pathlib import Path

from include.lanes import lanes_of_host
from include.topology import DataLocation, LocationType, OperationKind, Topology


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


def peers_of(topology: Topology, host: str) -> tuple[DataLocation, ...]:
    """Return the buffers of other sites from which transfers land at a location whose work this host does."""
    here = {lane.location.full_name for lane in lanes_of_host(topology, host) if lane.kind is OperationKind.TRANSFER}
    site = topology.host(host).site
    return tuple(
        origin
        for origin in topology.of_type(LocationType.BUFFER)
        if origin.site != site and here and topology.destination(origin=origin.full_name, site=site).full_name in here
    )
