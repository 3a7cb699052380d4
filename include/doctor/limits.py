"""What the doctor may take, and what it compares with."""

from dataclasses import dataclass

from include.doctor.forecast import OCEAN_LOSS, Line

DAY_SECONDS = 86_400
PEAK_BYTES_A_DAY = 8 * 10**12
"""What both instruments bring on the best of days."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds` and `most_bytes` bound each measurement; `round_trip_seconds` overrides what was measured."""

    seconds: float = 10.0
    most_bytes: int = 2 * 10**9
    peak_bytes_a_day: float = PEAK_BYTES_A_DAY
    line_bytes_per_second: float = 125_000_000
    line_loss: float = OCEAN_LOSS
    round_trip_seconds: float | None = None
    write_test: bool = False

    @property
    def need(self) -> float:
        """Bytes a second, around the clock, of a peak day."""
        return self.peak_bytes_a_day / DAY_SECONDS

    def line(self, measured_seconds: float) -> Line:
        """Return the line of a round trip."""
        seconds = measured_seconds if self.round_trip_seconds is None else self.round_trip_seconds
        return Line(seconds, bytes_per_second=self.line_bytes_per_second, loss=self.line_loss)
