"""Which routes there are: those that bytes take by the topology, and those that took some before it changed."""

from collections.abc import Iterable, Iterator

from include.page.rates import RouteName
from include.topology import LocationType, Topology


def routes_of(topology: Topology, *, used: Iterable[RouteName]) -> list[RouteName]:
    """Return them, out of the observatory first."""
    known = {location.full_name for location in topology.data_locations}
    also = (route for route in used if set(route) <= known)
    return list(dict.fromkeys((*_out_of_the_observatory(topology), *_among_archives(topology), *also)))


def _out_of_the_observatory(topology: Topology) -> Iterator[RouteName]:
    born_at = dict.fromkeys(location.site for location in topology.of_type(LocationType.SOURCE))
    for site in born_at:
        if site in topology.archive_sites:
            continue
        origin = topology.first_buffer(site).full_name
        if direct := topology.direct_archives(origin):
            yield from ((origin, archive) for archive in direct)
        else:
            yield from _to_sites(topology, origin, topology.archive_sites)


def _among_archives(topology: Topology) -> Iterator[RouteName]:
    for route in topology.routes:
        if route.moved_by == "direct" and topology.location(route.from_location).site in topology.archive_sites:
            yield route.from_location, route.to_location
    for site in topology.archive_sites:
        origin = topology.first_buffer(site).full_name
        others = [other for other in topology.archive_sites if other != site]
        reached = {topology.location(to).site for to in topology.direct_archives(origin)}
        yield from _to_sites(topology, origin, [other for other in others if other not in reached])


def _to_sites(topology: Topology, origin: str, sites: Iterable[str]) -> Iterator[RouteName]:
    return ((origin, topology.destination(origin=origin, site=site).full_name) for site in sites)
