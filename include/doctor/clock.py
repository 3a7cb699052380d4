"""This host's clock against others, and whether it is kept right."""

import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, text

TRIES = 3
PROGRAM_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Offset:
    """How far the other clock is ahead of this one, and how far that may be wrong."""

    seconds: float
    uncertain_seconds: float

    @property
    def least_seconds(self) -> float:
        """How wrong the clocks are at least."""
        return max(0.0, abs(self.seconds) - self.uncertain_seconds)


def ops_db_clock(connection: Connection) -> tuple[Offset, float]:
    """Ask the database for its time; return the offset and the round trip in seconds. The quickest try counts."""
    tries = []
    for _ in range(TRIES):
        before = datetime.now(UTC)
        there: datetime = connection.execute(text("select clock_timestamp()")).scalar_one()
        took = (datetime.now(UTC) - before).total_seconds()
        tries.append((took, (there - before).total_seconds() - took / 2))
    took, offset = min(tries)
    return Offset(offset, took / 2), took


def is_kept_right() -> bool | None:
    """Ask timedatectl, else chronyc, whether something sets the clock; None where neither can tell."""
    answer = _answer("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if answer in ("yes", "no"):
        if answer == "yes":
            return True
        return _chrony() or False
    return _chrony()


def _chrony() -> bool | None:
    answer = _answer("chronyc", "-n", "tracking")
    return None if answer is None else "Leap status     : Normal" in answer


def _answer(*command: str) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
