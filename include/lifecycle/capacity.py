"""How long each location lasts at the present rates, and with a link or an archive out of order: a pure forecast.

What is assumed: data goes on being born as it is now. It must reach as many archives at as many sites as policy asks
before any copy at a SOURCE or BUFFER may go; where some of it cannot, nothing goes. A BUFFER whose own archive is out
of order keeps everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from include.errors import BadInputError
from include.ops_db.measurements import HowFull
from include.topology import DataLocation, LocationType, Topology

Link = frozenset[str]
"""Short names of two sites."""


@dataclass(frozen=True, kw_only=True)
class Outage:
    """What is out of order: links between sites, archives by their full names."""

    links: frozenset[Link] = frozenset()
    archives: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Lasting:
    """How a location fills. Rates in bytes a second; None: not known, or it never gets full."""

    in_rate: float | None
    out_rate: float | None
    hours_left: float | None

    def free_after(self, free_bytes: int | None, *, hours: float) -> int | None:
        """Return what is still free after some hours; none when it got full before."""
        if free_bytes is None or self.in_rate is None or self.out_rate is None:
            return None
        return max(round(free_bytes - (self.in_rate - self.out_rate) * hours * 3600), 0)


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A location now, at the present rates, and with the outage. Sizes in bytes."""

    location: str
    measured_at: datetime
    stored_bytes: int
    total_bytes: int | None
    free_bytes: int | None
    present: Lasting
    outage: Lasting
    why: str = ""
    """What the outage does to it; empty: nothing."""


def forecast(known: Mapping[str, HowFull], topology: Topology, *, outage: Outage, now: datetime) -> list[Forecast]:
    """Return a forecast for each location that was measured, in the topology's order."""
    found = []
    for location in topology.data_locations:
        place = known.get(location.full_name)
        if place is None:
            continue
        in_rate, out_rate, why = _with(outage, place, location=location, topology=topology)
        found.append(
            Forecast(
                location=place.full_name,
                measured_at=place.measured_at,
                stored_bytes=place.stored_bytes,
                total_bytes=place.total_bytes,
                free_bytes=place.free_bytes,
                present=_lasting(place, place.in_rate, place.out_rate, now=now),
                outage=_lasting(place, in_rate, out_rate, now=now),
                why=why,
            )
        )
    return found


def outage_of(topology: Topology, *, link_down: tuple[str, ...] = (), archive_down: tuple[str, ...] = ()) -> Outage:
    """Read what a person says is out of order: `ccat_buffer to cologne_buffer`, `ccat to us`, or a site: all its links.

    Raises:
        BadInputError: there is no such site, location or archive.
    """
    archives = {location.full_name for location in topology.of_type(LocationType.LONG_TERM_ARCHIVE)}
    for name in archive_down:
        if name not in archives:
            raise BadInputError(f"There is no archive {name!r}. There are: {', '.join(sorted(archives))}.")
    links: set[Link] = set()
    for said in link_down:
        first, _, second = said.partition(" to ")
        site = _site(topology, first)
        others = [_site(topology, second)] if second else [each.short_name for each in topology.sites]
        links |= {frozenset((site, other)) for other in others if other != site}
    return Outage(links=frozenset(links), archives=frozenset(archive_down))


def _site(topology: Topology, said: str) -> str:
    sites = {site.short_name for site in topology.sites}
    of_location = {location.full_name: location.site for location in topology.data_locations}
    name = said.strip()
    if name not in sites and name not in of_location:
        raise BadInputError(
            f"{name!r} is neither a site ({', '.join(sorted(sites))}) nor a location. A link is named by a site, by two"
            " sites (`ccat to us`) or by a route (`ccat_buffer to us_buffer`)."
        )
    return of_location.get(name, name)


