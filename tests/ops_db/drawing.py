"""A process that draws from a route as a transfer does, and prints when it got how much; for `test_pace.py`.

`python -m tests.ops_db.drawing URL ROUTE_ID MBIT SECONDS ROUND_TRIP`: lines of `unix time, bytes`, one a lump.
"""

import asyncio
import sys
import time
from dataclasses import dataclass

from sqlalchemy import create_engine

from include.ops_db.engine import CLIENT_OPTIONS
from include.ops_db.routes import RoutePromises, RouteTimetable
from include.timetable import TimetableEntry
from include.topology import Route
from include.transfer.pace import LUMP_BYTES, SharedPace


def route(mbit_per_second: float | None) -> Route:
    """A route that is held to so much all week."""
    timetable = () if mbit_per_second is None else (TimetableEntry(mbit_per_second=mbit_per_second),)
    return Route(from_location="ccat_buffer", to_location="cologne_buffer", timetable=timetable)


@dataclass(frozen=True)
class FarPromises(RoutePromises):
    """Ops-db across an ocean: each statement takes a round trip."""

    round_trip_seconds: float = 0.0

    def promise(self, seconds: float) -> float:
        time.sleep(self.round_trip_seconds / 2)
        begins_in = super().promise(seconds)
        time.sleep(self.round_trip_seconds / 2)
        return begins_in


async def draw(pace: SharedPace, *, seconds: float) -> list[tuple[float, int]]:
    """Take as much as there is, for so long."""
    drawn: list[tuple[float, int]] = []
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            await asyncio.wait_for(pace.acquire(LUMP_BYTES), timeout=left)
        except TimeoutError:
            break
        drawn.append((time.time(), LUMP_BYTES))
    pace.close()
    return drawn


def main() -> None:
    url, route_id, mbit, seconds, round_trip = sys.argv[1:]
    engine = create_engine(url, pool_size=1, connect_args=CLIENT_OPTIONS)
    promises = FarPromises(engine, int(route_id), RouteTimetable(route(float(mbit))), float(round_trip))
    with engine.connect():
        sys.stdout.write("ready\n")
        sys.stdout.flush()
    sys.stdin.readline()
    for when, size_bytes in asyncio.run(draw(SharedPace(promises), seconds=float(seconds))):
        sys.stdout.write(f"{when} {size_bytes}\n")


if __name__ == "__main__":
    main()
