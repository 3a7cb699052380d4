"""What is missing of some files, cut into two halves for two processes. Changes nothing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from include.transfer.blocks import Block, Item, missing_blocks
from include.transfer.part_file import PartFile


def halves(items: Sequence[Item], *, root: Path) -> tuple[list[Item], list[Item]]:
    """Return what one and what the other brings: of at most one item each has a portion."""
    missing = [(item, _missing(item, root=root)) for item in items]
    half = sum(block.length for _, blocks in missing for block in blocks) / 2
    first: list[Item] = []
    second: list[Item] = []
    for item, blocks in missing:
        if half <= 0:
            second.append(item)
            continue
        count = 0  # of its blocks that are the first one's
        while count < len(blocks) and half > 0:
            half -= blocks[count].length
            count += 1
        if count == len(blocks):
            first.append(item)
        else:
            first.append(replace(item, portion=(0, blocks[count].number)))
            second.append(replace(item, portion=(blocks[count].number, blocks[-1].number + 1)))
    return first, second


def _missing(item: Item, *, root: Path) -> Sequence[Block]:
    part = PartFile(item, root=root)
    return () if part.is_complete() else missing_blocks(item.content, verified=part.look())
