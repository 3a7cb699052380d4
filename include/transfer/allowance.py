"""What a route's timetable lets one transfer send: taken from its pace in lumps, used up piece by piece."""

import asyncio
from collections.abc import Callable

from include.transfer.pace import LUMP_BYTES, Pace
from include.transfer.sftp_reads import REQUEST_BYTES


class Allowance:
    """In the loop's thread."""

    def __init__(self, pace: Pace) -> None:
        self.bytes = 0
        self._pace = pace
        self._is_asking = False
        self._taken = asyncio.Event()
        self._turn = asyncio.Lock()

    @property
    def is_closed(self) -> bool:
        """Tell whether nothing can be sent before the pace answers: a closed road is no trouble of the link."""
        return self._is_asking and self.bytes < REQUEST_BYTES

    def take(self, size_bytes: int) -> bool:
        """Use so much, if it is there now."""
        if self.bytes < size_bytes:
            return False
        self.bytes -= size_bytes
        self._taken.set()
        return True

    async def wait_for(self, size_bytes: int) -> None:
        """Use so much, as soon as it is there."""
        async with self._turn:
            while not self.take(size_bytes):
                await self._ask()

    async def top_up(self, on_more: Callable[[], None]) -> None:
        """Have some in hand for those who do not wait; does not return."""
        while True:
            while self.bytes >= LUMP_BYTES:
                self._taken.clear()
                await self._taken.wait()
            await self._ask()
            on_more()

    async def _ask(self) -> None:
        self._is_asking = True
        try:
            await self._pace.acquire(LUMP_BYTES)
        finally:
            self._is_asking = False
        self.bytes += LUMP_BYTES
