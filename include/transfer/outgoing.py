"""The blocks of a push that are under way: verified here, and not yet kept at the destination."""

import asyncio
from itertools import count

from include.transfer.blocks import Block
from include.transfer.push_work import PushBlock, PushItem, PushSpan

HELD_BYTES = 144 * 1024 * 1024
"""Of pieces that were read and not acknowledged, all connections together."""
AHEAD_BYTES = 192 * 1024 * 1024
"""Verified and not sent; it is in the page cache, not in memory of ours."""


class Outgoing:
    """In the loop's thread."""

    def __init__(self) -> None:
        self.open: dict[PushBlock, None] = {}
        self.begins_blocks = True
        """False: only what was begun is completed."""
        self.awaits_link = True
        """Silence is a trouble at any time: there is always something to be answered."""
        self.freed = asyncio.Event()
        """Something that was waited for may have changed."""
        self._unverified: asyncio.Queue[PushBlock] = asyncio.Queue()
        self._spans: asyncio.PriorityQueue[tuple[int, int, PushSpan]] = asyncio.PriorityQueue()
        self._number = count()
        self._order = count()
        self._verified_bytes = 0
        self._held_bytes = 0

    @property
    def has_more(self) -> bool:
        """Tell whether there is something to give to a connection."""
        return not self._spans.empty()

    @property
    def is_all_taken(self) -> bool:
        """Tell whether nothing waits for being verified or sent."""
        return self._spans.empty() and self._unverified.empty()

    def stop(self) -> None:
        """Complete the blocks of which something was sent, and begin no more."""
        self.begins_blocks = False
        begun = [work for work in self.open if work.taken_at]
        for work in [work for work in list(self.open)[not begun :] if not work.taken_at]:
            self.forget(work)
        self.freed.set()

    # ----- verifying

    def add(self, item: PushItem, block: Block) -> None:
        """Queue a missing block behind all others."""
        self._unverified.put_nowait(PushBlock(item, block, next(self._order)))

    async def next_to_verify(self) -> PushBlock:
        """Wait until one may be verified: a little before it is sent."""
        work = await self._unverified.get()
        while self._verified_bytes > AHEAD_BYTES:
            self.freed.clear()
            await self.freed.wait()
        return work

    def verified(self, work: PushBlock, *, fine: bool) -> None:
        """Have a block sent."""
        self._verified_bytes += work.block.length
        for span in work.spans(fine=fine):
            self.put(span)

    def verify_again(self, work: PushBlock) -> None:
        """It does not read the same as when it was verified."""
        self.forget(work)
        self._unverified.put_nowait(PushBlock(work.item, work.block, work.order))

    def forget(self, work: PushBlock) -> None:
        """What has not been sent of it is not sent."""
        del self.open[work]
        self._verified_bytes -= sum(work.place(piece)[1] for piece in work.unacknowledged)
        work.unacknowledged.clear()

    # ----- sending

    def put(self, span: PushSpan) -> None:
        """Have a span sent; those of earlier blocks come first."""
        self._spans.put_nowait((span.block.order, next(self._number), span))

    async def take(self) -> PushSpan:
        """Wait for one."""
        return (await self._spans.get())[2]

    async def hold(self, size_bytes: int) -> None:
        """Wait until so much may be read."""
        while self._held_bytes + size_bytes > HELD_BYTES:
            self.freed.clear()
            await self.freed.wait()
        self._held_bytes += size_bytes

    def release(self, size_bytes: int) -> None:
        """It is no longer in memory."""
        self._held_bytes -= size_bytes
        self.freed.set()

    def acknowledged(self, work: PushBlock, piece: int, size_bytes: int) -> None:
        """The server has a piece that it had not yet."""
        self._verified_bytes -= size_bytes
        work.unacknowledged.discard(piece)
        self.freed.set()

    def repeat_late(self, now: float, *, late_seconds: float) -> None:
        """Let connections that have nothing to do send what is late once more: what comes first counts."""
        for work in list(self.open):
            pieces = [
                piece
                for piece in sorted(work.unacknowledged - work.repeated)
                if now - work.taken_at.get(piece, now) > late_seconds
            ]
            for piece in pieces:
                work.repeated.add(piece)
                self.put(PushSpan(work, [piece]))
