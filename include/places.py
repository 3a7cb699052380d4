"""Sites, hosts, storage, instruments, and what can be done where: the parts of a topology, each valid by itself."""

from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

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
    OperationKind.SCRUBBING: frozenset({LocationType.LONG_TERM_ARCHIVE, LocationType.BUFFER}),
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
    capacity_bytes: int | None = Field(default=None, ge=1)
    """What the store lets us fill (its quota); unset: nobody can say when it is full."""


class Watermarks(Model):
    """How full a location may become, as shares of its disk (0 to 1)."""

    low: float = Field(default=0.70, gt=0, le=1)
    """Deletion by pressure goes down to here, and no further."""
    high: float = Field(default=0.85, gt=0, le=1)
    """From here on deletion by pressure begins."""
    critical: float = Field(default=0.95, gt=0, le=1)
    """From here on new work into the location waits."""

    @model_validator(mode="after")
    def _rise(self) -> Self:
        if not self.low < self.high < self.critical:
            raise ValueError(f"low, high and critical must rise; they are {self.low}, {self.high}, {self.critical}")
        return self


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
    watermarks: Watermarks = Watermarks()
    """low (default 0.70), high (0.85) and critical (0.95): how full it may become."""

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
