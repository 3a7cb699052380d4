"""Which blocks there are, and which are missing."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from include.transfer.blocks import blocks_of, missing_blocks, runs
from tests.transfer.samples import item_of, some_bytes


@given(size=st.integers(0, 5000), block_bytes=st.integers(1, 1500), data=st.data())
def test_blocks_cover_every_byte_once_and_runs_are_the_missing_ones_in_order(size, block_bytes, data):
    content = item_of(some_bytes(size), block_bytes=block_bytes).content
    blocks = blocks_of(content)
    assert [byte for block in blocks for byte in range(block.offset, block.end)] == list(range(size))
    verified = data.draw(st.sets(st.sampled_from(range(len(blocks))))) if blocks else set()
    missing = missing_blocks(content, verified=verified)
    assert {block.number for block in missing} == set(range(len(blocks))) - verified
    found = runs(missing)
    assert [block for run in found for block in run] == list(missing)
    assert all(before[-1].end < after[0].offset for before, after in pairwise(found))
