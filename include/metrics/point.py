"""A point of a time series, and how InfluxDB's line protocol writes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

NANOSECONDS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ESCAPES = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", "\n": r"\ "})

Number = int | float


@dataclass(frozen=True, kw_only=True)
class Point:
    """What was measured of something at a moment. The same measurement, tags and time are the same point."""

    measurement: str
    tags: Mapping[str, str | None]
    """A tag that is None is left out."""
    fields: Mapping[str, Number | None]
    """A field that is None is left out. A field is always int, or always float: InfluxDB takes no other."""
    at: datetime
    nanosecond: int = 0
    """0 to 999, beyond the microseconds of `at`: keeps apart what happened in the same one."""

    @property
    def known_tags(self) -> dict[str, str]:
        """Tags that have a value, by name."""
        return {name: value for name, value in sorted(self.tags.items()) if value}

    @property
    def known_fields(self) -> dict[str, Number]:
        """Fields that have a value."""
        return {name: value for name, value in self.fields.items() if value is not None}

    @property
    def nanoseconds(self) -> int:
        """Its time, since 1970."""
        since = self.at - _EPOCH
        microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        return microseconds * 1000 + self.nanosecond

    def line(self) -> str:
        """Return it in line protocol; empty if nothing is known."""
        fields = ",".join(f"{name}={_number(value)}" for name, value in self.known_fields.items())
        tags = "".join(f",{name}={value.translate(_ESCAPES)}" for name, value in self.known_tags.items())
        return f"{self.measurement}{tags} {fields} {self.nanoseconds}" if fields else ""


def _number(value: Number) -> str:
    return f"{value}i" if isinstance(value, int) else repr(float(value))


def lines_of(points: list[Point]) -> list[str]:
    """Return points in line protocol, without those that say nothing."""
    return [line for line in (point.line() for point in points) if line]
