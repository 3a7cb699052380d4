"""Sites, storage, hosts, instruments, routes and policy: the shape of the observatory, as data.

Read from one YAML file and validated; only `load_topology` touches a disk. A new site is a change to that file.
"""

import hashlib
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from include.errors import BadInputError, TopologyError
from include.timetable import TimetableEntry
from include.yaml_places import YamlDocument, read_yaml

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,30}$")]
"""A word in a queue name: lower case, no underscore, so that `{site}_{location}_{operation}` reads one way only."""
HostName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]
InstrumentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]


class OperationKind(StrEnum):
    """What can be done to data at a DataLocation."""

    REGISTRATION = "registration"
    PACKAGING = "packaging"
    BUNDLING = "bundling"
    TRANSFER = "transfer"
    UNPACKING = "unpacking"
    ARCHIVING = "archiving"
    STAGING = "staging"
    DELETION = "deletion"
    SCRUBBING = "scrubbing"


class LocationType(StrEnum):
    """What a DataLocation is for."""

    SOURCE = "source"
    BUFFER = "buffer"
    LONG_TERM_ARCHIVE = "long_term_archive"
    PROCESSING = "processing"


PLACES: dict[OperationKind, frozenset[LocationType]] = {
    OperationKind.REGISTRATION: frozenset({LocationType.SOURCE}),
    OperationKind.PACKAGING: frozenset({LocationType.SOURCE}),
    OperationKind.BUNDLING: frozenset({LocationType.BUFFER}),
    OperationKind.TRANSFER: frozenset({LocationType.BUFFER}),
    OperationKind.UNPACKING: frozenset({LocationType.BUFFER}),
    OperationKind.ARCHIVING: frozenset({LocationType.LONG_TERM_ARCHIVE}),
    OperationKind.STAGING: frozenset({LocationType.PROCESSING}),
    OperationKind.DELETION: frozenset({LocationType.SOURCE, LocationType.BUFFER, LocationType.PROCESSING}),
}
"""Where each kind runs; transfer and unpacking at the destination, and only at sites that have an archive."""


class Model(BaseModel):
    """Frozen, and a key that nobody knows is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Site(Model):
    """A place with a network."""

    short_name: Name
    name: str
    location: str


class Host(Model):
    """A machine with a Celery worker."""

    name: HostName
    site: Name
    lease_seconds: int = Field(default=120, ge=5)
    """How long a lease lives unrenewed: minutes near the database, a quarter of an hour across an ocean."""
    concurrency: int = Field(default=2, ge=1, le=64)


class DiskStorage(Model):
    """A folder."""

    type: Literal["disk"]
    root: str = Field(min_length=1)

    @model_validator(mode="after")
    def _has_no_dots(self) -> Self:
        if ".." in PurePosixPath(self.root).parts:
            raise ValueError("root must not contain '..'")
        return self


class S3Storage(Model):
    """A bucket; endpoint and keys are in the Airflow connection."""

    type: Literal["s3"]
    bucket: str = Field(min_length=3)


class DataLocation(Model):
    """Storage at a site."""

    site: Name
    name: Name
    location_type: LocationType
    storage: Annotated[DiskStorage | S3Storage, Field(discriminator="type")]
    hosts: tuple[HostName, ...] = Field(min_length=1)
    """Hosts whose workers do this location's operations. They reach a disk as a folder."""
    mounted_on: tuple[HostName, ...] = ()
    """Further hosts that have the disk mounted; all others reach it over SFTP."""
    priority: int = 100
    """Which of a site's locations of one type comes first; lower first."""
    slots: dict[OperationKind, Annotated[int, Field(ge=1, le=64)]] = Field(default_factory=dict)
    """How many operations of a kind may run at once (default 2)."""

    @property
    def full_name(self) -> str:
        """`{site}_{name}`: what people, connections and queues call it."""
        return f"{self.site}_{self.name}"

    def is_disk_on(self, host: str) -> bool:
        """Tell whether `host` reaches this location as a folder."""
        return self.storage.type == "disk" and host in (*self.hosts, *self.mounted_on)


class Instrument(Model):
    """Something that files data."""

    name: InstrumentName
    modules: tuple[InstrumentName, ...] = Field(min_length=1)
    data_locations: tuple[str, ...] = Field(min_length=1)
    """Full names of the SOURCE locations it writes to."""
    filed_by: tuple[str, ...] = Field(min_length=1)
    """Airflow accounts that may file for it."""


class MovedBy(StrEnum):
    """Who moves the bytes of a route."""

    PULL = "pull"
    """The destination reads from the origin: its connections can have large windows."""
    PUSH = "push"
    """The origin writes to the destination: for a destination that may not log in at the origin."""
    DIRECT = "direct"
    """Straight into a long_term_archive, without a buffer there."""


class Compression(StrEnum):
    """What is done to bytes on their way. Checksums are always those of the original bytes."""

    NONE = "none"
    ZSTD = "zstd"


