"""The policies of the histories, each twice: as the topology has it, and what it needs, worked out by hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What must be true of a package before it goes from a place."""

    copies: int = 2
    sites: int = 2
    grace_days: float = 0
    keep_days: float = 0
    """After archiving, unless the place is too full."""
    keep_days_after_filing: float = 0
    """After filing, unless the place is too full."""
    only_by_pressure: bool = False
    verified_within_days: float | None = None


POLICIES: Mapping[str, Mapping[str, Any]] = {
    "two at two": {},
    "three at two": {"archive_copies": 3},
    "after a grace": {"deletion_grace_seconds": 2 * 86400},
    "read lately": {"verified_within_days": 5},
    "by rules": {
        "retention": [
            {"at": "processing", "instrument": "primecam", "archive_copies": 3},
            {"at": "cologne_buffer", "module": "lfa", "keep_days": 3},
            {"at": "buffer", "instrument": "chai", "release": "by_pressure"},
            {"at": "source", "keep_days_after_filing": 2, "verified_within_days": 5},
            {"instrument": "chai", "deletion_grace_seconds": 86400},
        ]
    },
}


def needs(policy: str, *, place: str, instrument: str) -> Needs:
    """Return what a policy asks of a package of an instrument (chai: its module lfa) at a place."""
    match policy:
        case "two at two":
            return Needs()
        case "three at two":
            return Needs(copies=3)
        case "after a grace":
            return Needs(grace_days=2)
        case "read lately":
            return Needs(verified_within_days=5)
    if place == "ccat_source":
        return Needs(keep_days_after_filing=2, verified_within_days=5)
    if instrument == "primecam":
        return Needs(copies=3) if place == "cologne_processing" else Needs()
    if place == "cologne_buffer":
        return Needs(keep_days=3)
    return Needs(only_by_pressure=True) if place.endswith("buffer") else Needs(grace_days=1)
