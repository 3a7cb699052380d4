"""One look at the flow for all who watch: asked for every few seconds, but only while somebody does."""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from sqlalchemy import Connection

from include.api.ops_db import OpsDb
from include.page.flow import Flow
from include.page.rates import RateMeter
from include.page.read_flow import read_flow
from include.topology import Topology

logger = logging.getLogger(__name__)

EVERY_SECONDS = 2.0
SHARE = 0.1
"""Looking takes at most this share of the time, so a slow ops-db is not asked all the time."""
STREAM_SECONDS = 20.0
"""A stream ends then, and the browser asks again: so each account is checked again, and a server can stop."""
QUIET_SECONDS = 10.0
"""A sign of life goes out at least this often."""


ALIVE = "event: alive\ndata: -\n\n"


@dataclass(frozen=True)
class Look:
    """What was seen, as it is sent."""

    number: str
    """Of what was seen, but for its moment: it is the same until something changes."""
    content: str


class Watch:
    """Looks at the flow, and keeps the newest look."""

    def __init__(
        self, ops_db: OpsDb, topology: Callable[[], Topology], *, stream_seconds: float = STREAM_SECONDS
    ) -> None:
        self.stream_seconds = stream_seconds
        self._ops_db, self._topology, self._clock = ops_db, topology, time.monotonic
        self._meter = RateMeter()
        self._watchers = 0
        self._looking: asyncio.Task[None] | None = None
        self._latest: Look | None = None
        self._latest_at = float("-inf")
        self._changed = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    async def latest(self) -> Look:
        """Return a look that is not older than the time between two."""
        async with self._one_at_a_time:
            if self._latest is None or self._clock() - self._latest_at > EVERY_SECONDS:
                await self._look()
            if self._latest is None:
                raise AssertionError("there has been a look")
            return self._latest

    async def looks(self, *, seen: str = "") -> AsyncGenerator[Look | None]:
        """Yield each look that is another than the one before, `seen` to begin with; None: nothing new for a while."""
        self._watchers += 1
        try:
            look = await self.latest()
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._keep_looking())
            while True:
                changed = self._changed
                if look.number != seen:
                    seen = look.number
                    yield look
                try:
                    await asyncio.wait_for(changed.wait(), timeout=QUIET_SECONDS)
                except TimeoutError:
                    if self._clock() - self._latest_at > 2 * QUIET_SECONDS:
                        return  # nobody can look: the browser finds out why when it asks again
                    yield None
                look = self._latest or look
        finally:
            self._watchers -= 1

    async def _keep_looking(self) -> None:
        while self._watchers:
            began = self._clock()
            try:
                async with self._one_at_a_time:
                    await self._look()
            except Exception:
                logger.exception("the flow could not be read; it is tried again")
            await asyncio.sleep(max(EVERY_SECONDS, (self._clock() - began) / SHARE))

    async def _look(self) -> None:
        topology = self._topology()

        def ask(connection: Connection) -> Flow:
            return read_flow(connection, topology, self._meter, at=self._clock())

        flow = await self._ops_db.read(ask)
        content = flow.model_dump_json()
        number = hashlib.sha256(flow.model_dump_json(exclude={"at"}).encode()).hexdigest()[:16]
        self._latest_at = self._clock()
        self._latest = Look(number, content)
        self._changed.set()
        self._changed = asyncio.Event()


async def as_events(watch: Watch, *, seen: str, once: bool = False) -> AsyncGenerator[str]:
    """Yield server-sent events: `flow` with a look, or `alive` as a sign of life."""
    ends_at = time.monotonic() + (0.0 if once else watch.stream_seconds)
    yield "retry: 1000\n\n"
    async with aclosing(watch.looks(seen=seen)) as looks:
        async for look in looks:
            yield ALIVE if look is None else f"id: {look.number}\nevent: flow\ndata: {look.content}\n\n"
            if time.monotonic() >= ends_at:
                return
