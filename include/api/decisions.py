"""Waiting for verdicts: one question to ops-db for all who wait, not one for each."""

import asyncio
from collections import defaultdict

from sqlalchemy import Connection, text

from include.api.ops_db import OpsDb

EVERY_SECONDS = 0.25

DECIDED = text("select id from filing where id = any(:filings) and state <> 'received'")


class Decisions:
    """Those who wait for filings to be accepted or refused."""

    def __init__(self, ops_db: OpsDb) -> None:
        self._ops_db = ops_db
        self._waiting: dict[int, set[asyncio.Event]] = defaultdict(set)
        self._watch: asyncio.Task[None] | None = None

    async def wait(self, filing_id: int, *, seconds: float) -> None:
        """Return once a filing is decided, or after so many seconds."""
        decided = asyncio.Event()
        self._waiting[filing_id].add(decided)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look())
        try:
            await asyncio.wait_for(decided.wait(), timeout=seconds)
        except TimeoutError:
            pass
        finally:
            self._waiting[filing_id].discard(decided)
            if not self._waiting[filing_id]:
                del self._waiting[filing_id]

    async def _look(self) -> None:
        while self._waiting:
            try:
                found = await self._decided()
            except Exception:  # noqa: BLE001 - whoever waits meets it with his own next question
                found = list(self._waiting)
            for filing_id in found:
                for decided in self._waiting.get(filing_id, ()):
                    decided.set()
            await asyncio.sleep(EVERY_SECONDS)

    async def _decided(self) -> list[int]:
        filings = list(self._waiting)

        def ask(connection: Connection) -> list[int]:
            return list(connection.execute(DECIDED, {"filings": filings}).scalars())

        return await self._ops_db.read(ask)
