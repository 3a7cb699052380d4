"""The blocks of a pull that are under way, and where the bytes wait that have come of them: in memory or on the disk.

Nothing comes back before its block is complete, so a block is begun only where there is room for all older ones.
"""

from pathlib import Path

from include.transfer.arena import ARENA_BYTES, Arena
from include.transfer.compressed import UNPACKED_BYTES
from include.transfer.spill import Pieces, Spill
from include.transfer.work import BlockWork, ItemWork, Piece, PieceState, Queue

FEW_SLOTS = 160
"""With fewer free ones (of ARENA_BYTES), what waits for the rest of its block goes to the disk."""
RESERVE_SLOTS = 32
"""Kept for what is asked for a second time, on another stream."""
SPILLED_AT_ONCE = 96

Move = tuple[Piece, int, int]
"""A piece, the slot it leaves, and its place on the disk."""


class Incoming:
    """In the loop's thread. `unpacks`: some of what comes is compressed."""

    def __init__(self, root: Path, *, unpacks: bool, arena_bytes: int = ARENA_BYTES) -> None:
        self.arena = Arena(arena_bytes - UNPACKED_BYTES if unpacks else arena_bytes)
        self._few_slots = FEW_SLOTS * arena_bytes // ARENA_BYTES
        self.spill = Spill(root)
        self.queue = Queue()
        self.open: dict[BlockWork, None] = {}
        self.repeats = 0
        """How many pieces are asked for a second time just now."""

    # ----- as every load

    @property
    def begins_blocks(self) -> bool:
        """False: only what was begun is completed."""
        return self.queue.begins_blocks

    @property
    def has_more(self) -> bool:
        """Tell whether there may be something to give to a connection."""
        return self.queue.has_more

    @property
    def awaits_link(self) -> bool:
        """Tell whether anything has yet to come."""
        return bool(self.open) or self.queue.has_more

    def stop(self) -> None:
        """Complete the blocks that are under way, and begin no more."""
        self.queue.begins_blocks = False

    # ----- room

    @property
    def is_short(self) -> bool:
        """Tell whether memory runs out."""
        return self.arena.free < self._few_slots

    def has_room_for(self, work: BlockWork) -> bool:
        """Leave as much as all older blocks still need."""
        free = self.arena.free - (RESERVE_SLOTS - self.repeats)
        if free <= 0:
            return False
        free += self.spill.free
        for older in self.open:
            if older is work:
                break
            free -= older.slots_wanted
        return free > 0

    @property
    def may_repeat(self) -> bool:
        """Tell whether there is room for asking once more."""
        return self.repeats < RESERVE_SLOTS

    def pieces_of(self, work: BlockWork) -> Pieces:
        """Return a whole block, wherever it lies."""
        return Pieces(
            [
                self.arena.view(piece.slot, piece.length) if piece.slot >= 0 else (piece.place, piece.length)
                for piece in work.pieces
            ],
            spill=self.spill,
        )

    def free(self, work: BlockWork) -> None:
        """Nothing of a block is held any more."""
        for piece in work.pieces:
            if piece.slot >= 0:
                self.arena.give_back(piece.slot)
                piece.slot = -1
            if piece.place >= 0:
                self.spill.give_back(piece.place)
                piece.place = -1
            piece.state = PieceState.WAITING

    def refetch(self, work: BlockWork) -> None:
        """Want a whole block again, before all others."""
        self.free(work)
        self.queue.refetch(work)
        self.open = {work: None, **self.open}

    def forget(self, item: ItemWork) -> None:
        """Nothing of an item is wanted any more."""
        for work in [work for work in self.open if work.item is item]:
            del self.open[work]
            self.free(work)

    # ----- to the disk

    def begin_spilling(self) -> list[Move]:
        """Choose pieces of blocks that are not whole, the oldest first."""
        moved: list[Piece] = []
        for work in self.open:
            if work.pieces_left and len(moved) < SPILLED_AT_ONCE:
                waiting = [piece for piece in work.pieces if piece.slot >= 0]
                moved += waiting[: min(SPILLED_AT_ONCE - len(moved), self.spill.free - len(moved))]
        moves = [(piece, piece.slot, self.spill.take()) for piece in moved]
        for piece in moved:
            piece.slot = -1
            piece.work.is_spilling = True
        return moves

    def end_spilling(self, moves: list[Move]) -> list[BlockWork]:
        """They are on the disk. Return their blocks."""
        for piece, slot, place in moves:
            self.arena.give_back(slot)
            if piece.state is PieceState.HERE:
                piece.place = place
            else:  # its block was given up meanwhile
                self.spill.give_back(place)
        works = list(dict.fromkeys(piece.work for piece, _, _ in moves))
        for work in works:
            work.is_spilling = False
        return works
