"""Sites, storage, hosts, instruments, routes and policy: the shape of the observatory, as data.

Read from one YAML file and validated; only `load_topology` touches a disk. A new site is a change to that file.
"""

import hashlib
from pathlib import Path, PurePosixPath
from typing import Self

import yaml
from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from include.alarm_rules import AlarmRules
from include.channels import Notifications
from include.errors import BadInputError, TopologyError
from include.housekeeping_rules import HousekeepingRules
from include.places import (
    PLACES,
    DataLocation,
    DiskStorage,
    Host,
    Instrument,
    LocationType,
    Model,
    OperationKind,
    S3Storage,
    Site,
    Watermarks,
)
from include.plurals import counted
from include.policy import Brake, Policy, problems_of
from include.retention import Release, Retention, RetentionRule
from include.routes import Compression, MovedBy, Route
from include.yaml_places import YamlDocument, read_yaml

__all__ = [
    "PLACES",
    "Brake",
    "Compression",
    "DataLocation",
    "DiskStorage",
    "Host",
    "Instrument",
    "LocationType",
    "MovedBy",
    "OperationKind",
    "Policy",
    "Release",
    "Retention",
    "RetentionRule",
    "Route",
    "S3Storage",
    "Site",
    "Topology",
    "Watermarks",
    "load_topology",
    "parse_topology",
]


