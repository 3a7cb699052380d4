"""What is special about the way from one location to another."""

from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import field_validator

from include.places import Model
from include.timetable import TimetableEntry


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