def _lasting(place: HowFull, in_rate: float | None, out_rate: float | None, *, now: datetime) -> Lasting:
    rate = None if in_rate is None or out_rate is None else in_rate - out_rate
    full_at = place.full_at(rate=rate)
    hours = None if full_at is None else max((full_at - now).total_seconds() / 3600, 0.0)
    return Lasting(in_rate=in_rate, out_rate=out_rate, hours_left=hours)


def _with(
    outage: Outage, place: HowFull, *, location: DataLocation, topology: Topology
) -> tuple[float | None, float | None, str]:
    """Return what comes in and goes out with the outage, and why that is not as now."""
    in_rate, out_rate = place.in_rate, place.out_rate
    no_more = None if in_rate is None else 0.0  # nobody knows one rate without the other
    policy, kind = topology.policy, location.location_type
    if kind is LocationType.PROCESSING:
        return in_rate, out_rate, ""
    if location.full_name in outage.archives:
        return no_more, out_rate, "it is out of order: nothing comes in"
    if not _is_fed(location.site, outage=outage, topology=topology):
        return no_more, out_rate, "no new data reaches its site"
    if kind is LocationType.LONG_TERM_ARCHIVE:
        return in_rate, out_rate, ""
    own = [each.full_name for each in topology.of_type(LocationType.LONG_TERM_ARCHIVE) if each.site == location.site]
    if kind is LocationType.BUFFER and any(name in outage.archives for name in own):
        return in_rate, no_more, "it keeps what its archive does not take"
    if not _is_safe(location.site, outage=outage, topology=topology):
        copies = f"{policy.archive_copies} archive copies at {policy.archive_sites} sites"
        return in_rate, no_more, f"nothing there gets {copies}, so nothing is deleted"
    return in_rate, out_rate, ""


def _is_fed(site: str, *, outage: Outage, topology: Topology) -> bool:
    """Tell whether data that is born somewhere can come to a site."""
    born_at = {location.site for location in topology.of_type(LocationType.SOURCE)}
    ways = (way for born in born_at for way in _ways_from(born, outage=outage, topology=topology))
    return site in born_at or any(site in way for way in ways)


def _is_safe(site: str, *, outage: Outage, topology: Topology) -> bool:
    """Tell whether all data at a site can get as many archive copies at as many sites as policy asks."""
    policy = topology.policy
    working = [
        location
        for location in topology.of_type(LocationType.LONG_TERM_ARCHIVE)
        if location.full_name not in outage.archives
    ]
    ways = [
        [archive.site for archive in working if archive.site in way]
        for way in _ways_from(site, outage=outage, topology=topology)
    ]
    return bool(ways) and all(
        len(way) >= policy.archive_copies and len(set(way)) >= policy.archive_sites for way in ways
    )


def _ways_from(site: str, *, outage: Outage, topology: Topology) -> list[set[str]]:
    """Return the archive sites that a package at a site comes to, for each way that it may take.

    It leaves a site without an archive once, to one of the archive sites in turn, unless direct routes lead to them;
    archive sites pass it on to each other.
    """
    archive_sites = topology.archive_sites
    if site in archive_sites:
        return [_passed_on({site}, outage=outage, topology=topology)]
    up = {other for other in archive_sites if frozenset((site, other)) not in outage.links}
    buffers = [location for location in topology.of_type(LocationType.BUFFER) if location.site == site]
    direct = {other for buffer in buffers for other in topology.direct_sites(buffer.full_name)}
    if direct:
        return [_passed_on(direct & up, outage=outage, topology=topology)]
    return [_passed_on({other}, outage=outage, topology=topology) for other in sorted(up)]


def _passed_on(having: set[str], *, outage: Outage, topology: Topology) -> set[str]:
    """Return the archive sites that get what some of them have, over links that are up."""
    reached, waiting = set(having), list(having)
    while waiting:
        here = waiting.pop()
        further = {other for other in topology.archive_sites if frozenset((here, other)) not in outage.links} - reached
        reached |= further
        waiting += further
    return reached