class Topology(Model):
    """The whole observatory."""

    sites: tuple[Site, ...] = Field(min_length=1)
    hosts: tuple[Host, ...] = Field(min_length=1)
    data_locations: tuple[DataLocation, ...] = Field(min_length=1)
    instruments: tuple[Instrument, ...] = ()
    routes: tuple[Route, ...] = ()
    policy: Policy = Policy()
    operators: tuple[str, ...] = ()
    """Accounts that may extend and release StagingJobs that are not their own."""
    alarms: AlarmRules = AlarmRules()
    notifications: Notifications = Notifications()
    housekeeping: HousekeepingRules = HousekeepingRules()

    @model_validator(mode="after")
    def _names_fit_together(self) -> Self:
        problems = [*self._doubles(), *self._strangers()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _doubles(self) -> list[str]:
        named = {
            "sites": [site.short_name for site in self.sites],
            "hosts": [host.name for host in self.hosts],
            "data_locations": [location.full_name for location in self.data_locations],
            "instruments": [instrument.name for instrument in self.instruments],
            "routes": [f"{route.from_location} to site of {route.to_location}" for route in self.routes],
            "operators": list(self.operators),
        }
        named |= {f"instruments.{instrument.name}.modules": list(instrument.modules) for instrument in self.instruments}
        return [
            f"{kind}: {name} stands twice"
            for kind, names in named.items()
            for name in sorted(set(names))
            if names.count(name) > 1
        ]

    def _strangers(self) -> list[str]:
        sites = {site.short_name for site in self.sites}
        locations = {location.full_name: location for location in self.data_locations}
        problems = [f"hosts.{host.name}: there is no site {host.site}" for host in self.hosts if host.site not in sites]
        for location in self.data_locations:
            where = f"data_locations.{location.full_name}"
            if location.site not in sites:
                problems.append(f"{where}: there is no site {location.site}")
            problems += [f"{where}: {problem}" for problem in self._hosts_of(location)]
            problems += [
                f"{where}: slots for {kind}, which never runs at a {location.location_type}"
                for kind in location.slots
                if location.location_type not in PLACES.get(kind, ())
            ]
            archive = location.location_type is LocationType.LONG_TERM_ARCHIVE
            if archive != (location.storage.type == "s3"):
                problems.append(f"{where}: a long_term_archive is on s3, everything else on disk")
        for instrument in self.instruments:
            problems += [
                f"instruments.{instrument.name}: {name} is not a source location"
                for name in instrument.data_locations
                if name not in locations or locations[name].location_type is not LocationType.SOURCE
            ]
        for route in self.routes:
            problems += [f"routes.{route.name}: {problem}" for problem in self._ends_of(route, locations)]
        problems += [
            f"notifications.channels.{channel.name}: there is no site {site}"
            for channel in self.notifications.channels
            for site in channel.sites
            if site not in sites
        ]
        return [*problems, *self._entangled(), *self._stuck(), *([] if problems else self._unreached())]

    def _ends_of(self, route: Route, locations: dict[str, DataLocation]) -> list[str]:
        """Say what is wrong with where a route begins and ends."""
        direct = route.moved_by is MovedBy.DIRECT
        origins, destinations = {LocationType.BUFFER}, {LocationType.BUFFER}
        if direct:
            origins, destinations = (
                {LocationType.BUFFER, LocationType.LONG_TERM_ARCHIVE},
                {LocationType.LONG_TERM_ARCHIVE},
            )
        ends = ((route.from_location, origins), (route.to_location, destinations))
        problems = [
            f"{name} is not a {' or '.join(sorted(types))}" + (f", which moved_by: {route.moved_by} needs" * direct)
            for name, types in ends
            if name not in locations or locations[name].location_type not in types
        ]
        if not problems and locations[route.from_location].site == locations[route.to_location].site and not direct:
            problems.append(f"both ends are at {locations[route.to_location].site}; a route leads to another site")
        if direct and route.from_location == route.to_location:
            problems.append("it leads to where it begins")
        if route.moved_by is not MovedBy.PULL and route.compression is not Compression.NONE:
            problems.append(f"compression: {route.compression} needs moved_by: pull")
        return problems

    def _hosts_of(self, location: DataLocation) -> list[str]:
        site_of = {host.name: host.site for host in self.hosts}
        named = dict.fromkeys((*location.hosts, *location.mounted_on))
        strangers = [f"there is no host {host}" for host in named if host not in site_of]
        far = [
            f"host {host} is at {site_of[host]}, but a disk is reached as a folder only within its site"
            for host in named
            if location.storage.type == "disk" and site_of.get(host, location.site) != location.site
        ]
        return strangers + far

    def _entangled(self) -> list[str]:
        """Find disks of a site that lie in one another, and buckets that two locations share.

        What is deleted at one would be gone at the other, and two copies in one bucket would be one object.
        """
        roots = [
            (location.site, PurePosixPath(location.storage.root), location.full_name)
            for location in self.data_locations
            if location.storage.type == "disk"
        ]
        first_of: dict[str, str] = {}
        for location in self.data_locations:
            if location.storage.type == "s3":
                first_of.setdefault(location.storage.bucket, location.full_name)
        return [
            f"data_locations.{inner}: its root {inner_root} lies in that of {outer} ({outer_root})"
            for site, outer_root, outer in roots
            for other_site, inner_root, inner in roots
            if site == other_site and inner != outer and inner_root.is_relative_to(outer_root)
        ] + [
            f"data_locations.{location.full_name}: its bucket {location.storage.bucket} is that of"
            f" {first_of[location.storage.bucket]}, too; each needs a name of its own"
            for location in self.data_locations
            if location.storage.type == "s3" and first_of[location.storage.bucket] != location.full_name
        ]

    def _stuck(self) -> list[str]:
        archive_sites = {location.site for location in self.of_type(LocationType.LONG_TERM_ARCHIVE)}
        buffered = {location.site for location in self.of_type(LocationType.BUFFER)}
        needed = {location.site for location in self.of_type(LocationType.SOURCE)} | archive_sites
        problems = [f"sites.{site}: needs a buffer" for site in sorted(needed - buffered)]
        problems += problems_of(self.policy, locations=self.data_locations, instruments=self.instruments)
        return problems

    def of_type(self, location_type: LocationType) -> tuple[DataLocation, ...]:
        """Return the locations of one type, first priority first."""
        found = [location for location in self.data_locations if location.location_type is location_type]
        return tuple(sorted(found, key=lambda location: (location.priority, location.full_name)))

    @property
    def archive_sites(self) -> tuple[str, ...]:
        """Short names of the sites that have a long-term archive, in the file's order."""
        having = {location.site for location in self.of_type(LocationType.LONG_TERM_ARCHIVE)}
        return tuple(site.short_name for site in self.sites if site.short_name in having)

    def location(self, full_name: str) -> DataLocation:
        """Return the location called `full_name`.

        Raises:
            BadInputError: there is none.
        """
        for location in self.data_locations:
            if location.full_name == full_name:
                return location
        known = ", ".join(location.full_name for location in self.data_locations)
        raise BadInputError(f"There is no location {full_name!r} in the topology. There are: {known}.")

    def host(self, name: str) -> Host:
        """Return the host called `name`.

        Raises:
            BadInputError: there is none.
        """
        for host in self.hosts:
            if host.name == name:
                return host
        known = ", ".join(host.name for host in self.hosts)
        raise BadInputError(f"There is no host {name!r} in the topology. There are: {known}.")

    def first_buffer(self, site: str) -> DataLocation:
        """Return the site's BUFFER with the first priority.

        Raises:
            BadInputError: the site has none (only a site without source and archive may be so).
        """
        for location in self.of_type(LocationType.BUFFER):
            if location.site == site:
                return location
        raise BadInputError(f"The site {site} has no buffer in the topology, so nothing can be sent there.")

    def destination(self, *, origin: str, site: str) -> DataLocation:
        """Return where a transfer from location `origin` to `site` lands: what a route says, else its first BUFFER."""
        for route in self._leading_to(site, origin=origin):
            return self.location(route.to_location)
        return self.first_buffer(site)

    def direct_sites(self, origin: str) -> frozenset[str]:
        """Return the sites whose archives take packages straight from location `origin`: no bundle goes there."""
        return frozenset(self.location(to).site for to in self._direct_ways().get(origin, ()))

    def direct_archives(self, origin: str) -> tuple[str, ...]:
        """Return the full names of those archives."""
        return tuple(self._direct_ways().get(origin, ()))

    def _direct_ways(self) -> dict[str, list[str]]:
        """Return the archives that take straight from a location, by the location's full name."""
        ways: dict[str, list[str]] = {}
        for route in self.routes:
            if route.moved_by is MovedBy.DIRECT:
                ways.setdefault(route.from_location, []).append(route.to_location)
        return ways

    def _unreached(self) -> list[str]:
        """Find sites without an archive whose packages leave by direct routes that do not lead to archives enough."""
        ways = self._direct_ways()
        problems = []
        for origin in self.of_type(LocationType.BUFFER):
            if origin.site in self.archive_sites or origin.full_name not in ways:
                continue
            reached: set[str] = set()
            waiting = list(ways[origin.full_name])
            while waiting:
                archive = waiting.pop()
                if archive not in reached:
                    reached.add(archive)
                    waiting += ways.get(archive, [])
            sites = {self.location(archive).site for archive in reached}
            if len(reached) < self.policy.archive_copies or len(sites) < self.policy.archive_sites:
                problems.append(
                    f"routes: what leaves {origin.full_name} goes straight to {', '.join(sorted(reached))} and nowhere"
                    f" else, but policy asks for {self.policy.archive_copies} copies at {self.policy.archive_sites}"
                    " sites: add direct routes from there, or from that archive to others"
                )
        return problems

    def route(self, *, origin: str, destination: str) -> Route:
        """Return what is said about the way from one location to another; if nothing is, a route as any other.

        What is said of one BUFFER of a site holds for its others, too, at both ends: transfers may have to leave from
        there, or to land there.
        """
        for route in self.routes:
            if (route.from_location, route.to_location) == (origin, destination):
                return route
        for route in self._leading_to(self._site_of(destination), origin=origin):
            return route.model_copy(update={"from_location": origin, "to_location": destination})
        return Route(from_location=origin, to_location=destination)

    def _leading_to(self, site: str | None, *, origin: str) -> list[Route]:
        """Return the routes of transfers from a location, or from another one of its site, to a site; its own first."""
        from_site = self._site_of(origin)
        leading = [
            route
            for route in self.routes
            if route.moved_by is not MovedBy.DIRECT
            and self.location(route.from_location).site == from_site
            and self.location(route.to_location).site == site
        ]
        return sorted(leading, key=lambda route: route.from_location != origin)

    def _site_of(self, full_name: str) -> str | None:
        """Return a location's site; None if it left the topology."""
        return next((each.site for each in self.data_locations if each.full_name == full_name), None)

    @property  # not cached: model_copy would carry the old hash over to a changed topology
    def sha256(self) -> str:
        """Hash of the content, independent of spacing and comments in the file (hex, 64 digits)."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def parse_topology(text: str, *, where: str) -> Topology:
    """Build a Topology from YAML text.

    Raises:
        TopologyError: every mistake in it, each with its place.
    """
    try:
        document = read_yaml(text)
    except yaml.YAMLError as error:
        raise TopologyError(f"{where} is not YAML: {error}") from error
    if not isinstance(document.content, dict):
        raise TopologyError(f"{where} must be a mapping with sites, hosts and data_locations; it is empty or a list.")
    try:
        return Topology.model_validate(document.content)
    except ValidationError as error:
        mistakes = [mistake for details in error.errors() for mistake in _mistakes(details, document=document)]
        raise TopologyError(f"{where} has {counted(len(mistakes), 'mistake')}:\n" + "\n".join(mistakes)) from error


def _mistakes(details: ErrorDetails, *, document: YamlDocument) -> list[str]:
    """Say what pydantic found, with the line; what does not fit together carries its place in its own words."""
    place = details["loc"]
    if not place:
        return [f"  {problem}" for problem in details["msg"].removeprefix("Value error, ").split("; ")]
    path = ".".join(str(part) for part in place)
    return [f"  line {document.line_of(place)}, {path}: {details['msg']}"]


def load_topology(path: Path) -> Topology:
    """Read and validate a topology file.

    Raises:
        TopologyError: it cannot be read, or every mistake in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise TopologyError(f"The topology file {path} cannot be read ({why}); DTS_TOPOLOGY names it.") from error
    return parse_topology(text, where=str(path))
