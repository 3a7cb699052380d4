"""Items moved one way or the other, and a look at what has arrived."""

from collections.abc import Sequence
from pathlib import Path

from include.storage.disk import DiskStorage
from include.storage.interface import Storage
from include.storage.sftp import SftpStorage
from include.transfer.blocks import Item
from include.transfer.pull import pull
from include.transfer.pulled import Origin, Pulled
from include.transfer.push import Destination, push
from include.transfer.terms import Terms


def pulled(items: Sequence[Item], there: Storage, root: Path, **terms) -> Pulled:
    """From `there`, which is called ccat_buffer."""
    return pull(items, origin=Origin("ccat_buffer", there), root=root, terms=Terms(**terms))


def pushed(items: Sequence[Item], root: Path, there: DiskStorage | SftpStorage, **terms) -> Pulled:
    """From ccat_buffer to `there`, which is called cologne_buffer."""
    destination = Destination("cologne_buffer", there)
    return push(items, origin="ccat_buffer", source=DiskStorage(root), destination=destination, terms=Terms(**terms))


def is_whole(item: Item, origin_root: Path, arrived_root: Path) -> bool:
    return (arrived_root / item.path).read_bytes() == (origin_root / item.path).read_bytes()


def names(root: Path) -> set[str]:
    return {path.name for path in root.rglob("*") if path.is_file()}
