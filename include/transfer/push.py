"""Push files of this host to a destination, block by block, and only the blocks that are not there yet.

For a host that can reach the destination but cannot be reached from there. Arguments, result and errors are those of a
pull, turned round. Safe to repeat, to kill, and to run twice at once. Every block is compared with its checksum when it
is read here, before it is sent; unpacking at the destination compares what arrived. Memory: HELD_BYTES
(push_engine.py), and as much again in the sockets' buffers at most.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import asyncssh

from include.errors import MissingFileError, NoSpaceError, TransientError
from include.storage.disk import DiskStorage
from include.storage.interface import Storage
from include.storage.sftp import SftpStorage
from include.transfer.adapt import MOST_STREAMS, Decision
from include.transfer.blocks import Item, missing_blocks
from include.transfer.by_streams import run_engine
from include.transfer.journal import named_in
from include.transfer.kernel import this_host
from include.transfer.pace import Pace
from include.transfer.pull import PATIENCE_SECONDS, pull
from include.transfer.pulled import YIELD_SECONDS, Origin, Progress, Pulled, nothing
from include.transfer.push_engine import PushEngine, PushTask

FULL_BYTES = 16 * 1024 * 1024
"""SFTP 3 has no error for a full disk: a failed write with less than this free is one."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the bytes go; `name` is for messages."""

    name: str
    storage: DiskStorage | SftpStorage


def push(
    items: Sequence[Item],
    *,
    origin: str,
    source: DiskStorage,
    destination: Destination,
    check: Callable[[], None] = nothing,
    on_progress: Callable[[Progress], None] = nothing,
    on_decision: Callable[[Decision], None] = nothing,
    yield_after_seconds: float = YIELD_SECONDS,
    patience_seconds: float = PATIENCE_SECONDS,
    most_streams: int = MOST_STREAMS,
    remembered_streams: int | None = None,
    pace: Pace | None = None,
) -> Pulled:
    """Bring every item from the folder `source` (called `origin` in messages) to the destination.

    `check` is called, and may raise, after every block and once a second. The others are as for `pull`.

    Raises:
        DamagedOriginError: at the end, if blocks read wrong here twice, or there is no such file.
        NoSpaceError: the disk there is full.
        TransientError: source, link or destination failed for the moment; what has arrived is kept.
    """
    if isinstance(destination.storage, DiskStorage):
        return pull(
            items,
            origin=Origin(origin, source),
            root=destination.storage.root,
            check=check,
            on_progress=on_progress,
            on_decision=on_decision,
            yield_after_seconds=yield_after_seconds,
            pace=pace,
        )
    task = PushTask(
        items=items,
        origin=origin,
        source=source,
        destination=destination.name,
        address=destination.storage.address,
        ends_at=time.monotonic() + yield_after_seconds,
        patience_seconds=patience_seconds,
        most_streams=most_streams,
        remembered=remembered_streams,
        pace=pace,
        host=this_host(),
    )
    if not items:
        return Pulled(0, 0, finished=True)
    try:
        return run_engine(
            lambda pool, tell: PushEngine(task, pool=pool, tell=tell),
            check=check,
            on_progress=on_progress,
            on_decision=on_decision,
        )
    except TransientError as error:
        _raise_if_full(destination.storage, error)
        raise


def missing_there(item: Item, *, storage: Storage) -> int:
    """How many bytes of `item` have yet to be written at the destination. Changes nothing.

    A part file of many blocks counts by its journal: else one that fills the disk would be asked room for once more,
    and wait for itself. Of a single block all is sent again.
    """
    found, content = storage.stat(item.path), item.content
    if found is not None and found.size_bytes == content.size_bytes:
        return 0
    verified: frozenset[int] = frozenset()
    if len(content.block_checksums) > 1 and (part := storage.stat(f"{item.path}.part")) is not None:
        with suppress(MissingFileError):
            named = named_in(b"".join(storage.read(f"{item.path}.journal")), content=content) or ()
            if all(block.end <= part.size_bytes for block in named):
                verified = frozenset(block.number for block in named)
    return sum(block.length for block in missing_blocks(content, verified=verified))


def _raise_if_full(storage: SftpStorage, error: TransientError) -> None:
    if not isinstance(error.__cause__, asyncssh.SFTPFailure):
        return
    space = storage.space()
    if space is not None and space.free_bytes < FULL_BYTES:
        raise NoSpaceError(f"no space left at {storage.address.place}: {space.free_bytes} bytes free") from error
