"""Reading from another site outside of a transfer: held to the timetable of the way between the two, as transfers are.

What goes straight into an archive, and what is read from a far archive, uses the same link as the transfers between
these sites. So it shares the time of their route (include/transfer/pace.py): the one that leads from this origin to
this destination, or else the first between the two sites that has a timetable.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from include.operations.patience import ask_again
from include.operations.stage import Work
from include.ops_db.routes import RoutePromises, RouteTimetable, SharedRoute, shared_route
from include.routes import Route
from include.storage.interface import Chunk, Storage
from include.storage.loop_thread import LoopThread
from include.topology import Topology
from include.transfer.pace import SharedPace

EVERY_SECONDS = 5.0
"""How soon a change of the timetable is heard of."""

HELD_SECONDS = 0.05
"""Whoever waits longer for its turn is held by the timetable."""

SMALLEST_PIECE_BYTES = 1024 * 1024
LARGEST_PIECE_BYTES = 8 * 1024 * 1024
"""A second's bytes are asked for at once, within these; without a limit:"""
FREE_PIECE_BYTES = 64 * 1024 * 1024

logger = logging.getLogger(__name__)


def route_between(topology: Topology, *, origin: str, destination: str) -> Route | None:
    """Return the route whose timetable holds from one location to another; None if none does."""
    sites = topology.location(origin).site, topology.location(destination).site
    if sites[0] == sites[1]:
        return None
    ways = [
        route
        for route in topology.routes
        if (topology.location(route.from_location).site, topology.location(route.to_location).site) == sites
    ]
    ways.sort(
        key=lambda route: (not route.timetable, (route.from_location, route.to_location) != (origin, destination))
    )
    return ways[0] if ways else None


class PacedReads:
    """Reads from storages within what the route has left. Used from several threads."""

    def __init__(self, work: Work, route: Route) -> None:
        self.route = route
        self._work = work
        known = ask_again(self._ask, seconds=work.topology.host(work.host).lease_seconds)
        self._timetable = RouteTimetable(known.route)
        self._pace = SharedPace(RoutePromises(work.engine, known.paced_by_id, self._timetable))
        self._loop = LoopThread("paced reads")
        self._turn = asyncio.Lock()
        self.held_at = 0.0
        """When the timetable kept somebody waiting (monotonic)."""
        self._ended = threading.Event()
        self._hears = threading.Thread(target=self._hear, name="timetable", daemon=True)
        self._hears.start()

    def read(self, storage: Storage, path: str, *, offset: int = 0, length: int | None = None) -> Iterator[Chunk]:
        """As the storage's own, but no byte is asked for before it is due."""
        if length is None:
            found = storage.stat(path)
            length = 0 if found is None else max(0, found.size_bytes - offset)
        if not length:
            yield from storage.read(path, offset=offset, length=0)
        end = offset + length
        while offset < end:
            piece = min(end - offset, self._piece_bytes())
            self._loop.run(self._acquire(piece))
            yield from storage.read(path, offset=offset, length=piece)
            offset += piece

    def reader(self, storage: Storage, path: str) -> Callable[[int, int], Iterator[Chunk]]:
        """Return what reads a range of a file: offset and length in bytes."""
        return lambda offset, length: self.read(storage, path, offset=offset, length=length)

    def close(self) -> None:
        """Whoever still waits for its turn is sent away."""
        self._ended.set()
        self._pace.close()
        self._loop.stop()

    async def _acquire(self, size_bytes: int) -> None:
        asked_at = time.monotonic()
        async with self._turn:
            await self._pace.acquire(size_bytes)
        now = time.monotonic()
        if now - asked_at > HELD_SECONDS:
            self.held_at = now

    def _piece_bytes(self) -> int:
        rate = self._timetable.rate()
        if rate is None:
            return FREE_PIECE_BYTES
        return max(SMALLEST_PIECE_BYTES, min(LARGEST_PIECE_BYTES, int(rate)))

    def _ask(self) -> SharedRoute:
        with Session(self._work.engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
            return shared_route(
                session.connection(), origin=self.route.from_location, destination=self.route.to_location
            )

    def _hear(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            try:
                self._timetable.change(self._ask().route)
            except (SQLAlchemyError, ValueError) as error:  # ValueError: a topology that newer code has applied
                logger.warning("It cannot be asked whether the timetable has changed (%s).", type(error).__name__)


@contextmanager
def paced_reads(work: Work, *, origin: str) -> Iterator[PacedReads | None]:
    """Read from `origin` as its way to this operation's location allows; None: nobody has said anything about it."""
    route = route_between(work.topology, origin=origin, destination=work.location.full_name)
    if route is None:
        yield None
        return
    reads = PacedReads(work, route)
    try:
        yield reads
    finally:
        reads.close()
