"""Push files of this host to a destination, block by block, and only the blocks that are not there yet.

For a host that can reach the destination but cannot be reached from there. Arguments, result and errors are those of a
pull, turned round. Safe to repeat, to kill, and to run twice at once. Every block is compared with its checksum when it
is read here, before it is sent; unpacking at the destination compares what arrived. Memory: HELD_BYTES
(outgoing.py), and as much again in the sockets' buffers at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from include.errors import TransientError
from include.storage.disk import DiskStorage
from include.storage.sftp import SftpStorage
from include.transfer.blocks import Item, missing_blocks
from include.transfer.by_streams import run_engine
from include.transfer.journal import named_in
from include.transfer.pull import pull
from include.transfer.pulled import Origin, Pulled
from include.transfer.push_engine import PushEngine, PushTask
from include.transfer.terms import AS_USUAL, Terms


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the bytes go; `name` is for messages."""

    name: str
    storage: DiskStorage | SftpStorage


def push(
    items: Sequence[Item], *, origin: str, source: DiskStorage, destination: Destination, terms: Terms = AS_USUAL
) -> Pulled:
    """Bring every item from the folder `source` (called `origin` in messages) to the destination.

    Raises:
        DamagedOriginError: at the end, if blocks read wrong here twice, or there is no such file.
        NoSpaceError: the disk there is full.
        TransientError: source, link or destination failed for the moment; what has arrived is kept.
    """
    if isinstance(destination.storage, DiskStorage):
        return pull(items, origin=Origin(origin, source), root=destination.storage.root, terms=terms)
    if not items:
        return Pulled(0, 0, finished=True)
    task = PushTask(
        items,
        origin=origin,
        source=source,
        destination=destination.name,
        address=destination.storage.address,
        terms=terms,
    )
    try:
        return run_engine(lambda pool, tell: PushEngine(task, pool=pool, tell=tell), terms=terms)
    except TransientError as error:
        destination.storage.raise_if_full("", error)
        raise


def missing_there(items: Sequence[Item], *, storage: SftpStorage) -> int:
    """How many bytes of the items have yet to be written at the destination. Changes nothing.

    A part file of many blocks counts by its journal: else one that fills the disk would be asked room for once more,
    and wait for itself. Of a single block all is sent again.
    """
    found = storage.stat_all([item.path for item in items])
    missing = [
        item
        for item, file in zip(items, found, strict=True)
        if file is None or file.size_bytes != item.content.size_bytes
    ]
    verified = _verified_there([item for item in missing if len(item.content.block_checksums) > 1], storage)
    return sum(
        block.length
        for item in missing
        for block in missing_blocks(item.content, verified=verified.get(item.path, frozenset()))
    )


def _verified_there(items: Sequence[Item], storage: SftpStorage) -> dict[str, frozenset[int]]:
    """By path: the blocks of a part file that its journal vouches for."""
    parts = storage.stat_all([f"{item.path}.part" for item in items])
    begun = [(item, part.size_bytes) for item, part in zip(items, parts, strict=True) if part is not None]
    journals = storage.read_all([f"{item.path}.journal" for item, _ in begun])
    verified = {}
    for (item, size_bytes), journal in zip(begun, journals, strict=True):
        named = named_in(journal or b"", content=item.content) or ()
        if all(block.end <= size_bytes for block in named):
            verified[item.path] = frozenset(block.number for block in named)
    return verified
