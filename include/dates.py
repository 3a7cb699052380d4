"""Dates as people write them."""

from datetime import UTC, datetime, time

from include.errors import BadInputError


def moment_of(text: str, *, to_its_end: bool = False) -> datetime:
    """Read `2026-12-31` or `2026-12-31T18:00` (UTC unless it has a zone) and return it in UTC.

    Args:
        text: ISO 8601.
        to_its_end: a date without a time means the last moment of that day, else the first.

    Raises:
        BadInputError: it is no date.
    """
    text = text.strip()
    try:
        when = datetime.fromisoformat(text)
        if to_its_end and "T" not in text.upper() and ":" not in text:
            when = datetime.combine(when, time.max)
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:  # overflow: a zone that leads out of the calendar
        raise BadInputError(f"{text!r} is no date; write 2026-12-31, or 2026-12-31T18:00 (UTC).") from error
