"""The tasks of one transfer: the first error of any of them ends it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Jobs:
    """In the loop's thread."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._running: dict[asyncio.Task[None], bool] = {}
        """Whether it keeps something."""
        self._woken = asyncio.Event()

    def start(self, job: Coroutine[Any, Any, None], *, keeps: bool = False) -> None:
        """Have it done. `keeps`: it puts away what has arrived, and the transfer is not over before it is done."""
        task = asyncio.create_task(job)
        self._running[task] = keeps
        task.add_done_callback(self._done)

    def fail(self, error: BaseException) -> None:
        """End the transfer with this error, if it has no other."""
        if self.error is None:
            self.error = error
        self.wake()

    def wake(self) -> None:
        """Have it looked whether the transfer is over."""
        self._woken.set()

    async def until(self, is_over: Callable[[], bool]) -> None:
        """Return when it is over and everything is kept; raise the first error at once."""
        while self.error is None and (self._keeping() or not is_over()):
            await self._woken.wait()
            self._woken.clear()
        if self.error is not None:
            raise self.error

    async def until_kept(self) -> None:
        """Return when all is put away that has arrived by now."""
        if keeping := self._keeping():
            await asyncio.wait(keeping)

    async def end(self, *, breaks_off_keeping: bool) -> None:
        """Return when none is running any more."""
        while self._running:
            for job, keeps in self._running.items():
                if breaks_off_keeping or not keeps:
                    job.cancel()
            await asyncio.wait(self._running)
            await asyncio.sleep(0)  # what is done is taken note of

    def _keeping(self) -> list["asyncio.Task[None]"]:
        return [job for job, keeps in self._running.items() if keeps]

    def _done(self, job: "asyncio.Task[None]") -> None:
        del self._running[job]
        if not job.cancelled() and (error := job.exception()) is not None:
            self.fail(error)
        self.wake()
