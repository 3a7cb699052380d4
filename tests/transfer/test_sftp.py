"""Pulling over SFTP by several connections, as the destination does."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from include.errors import DtsError, LeaseLostError
from include.integrity.checksum import BLOCK_BYTES
from include.transfer import arena, arrivals, incoming, spill
from include.transfer.adapt import NEAR_STREAMS, Decision
from include.transfer.blocks import Item
from include.transfer.pace import LUMP_BYTES
from include.transfer.part_file import missing_bytes
from include.transfer.pulled import DamagedOriginError, Pulled
from tests.bench.pull_once import Listed, Order
from tests.transfer.moving import is_whole, names, pulled
from tests.transfer.samples import item_of, put, some_bytes

MB = 1_000_000
BLOCK = 3 * MB
SIZE = 5 * BLOCK + 12_345


def test_many_small_files_arrive(served, origin_root, arrived_root):
    items = [put(some_bytes(n, seed=n), at=origin_root, path=f"{n % 7}/{n}.tar") for n in range(1, 900)]
    assert pulled(items, served, arrived_root).finished
    assert all(is_whole(item, origin_root, arrived_root) for item in items)


def test_a_file_arrives_in_several_sittings_and_no_block_twice(served, origin_root, arrived_root):
    items = [
        put(some_bytes(SIZE, seed=n), at=origin_root, path=f"{n}.tar", block_bytes=MB // 4) for n in range(4)
    ]  # fmt: skip
    sittings: list[Pulled] = []
    while not sittings or not sittings[-1].finished:
        sittings.append(pulled(items, served, arrived_root, yield_after_seconds=0))
        assert sittings[-1].bytes_sent
    assert sum(sitting.bytes_sent for sitting in sittings) == 4 * SIZE
    assert all(is_whole(item, origin_root, arrived_root) for item in items)


def test_connections_are_kept_for_the_next_transfer(served, cable, origin_root, arrived_root):
    items = [put(some_bytes(SIZE, seed=n), at=origin_root, path=f"{n}.tar", block_bytes=BLOCK) for n in range(2)]
    pulled(items[:1], served, arrived_root, most_streams=2)
    made = cable.connections
    pulled(items[1:], served, arrived_root, most_streams=made)
    assert cable.connections == made


def test_wrong_bytes_at_the_origin_are_named_and_do_not_arrive(served, origin_root, arrived_root):
    content = some_bytes(SIZE)
    item = item_of(content, block_bytes=BLOCK)
    put(content[: 2 * BLOCK] + b"?" + content[2 * BLOCK + 1 :], at=origin_root)
    other = put(some_bytes(SIZE, seed=2), at=origin_root, path="other.tar", block_bytes=BLOCK)
    with pytest.raises(DamagedOriginError, match="block 2 .* came from ccat_buffer") as caught:
        pulled([item, other], served, arrived_root)
    assert caught.value.items == (item,)
    assert not (arrived_root / item.path).exists()
    assert is_whole(other, origin_root, arrived_root), "one bad file must not hold up the others"


def test_a_block_that_comes_wrong_once_is_fetched_again_alone(served, origin_root, arrived_root, monkeypatch):
    item = put(some_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    lies = ["xxh3-128:0"]
    real = arrivals.checksum_of
    monkeypatch.setattr(arrivals, "checksum_of", lambda pieces: lies.pop() if lies else real(pieces))
    assert pulled([item], served, arrived_root).bytes_sent in {SIZE + BLOCK, SIZE + 12_345}
    assert is_whole(item, origin_root, arrived_root)


def test_a_file_that_is_not_there_at_the_origin_is_named_and_holds_up_no_other(served, origin_root, arrived_root):
    item = item_of(some_bytes(SIZE))
    other = put(some_bytes(SIZE, seed=2), at=origin_root, path="other.tar", block_bytes=BLOCK)
    with pytest.raises(DamagedOriginError, match=r"one is not at ccat_buffer: .*one\.tar") as caught:
        pulled([item, other], served, arrived_root)
    assert (caught.value.items, caught.value.missing) == ((item,), (item,))
    assert is_whole(other, origin_root, arrived_root)


# Which answer comes first decides: that to the request for its size, or that to a read behind its end.
TOO_SHORT = rf"one (has {2 * BLOCK + 1} bytes at ccat_buffer instead of {SIZE}|ended at ccat_buffer before byte \d+)"


def test_a_file_that_is_too_short_at_the_origin_is_damaged_there(served, origin_root, arrived_root):
    content = some_bytes(SIZE)
    put(content[: 2 * BLOCK + 1], at=origin_root)
    with pytest.raises(DamagedOriginError, match=TOO_SHORT):
        pulled([item_of(content, block_bytes=BLOCK)], served, arrived_root)


def test_a_lost_lease_ends_it_and_what_came_is_kept(served, origin_root, arrived_root):
    item = put(some_bytes(60 * MB), at=origin_root, block_bytes=BLOCK)

    def lost() -> None:
        raise LeaseLostError("taken over")

    with pytest.raises(LeaseLostError):
        pulled([item], served, arrived_root, check=lost)
    kept = 60 * MB - missing_bytes(item, root=arrived_root)
    assert kept
    assert pulled([item], served, arrived_root) == Pulled(60 * MB - kept, kept, finished=True)


def test_two_engines_at_once_end_with_whole_files(served, origin_root, arrived_root):
    items = [put(some_bytes(SIZE, seed=n), at=origin_root, path=f"{n}.tar", block_bytes=BLOCK) for n in range(6)]
    failed: list[Exception] = []

    def one() -> None:
        try:
            pulled(items, served, arrived_root)
        except DtsError as error:
            failed.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert all(is_whole(item, origin_root, arrived_root) for item in items)
    assert not any(name.endswith(".part") for name in names(arrived_root))


def test_it_goes_on_when_memory_for_two_blocks_is_all_there_is(served, origin_root, arrived_root, monkeypatch):
    small = 2 * BLOCK + incoming.RESERVE_SLOTS * 255 * 1024 + 255 * 1024
    monkeypatch.setattr(incoming, "Arena", lambda _: arena.Arena(small))
    monkeypatch.setattr(incoming, "Spill", lambda root: spill.Spill(root, size_bytes=BLOCK // 2))
    items = [put(some_bytes(SIZE, seed=n), at=origin_root, path=f"{n}.tar", block_bytes=BLOCK) for n in range(4)]
    assert pulled(items, served, arrived_root).finished
    assert all(is_whole(item, origin_root, arrived_root) for item in items)


class Recorded:
    """A Pace of `rate` bytes a second that remembers what it gave."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.given = 0
        self._free_at = 0.0

    async def acquire(self, size_bytes: int) -> None:
        import asyncio

        now = time.monotonic()
        self._free_at = max(self._free_at, now) + size_bytes / self.rate
        await asyncio.sleep(self._free_at - now)
        self.given += size_bytes


