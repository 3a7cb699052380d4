"""Pull files from an origin to a folder of this host, block by block, and only the blocks that are not there yet.

Safe to repeat, to kill, and to run twice at once. From an SFTP server several connections are used (pull_engine.py), in
two processes where one core cannot keep up (by_two.py); on one host the kernel copies (same_host.py), from anywhere
else there is one stream (in_turn.py). Memory: at most ARENA_BYTES for blocks on their way.
"""

from collections.abc import Sequence
from pathlib import Path

from include.storage.disk import DiskStorage
from include.storage.sftp import SftpStorage
from include.transfer.arena import ARENA_BYTES
from include.transfer.blocks import Item
from include.transfer.by_two import pull_by_streams
from include.transfer.disk_errors import require_root
from include.transfer.in_turn import pull_in_turn
from include.transfer.pull_engine import PullTask
from include.transfer.pulled import Origin, Pulled
from include.transfer.same_host import pull_on_one_host
from include.transfer.terms import AS_USUAL, Terms


def pull(items: Sequence[Item], *, origin: Origin, root: Path, terms: Terms = AS_USUAL) -> Pulled:
    """Bring every item below the folder `root`.

    Raises:
        DamagedOriginError: at the end, if blocks came wrong from the origin twice, or it has no such file.
        NoSpaceError: the disk is full.
        TransientError: origin, link or disk failed for the moment; what has arrived is kept.
    """
    require_root(root)
    if not items:
        return Pulled(0, 0, finished=True)
    if type(origin.storage) is DiskStorage:  # one that reads in a way of its own is read in its way
        return pull_on_one_host(items, origin=origin.name, source=origin.storage, root=root, terms=terms)
    if not isinstance(origin.storage, SftpStorage) or _largest_block(items) * 2 > ARENA_BYTES:
        return pull_in_turn(items, origin=origin, root=root, terms=terms)
    task = PullTask(items, origin=origin.name, address=origin.storage.address, root=root, terms=terms)
    return pull_by_streams(task)


def _largest_block(items: Sequence[Item]) -> int:
    return max((min(item.content.block_bytes, item.content.size_bytes) for item in items), default=0)
