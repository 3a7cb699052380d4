"""What the deletion gate decides about: a package at a location, with all that its questions rest on."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from include.lifecycle.copies import Copy, LockedCopies
from include.lifecycle.overrides import Override
from include.lifecycle.package_lock import LockedPackage
from include.retention import Retention
from include.topology import DataLocation, LocationType, Topology


@dataclass(frozen=True, kw_only=True)
class Case:
    """A package at a location that somebody wants to be rid of, under the package's lock."""

    session: Session
    package: LockedPackage
    copies: LockedCopies
    location: DataLocation
    data_location_id: int
    topology: Topology
    retention: Retention
    """What holds for this package here."""
    override: Override | None
    """Two people's word that fewer archive copies will do."""
    pressure: bool
    """The location is too full: what may go need not wait for its age."""
    now: datetime

    @property
    def copies_needed(self) -> int:
        """Verified archive copies; never none."""
        return self.retention.archive_copies if self.override is None else 1

    @property
    def sites_needed(self) -> int:
        """How many different sites they must be at."""
        return self.retention.archive_sites if self.override is None else 1

    def are_enough(self, copies: Collection[Copy]) -> bool:
        """Tell whether these archive copies are as many, at as many sites, as are needed."""
        return len(copies) >= self.copies_needed and len({copy.site for copy in copies}) >= self.sites_needed

    @property
    def values(self) -> dict[str, object]:
        """What the questions' statements are about."""
        return {"package": self.package.id, "here": self.data_location_id, "site": self.location.site, "now": self.now}

    @property
    def is_at(self) -> LocationType:
        """The type of the location."""
        return self.location.location_type
