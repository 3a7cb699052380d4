"""What might be known of a location, without a database."""

from datetime import UTC, datetime, timedelta

from include.ops_db.measurements import HowFull
from include.ops_db.states import Condition

NOW = datetime(2026, 4, 1, 12, 0, tzinfo=UTC)
HOUR = 3600


def known(
    full_name: str,
    *,
    total: int | None = 100 * HOUR,
    used: int | None = 0,
    in_rate: float | None = 0.0,
    out_rate: float | None = 0.0,
    condition: Condition = Condition.WELL,
    why: str = "",
    seen_hours_ago: float = 0,
) -> HowFull:
    """A location of 100 hours at a byte a second, empty."""
    seen_at = NOW - timedelta(hours=seen_hours_ago)
    return HowFull(
        data_location_id=1,
        full_name=full_name,
        site=full_name.partition("_")[0],
        measured_at=seen_at,
        seen_at=seen_at,
        total_bytes=total,
        used_bytes=used,
        stored_bytes=used or 0,
        stored_copies=1,
        in_rate=in_rate,
        out_rate=out_rate,
        condition=condition,
        why=why,
        changed_at=None if condition is Condition.WELL else seen_at,
    )