def test_it_asks_for_no_more_than_its_pace_allows(served, origin_root, arrived_root):
    item = put(some_bytes(30 * MB), at=origin_root, block_bytes=BLOCK)
    pace = Recorded(20 * MB)
    began = time.monotonic()
    assert pulled([item], served, arrived_root, pace=pace).finished
    assert time.monotonic() - began >= (30 * MB - 2 * LUMP_BYTES) / pace.rate
    assert 30 * MB <= pace.given <= 30 * MB + 3 * LUMP_BYTES


def test_it_says_how_many_connections_it_uses_and_why(served, origin_root, arrived_root):
    item = put(some_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    decisions: list[Decision] = []
    pulled([item], served, arrived_root, on_decision=decisions.append, remembered_streams=3)
    assert decisions[0].streams == 3
    assert "the last transfer" in decisions[0].why


def kill_after(blocks: int, items: list[Item], served, arrived_root: Path, folder: Path) -> None:
    """Have another process pull them, and kill it as soon as it has told of so many blocks."""
    address = served.address
    listed = folder / "listed.json"
    listed.write_text(Listed(packages=[(item.path, item.content) for item in items]).model_dump_json())
    order = Order(
        host=address.host, port=address.port, user=address.username, key=address.private_key_path,
        host_key=address.host_key, root=address.root, destination=str(arrived_root), manifests=str(listed), watch=True,
    )  # fmt: skip
    (folder / "order.json").write_text(order.model_dump_json())
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.pull_once", folder / "order.json"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    kept_lines = 0
    for line in process.stderr:
        kept_lines += " kept," in line
        if kept_lines == blocks:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.stderr.close()
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("blocks", [1, 7, 30])
def test_killed_in_the_middle_it_sends_again_only_what_was_not_in_the_journal(
    served, origin_root, arrived_root, tmp_path, blocks
):
    items = [
        put(some_bytes(40 * MB, seed=n), at=origin_root, path=f"{n}.tar", block_bytes=MB) for n in range(2)
    ]  # fmt: skip
    kill_after(blocks, items, served, arrived_root, tmp_path)
    missing = sum(missing_bytes(item, root=arrived_root) for item in items)
    assert missing <= 80 * MB - blocks * MB
    assert pulled(items, served, arrived_root) == Pulled(missing, 80 * MB - missing, finished=True)
    assert all(is_whole(item, origin_root, arrived_root) for item in items)


@pytest.mark.slow
def test_a_kill_costs_two_blocks_a_connection_at_most(served, cable, origin_root, arrived_root, tmp_path):
    """Blocks as packages have them. What went through the cable twice was sent again."""
    size = 8 * BLOCK_BYTES
    item = put(bytes(size), at=origin_root, block_bytes=BLOCK_BYTES)
    kill_after(3, [item], served, arrived_root, tmp_path)
    assert pulled([item], served, arrived_root).finished
    assert cable.carried_bytes <= 1.01 * (size + 2 * BLOCK_BYTES * NEAR_STREAMS)
    assert is_whole(item, origin_root, arrived_root)
