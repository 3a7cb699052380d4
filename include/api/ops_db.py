"""Asking ops-db from the api-server: in threads of our own, so that nothing of Airflow's waits for us."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from include.api.problems import ProblemError

T = TypeVar("T")

CONNECTIONS = 8
"""As many requests of one api-server process are at ops-db at once; the others wait in line …"""
WAITING_MOST = 500
"""… as long as the line is no longer than this."""


class OpsDb:
    """The operations database, for requests."""

    def __init__(self, engine: Callable[[], Engine], *, connections: int = CONNECTIONS) -> None:
        """`engine` is asked for with the first request: a process that only loads the plugin needs none."""
        self._engine = engine
        self._threads = ThreadPoolExecutor(max_workers=connections, thread_name_prefix="dts-api")
        self._waiting = 0

    async def read(self, question: Callable[[Connection], T]) -> T:
        """Return the answer to a question that changes nothing."""

        def ask() -> T:
            with self._engine().connect() as connection:
                return question(connection)

        return await self.run(ask)

    async def change(self, change: Callable[[Session], T]) -> T:
        """Make a change in one transaction."""

        def do() -> T:
            with Session(self._engine(), expire_on_commit=False) as session, session.begin():
                return change(session)

        return await self.run(do)

    @property
    def engine(self) -> Engine:
        """For work that has transactions of its own, in `run`."""
        return self._engine()

    async def run(self, work: Callable[[], T]) -> T:
        """Run in one of our threads.

        Raises:
            ProblemError: too many wait already.
        """
        if self._waiting >= WAITING_MOST:
            raise ProblemError(503, "Too many requests wait for the operations database; try again in a moment.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
