"""A connection that is being made: it may change hands meanwhile, for ten round trips of login are worth keeping."""

import asyncio
from collections.abc import Callable

import asyncssh

from include.errors import DtsError
from include.storage.sftp_connection import SftpAddress
from include.transfer.connect import Line, connect


class Dial:
    """In the loop's thread. `tell` is called whenever it has got further, and may be replaced at any time."""

    def __init__(self, address: SftpAddress, *, tell: Callable[["Dial"], None]) -> None:
        self.tell = tell
        self.trip_seconds = 0.0
        """How long TCP took; 0: it has not yet been answered."""
        self.is_logged_in = False
        self.line: Line | None = None
        self.error: Exception | None = None
        """Why there will be no line."""
        self._address = address
        self._task = asyncio.create_task(self._make())

    @property
    def is_done(self) -> bool:
        """Tell whether there is a line, or will be none."""
        return self.line is not None or self.error is not None

    async def end(self) -> None:
        """Break it off; nobody is told."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _make(self) -> None:
        try:
            self.line = await connect(self._address, on_trip=self._reached, on_login=self._logged_in)
        except (asyncssh.Error, OSError, EOFError, DtsError) as error:
            self.error = error
        self.tell(self)

    def _reached(self, seconds: float) -> None:
        self.trip_seconds = seconds
        self.tell(self)

    def _logged_in(self) -> None:
        self.is_logged_in = True
        self.tell(self)
