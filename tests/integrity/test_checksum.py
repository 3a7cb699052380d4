import xxhash
from hypothesis import given
from hypothesis import strategies as st

from include.integrity.checksum import BLOCK_BYTES, BlockHasher, Hasher, checksum_of


def test_a_checksum_names_its_algorithm() -> None:
    """The value is the published one of the empty input (xxHash test vectors)."""
    assert Hasher().value() == "xxh3-128:99aa06d3014798d86001c324468d497f"


def test_blocks_are_64_mib() -> None:
    assert BLOCK_BYTES == 64 * 1024 * 1024
    assert BlockHasher().value().block_bytes == BLOCK_BYTES


@given(st.lists(st.binary(max_size=50)))
def test_how_bytes_are_cut_into_chunks_does_not_matter(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    assert checksum_of(chunks) == f"xxh3-128:{xxhash.xxh3_128_hexdigest(whole)}"


@given(chunks=st.lists(st.binary(max_size=50)), block_bytes=st.integers(1, 40))
def test_blocks_are_those_of_the_whole(chunks: list[bytes], block_bytes: int) -> None:
    whole = b"".join(chunks)
    hasher = BlockHasher(block_bytes=block_bytes)
    for chunk in chunks:
        hasher.update(chunk)
    found = hasher.value()
    blocks = [whole[start : start + block_bytes] for start in range(0, len(whole), block_bytes)]
    assert found.block_checksums == tuple(checksum_of([block]) for block in blocks)
    assert found.checksum == checksum_of([whole])
    assert found.size_bytes == len(whole)
    assert hasher.full_block_count == len(whole) // block_bytes
