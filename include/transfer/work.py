"""What a transfer has to do, cut ever finer: items, their missing blocks, and the pieces that are asked for. Pure.

Pieces are handed out in the order of the blocks, in spans of neighbours, so that blocks are completed one after the
other, few are held in memory, and one stream reads what lies together.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import count

from include.transfer.blocks import Block, Twin
from include.transfer.part_file import PartFile
from include.transfer.sftp_reads import REQUEST_BYTES

SPAN_BYTES = 8 * REQUEST_BYTES
FINE_BYTES = 2 * REQUEST_BYTES
"""With many connections each is slow, and what one of them holds up is held in memory behind it."""
WHOLE_BYTES = 32 * REQUEST_BYTES
"""A block of up to 8 MB is one span: to open a small package on a second stream costs more than it gives."""


class PieceState(Enum):
    """Where a piece is."""

    WAITING = auto()
    ASKED = auto()
    HERE = auto()


@dataclass(eq=False, slots=True)
class ItemWork:
    """An item, its part file, and how many of its blocks have yet to be verified and written."""

    part: PartFile
    blocks_left: int
    twin: Twin | None = None
    """What is read instead of the file: its blocks are frames then."""
    is_seen: bool = False
    """Its size at the origin was, or is being, looked at."""
    is_dropped: bool = False
    """Its copy (or its twin) at the origin is damaged: what still comes of it is thrown away."""
    is_finishing: bool = False
    """All its blocks are verified and written; it gets its final name."""

    @property
    def path(self) -> str:
        """Of what is read at the origin."""
        return self.part.item.path if self.twin is None else self.twin.path

    @property
    def least_bytes(self) -> int:
        """How long that has to be."""
        return self.part.item.content.size_bytes if self.twin is None else self.twin.size_bytes


@dataclass(eq=False, slots=True)
class Piece:
    """What one request brings."""

    work: "BlockWork"
    offset: int
    length: int
    state: PieceState = PieceState.WAITING
    slot: int = -1
    """Where its bytes are in memory."""
    place: int = -1
    """Where they are in the spill instead."""
    asked_at: float = 0.0
    copies: int = 0
    """How many streams have been asked and have not answered."""


@dataclass(eq=False, slots=True)
class BlockWork:
    """A missing block. `order` is its place among all blocks of the transfer."""

    item: ItemWork
    block: Block
    order: int
    pieces: list[Piece] = field(default_factory=list)
    pieces_left: int = 0
    slots_wanted: int = 0
    """How many pieces have yet to be asked for."""
    tries: int = 0
    is_spilling: bool = False
    """Some of what has come is being moved from memory to the disk."""

    def begin(self) -> None:
        """Want all pieces, for the first time or again."""
        block = self.block
        self.pieces = [
            Piece(self, offset, min(REQUEST_BYTES, block.end - offset))
            for offset in range(block.offset, block.end, REQUEST_BYTES)
        ]
        self.pieces_left = self.slots_wanted = len(self.pieces)
        self.tries += 1

    def alone(self, piece: Piece) -> "Span":
        """Return one piece to be fetched again."""
        return Span(self, deque([piece]))

    def spans(self, *, fine: bool) -> Iterator["Span"]:
        """Cut into what one stream is given at a time; `fine` where a single stream may be slow."""
        step = FINE_BYTES if fine else SPAN_BYTES if self.block.length > WHOLE_BYTES else WHOLE_BYTES
        size = step // REQUEST_BYTES
        for first in range(0, len(self.pieces), size):
            yield Span(self, deque(self.pieces[first : first + size]))


@dataclass(eq=False, slots=True)
class Span:
    """Neighbouring pieces that one stream asks for."""

    work: BlockWork
    pieces: deque[Piece]

    @property
    def bytes(self) -> int:
        """Of all its pieces."""
        return sum(piece.length for piece in self.pieces)


class Queue:
    """Spans that no stream has been given yet; those given back come first, in the order of their blocks."""

    def __init__(self) -> None:
        self._blocks: deque[BlockWork] = deque()
        self._spans: deque[Span] = deque()
        self._returned: list[tuple[int, int, Span]] = []
        self._number = count()
        self._order = count()
        self.waiting_bytes = 0
        """Of blocks that nobody has begun."""
        self.is_fine = False
        """Whether many slow streams share the work."""
        self.begins_blocks = True
        """False: only what was begun is completed."""

    def add(self, item: ItemWork, block: Block) -> None:
        """Queue a missing block behind all others."""
        self._blocks.append(BlockWork(item, block, next(self._order)))
        self.waiting_bytes += block.length

    def take(self) -> Span | None:
        """Return what is to be asked for next."""
        while self._returned:
            span = heapq.heappop(self._returned)[2]
            if not span.work.item.is_dropped:
                return span
        while True:
            if self._spans:
                span = self._spans.popleft()
            elif self._blocks and self.begins_blocks:
                work = self._blocks.popleft()
                self.waiting_bytes -= work.block.length
                if not work.item.is_dropped:
                    work.begin()
                    self._spans.extend(work.spans(fine=self.is_fine))
                continue
            else:
                return None
            if not span.work.item.is_dropped:
                return span

    def give_back(self, span: Span) -> None:
        """A stream could not get it."""
        heapq.heappush(self._returned, (span.work.order, next(self._number), span))

    def refetch(self, work: BlockWork) -> None:
        """Want a whole block again, before all others."""
        work.begin()
        for span in work.spans(fine=self.is_fine):
            self.give_back(span)

    @property
    def has_more(self) -> bool:
        """Tell whether `take` may have something."""
        return bool(self._returned or self._spans or (self._blocks and self.begins_blocks))
