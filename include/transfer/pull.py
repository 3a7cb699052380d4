"""Pull files from an origin to a folder of this host, block by block, and only the blocks that are not there yet.

Safe to repeat, to kill, and to run twice at once. From an SFTP server several connections are used (engine.py), on one
host the kernel copies (same_host.py), from anywhere else there is one stream (in_turn.py). Memory: at most ARENA_BYTES
for blocks on their way.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from include.storage.disk import DiskStorage
from include.storage.sftp import SftpStorage
from include.transfer.adapt import MOST_STREAMS, Decision
from include.transfer.arena import ARENA_BYTES
from include.transfer.blocks import Item
from include.transfer.by_streams import pull_by_streams
from include.transfer.durable import require_root
from include.transfer.engine import Task
from include.transfer.in_turn import pull_in_turn
from include.transfer.kernel import this_host
from include.transfer.pace import Pace
from include.transfer.pulled import YIELD_SECONDS, DamagedOriginError, Origin, Progress, Pulled, nothing
from include.transfer.same_host import pull_on_one_host

__all__ = ["YIELD_SECONDS", "DamagedOriginError", "Decision", "Origin", "Progress", "Pulled", "pull"]

PATIENCE_SECONDS = 300.0
"""A link that is cut for so long makes a pull give up; a shorter cut it sits out, and goes on by itself."""


def pull(
    items: Sequence[Item],
    *,
    origin: Origin,
    root: Path,
    check: Callable[[], None] = nothing,
    on_progress: Callable[[Progress], None] = nothing,
    on_decision: Callable[[Decision], None] = nothing,
    yield_after_seconds: float = YIELD_SECONDS,
    patience_seconds: float = PATIENCE_SECONDS,
    most_streams: int = MOST_STREAMS,
    remembered_streams: int | None = None,
    pace: Pace | None = None,
) -> Pulled:
    """Bring every item below the folder `root`.

    `check` is called, and may raise, after every block and once a second. `on_decision` hears how many connections are
    used, and why; the last one's number is what to hand in as `remembered_streams` the next time. `pace` is asked
    before the origin is. All of these are called in the caller's thread, but `pace`.

    Raises:
        DamagedOriginError: at the end, if blocks came wrong from the origin twice, or it has no such file.
        NoSpaceError: the disk is full.
        TransientError: origin, link or disk failed for the moment; what has arrived is kept.
    """
    require_root(root)
    if type(origin.storage) is DiskStorage:  # one that reads in a way of its own is read in its way
        return pull_on_one_host(
            items,
            origin=origin.name,
            source=origin.storage,
            root=root,
            check=check,
            on_progress=on_progress,
            yield_after_seconds=yield_after_seconds,
        )
    if not isinstance(origin.storage, SftpStorage) or _largest_block(items) * 2 > ARENA_BYTES:
        return pull_in_turn(
            items,
            origin=origin,
            root=root,
            check=check,
            on_progress=on_progress,
            yield_after_seconds=yield_after_seconds,
        )
    task = Task(
        items=items,
        origin=origin.name,
        address=origin.storage.address,
        root=root,
        ends_at=time.monotonic() + yield_after_seconds,
        patience_seconds=patience_seconds,
        most_streams=most_streams,
        remembered=remembered_streams,
        pace=pace,
        host=this_host(),
    )
    return pull_by_streams(task, check=check, on_progress=on_progress, on_decision=on_decision)


def _largest_block(items: Sequence[Item]) -> int:
    return max((min(item.content.block_bytes, item.content.size_bytes) for item in items), default=0)
