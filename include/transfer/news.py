"""What an engine tells while it moves bytes."""

from collections.abc import Callable
from dataclasses import dataclass

from include.transfer.adapt import Decision
from include.transfer.blocks import Item


@dataclass(frozen=True, slots=True)
class Arrived:
    """A block was verified and written (or, without a block's item, a while has passed)."""

    item: Item | None
    bytes_sent: int
    bytes_skipped: int
    bytes_received: int
    rate: float
    streams: int


@dataclass(frozen=True, slots=True)
class Damage:
    """An item whose copy at the origin is damaged or not there, and a sentence about it."""

    item: Item
    sentence: str
    is_missing: bool


Tell = Callable[[Arrived | Decision], None]