class Route(Model):
    """What is special about the way from one location to another: where transfers land, who moves them, how fast.

    Without one, a transfer goes to the site's first BUFFER by priority, is pulled, and takes what the link gives.
    """

    from_location: str
    """Full name of a BUFFER (or of a LONG_TERM_ARCHIVE that a direct route leaves from)."""
    to_location: str
    """Full name of the BUFFER at the other site where transfers from there land; of a direct route, of the archive."""
    moved_by: MovedBy = MovedBy.PULL
    """pull (default): the destination reads; push: the origin writes; direct: straight into a long_term_archive."""
    compression: Compression = Compression.NONE
    """none (default) or zstd."""
    time_zone: str = "UTC"
    """IANA name (America/Santiago) of the clock that the timetable goes by."""
    timetable: tuple[TimetableEntry, ...] = ()
    """Hours in which all transfers of the route together are held to a rate; the first entry that matches counts."""

    @field_validator("time_zone")
    @classmethod
    def _is_a_time_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"there is no time zone {name!r}; write an IANA name such as America/Santiago") from error
        return name

    @property
    def name(self) -> str:
        """`ccat_buffer to cologne_buffer`."""
        return f"{self.from_location} to {self.to_location}"

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of its timetable."""
        return ZoneInfo(self.time_zone)


class Policy(Model):
    """The numbers that people decide about. Sizes in bytes, times in seconds."""

    package_max_bytes: int = Field(default=50 * 10**9, ge=1)
    package_max_files: int = Field(default=20_000, ge=1)
    package_max_age_seconds: int = Field(default=1800, ge=0)
    """An unfinished observation's files wait at most this long for a package."""
    bundle_max_bytes: int = Field(default=50 * 10**9, ge=1)
    bundle_max_age_seconds: int = Field(default=600, ge=0)
    archive_copies: int = Field(default=2, ge=1)
    """Verified archive copies that must exist before any other copy may be deleted."""
    archive_sites: int = Field(default=2, ge=1)
    """At how many different sites they must be."""
    deletion_grace_seconds: int = Field(default=7 * 86400, ge=0)
    """How long a copy stays after it could have gone."""
    inline_files_max: int = Field(default=500, ge=1)
    """More files than this are filed by naming a manifest."""
    clock_seconds: int = Field(default=300, ge=10)
    """Each stage looks for work at least this often, bells or not."""
    plan_patience_seconds: float = Field(default=0, ge=0, le=30)
    """A plan waits up to this long for what falls due meanwhile, rather than leave it to the next clock."""
    batch_bytes: int = Field(default=4 * 10**9, ge=1)
    """Small operations share a mapped task until they add up to this."""
    batch_operations: int = Field(default=50, ge=1, le=1000)
    attempts_max: int = Field(default=8, ge=1)
    """Transient failures before a person is called; afterwards it goes on slowly."""
    retry_seconds: float = Field(default=60, gt=0)
    """First pause after a transient failure; doubles, with jitter, up to an hour."""
    waiting_seconds: float = Field(default=300, gt=0)
    """Pause of an operation that waits for space, a person or a recall."""


class Topology(Model):
    """The whole observatory."""

    sites: tuple[Site, ...] = Field(min_length=1)
    hosts: tuple[Host, ...] = Field(min_length=1)
    data_locations: tuple[DataLocation, ...] = Field(min_length=1)
    instruments: tuple[Instrument, ...] = ()
    routes: tuple[Route, ...] = ()
    policy: Policy = Policy()

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
        if direct and route.timetable:
            problems.append("timetable: only what is pulled or pushed goes by one, not moved_by: direct")
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
        if len(archive_sites) < self.policy.archive_sites:
            problems.append(
                f"policy.archive_sites: {self.policy.archive_sites} asked for, but only {len(archive_sites)} site(s)"
                " have a long_term_archive: nothing could ever be deleted"
            )
        if len(self.of_type(LocationType.LONG_TERM_ARCHIVE)) < self.policy.archive_copies:
            problems.append(
                f"policy.archive_copies: {self.policy.archive_copies} asked for, but there are fewer archives"
            )
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
        for route in self.routes:
            leads_there = route.from_location == origin and self.location(route.to_location).site == site
            if leads_there and route.moved_by is not MovedBy.DIRECT:
                return self.location(route.to_location)
        return self.first_buffer(site)

    def direct_sites(self, origin: str) -> frozenset[str]:
        """Return the sites whose archives take packages straight from location `origin`: no bundle goes there."""
        return frozenset(self.location(to).site for to in self._direct_ways().get(origin, ()))

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
        """Return what is said about the way from one location to another; if nothing is, a route as any other."""
        for route in self.routes:
            if (route.from_location, route.to_location) == (origin, destination):
                return route
        return Route(from_location=origin, to_location=destination)

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
        raise TopologyError(f"{where} has {len(mistakes)} mistake(s):\n" + "\n".join(mistakes)) from error


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
