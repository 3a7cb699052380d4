"""What a pull is told and tells. `pull.py` has the verb."""

from dataclasses import dataclass, field

from include.errors import ChecksumMismatchError
from include.storage.interface import Storage
from include.transfer.blocks import Item

YIELD_SECONDS = 30 * 60.0
"""A transfer hands back after this long, so that no task ever lasts hours."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull did. Sizes in bytes."""

    bytes_sent: int
    bytes_skipped: int
    """Were here already, verified, and were not sent again."""
    finished: bool
    """False: time was up; call again to go on."""
    bytes_received: int = field(default=0, compare=False)
    """Came over the link: less than was sent where it came compressed; 0 where nobody counts."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pull is; `item` is the one whose block came last."""

    item: Item
    bytes_sent: int
    bytes_skipped: int
    bytes_received: int = 0
    """Came over the link in this pull; of blocks that are not complete too."""
    rate: float = 0.0
    """Bytes a second, just now."""
    streams: int = 0
    """Connections in use."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the bytes come from; `name` is for messages."""

    name: str
    storage: Storage


class DamagedOriginError(ChecksumMismatchError):
    """Files that at the origin are not what they should be; all others have arrived.

    `items` are these, `missing` those among them that are not there at all. A folder whose disk is not mounted has no
    files either: look before you believe it.
    """

    def __init__(self, message: str, *, items: tuple[Item, ...], missing: tuple[Item, ...] = ()) -> None:
        super().__init__(message)
        self.items = items
        self.missing = missing


def nothing(*_: object) -> None:
    """Do nothing: for whoever wants to hear nothing."""
