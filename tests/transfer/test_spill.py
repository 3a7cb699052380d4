"""Bytes that wait on the disk for the rest of their block: the same arrives, and nothing else."""

import pytest

from include.integrity.checksum import checksum_of
from include.transfer import arrivals, incoming
from include.transfer.pull import pull
from include.transfer.pulled import DamagedOriginError, Origin
from include.transfer.sftp_reads import REQUEST_BYTES
from include.transfer.spill import Pieces, Spill
from tests.transfer.samples import item_of, put, some_bytes

BLOCK = 3_000_000
SIZE = 5 * BLOCK + 12_345


@pytest.fixture
def moved(monkeypatch) -> list[int]:
    """Everything that can wait on the disk does; how many pieces did, job by job."""
    moved: list[int] = []
    spill = arrivals.spill
    monkeypatch.setattr(incoming, "FEW_SLOTS", 10**6)
    monkeypatch.setattr(arrivals, "spill", lambda moves, place: (moved.append(len(moves)), spill(moves, place)))
    return moved


def test_places_give_back_what_was_put_there(tmp_path):
    spill = Spill(tmp_path, size_bytes=4 * REQUEST_BYTES)
    contents = {spill.take(): some_bytes(REQUEST_BYTES - number, seed=number) for number in range(4)}
    assert spill.free == 0
    for place, content in contents.items():
        spill.write(place, memoryview(content))
    assert all(bytes(spill.read(place, len(content))) == content for place, content in contents.items())
    spill.give_back(2)
    assert spill.take() == 2
    assert not any(tmp_path.iterdir()), "it has no name that could be left behind"
    spill.close()
    spill.close()


def test_pieces_are_one_sequence_wherever_they_are(tmp_path):
    spill = Spill(tmp_path)
    content = some_bytes(3 * REQUEST_BYTES)
    place = spill.take()
    spill.write(place, memoryview(content)[REQUEST_BYTES : 2 * REQUEST_BYTES])
    pieces = Pieces(
        [memoryview(content)[:REQUEST_BYTES], (place, REQUEST_BYTES), memoryview(content)[2 * REQUEST_BYTES :]],
        spill=spill,
    )
    assert b"".join(pieces) == b"".join(pieces[0:3]) == content
    assert (len(pieces), bytes(pieces[1])) == (3, content[REQUEST_BYTES : 2 * REQUEST_BYTES])
    assert checksum_of(pieces) == checksum_of([content])
    spill.close()


def test_what_waited_on_the_disk_arrives_whole(served, origin_root, arrived_root, moved):
    items = [put(some_bytes(SIZE, seed=n), at=origin_root, path=f"{n}.tar", block_bytes=BLOCK) for n in range(6)]
    pulled = pull(items, origin=Origin("ccat_buffer", served), root=arrived_root)
    assert (pulled.bytes_sent, pulled.finished) == (6 * SIZE, True)
    assert all((arrived_root / item.path).read_bytes() == (origin_root / item.path).read_bytes() for item in items)
    assert sum(moved) > 6
    assert {path.name for path in arrived_root.rglob("*") if path.is_file()} == {f"{n}.tar" for n in range(6)}


def test_wrong_bytes_that_waited_on_the_disk_do_not_arrive(served, origin_root, arrived_root, moved):
    content = some_bytes(SIZE)
    item = item_of(content, block_bytes=BLOCK)
    put(content[: 2 * BLOCK] + b"?" + content[2 * BLOCK + 1 :], at=origin_root)
    other = put(some_bytes(SIZE, seed=2), at=origin_root, path="other.tar", block_bytes=BLOCK)
    with pytest.raises(DamagedOriginError, match="block 2") as caught:
        pull([item, other], origin=Origin("ccat_buffer", served), root=arrived_root)
    assert caught.value.items == (item,)
    assert not (arrived_root / item.path).exists()
    assert (arrived_root / "other.tar").read_bytes() == (origin_root / "other.tar").read_bytes()
    assert moved
