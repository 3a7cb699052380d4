"""Pushing over SFTP by many connections, from a host that nobody can pull from."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest

from include.errors import DtsError, LeaseLostError, TransientError
from include.storage.disk import DiskStorage
from include.storage.sftp import SftpStorage
from include.transfer import push_work
from include.transfer.adapt import Decision, Host
from include.transfer.blocks import blocks_of
from include.transfer.pace import LUMP_BYTES
from include.transfer.part_file import PartFile, missing_bytes
from include.transfer.pull import pull
from include.transfer.pulled import DamagedOriginError, Origin, Pulled
from include.transfer.push import missing_there
from include.transfer.push_streams import first
from include.transfer.terms import Terms
from tests.transfer.moving import is_whole, names, pushed
from tests.transfer.samples import item_of, put, some_bytes

pytestmark = pytest.mark.slow

MB = 1_000_000
BLOCK = 3 * MB
SIZE = 5 * BLOCK + 12_345


class Slow:
    """40 MB/s, so that time is up before all has been sent."""

    async def acquire(self, size_bytes: int) -> None:
        await asyncio.sleep(size_bytes / 40e6)


def test_many_small_files_arrive(there, origin_root, arrived_root):
    items = [put(some_bytes(n, seed=n), at=origin_root, path=f"{n % 7}/x/{n}.tar") for n in range(1, 150)]
    assert pushed(items, origin_root, there).finished
    assert all(is_whole(item, origin_root, arrived_root) for item in items)
    assert len(names(arrived_root)) == 149


def test_a_file_arrives_in_several_sittings_and_no_block_twice(there, origin_root, arrived_root):
    items = [
        put(some_bytes(SIZE, seed=n), at=origin_root, path=f"{n}.tar", block_bytes=MB) for n in range(2)
    ]  # fmt: skip
    sittings: list[Pulled] = []
    while not sittings or not sittings[-1].finished:
        sittings.append(pushed(items, origin_root, there, yield_after_seconds=0, pace=Slow()))
        assert sittings[-1].bytes_sent
    assert sum(sitting.bytes_sent for sitting in sittings) == 2 * SIZE
    assert all(is_whole(item, origin_root, arrived_root) for item in items)
    assert len(names(arrived_root)) == 2
    assert len(sittings) > 1


def test_a_destination_whose_folder_is_not_there_gets_none(there, origin_root, arrived_root):
    item = put(some_bytes(10), at=origin_root)
    arrived_root.rmdir()
    with pytest.raises(TransientError, match="is its disk mounted"):
        pushed([item], origin_root, there)
    assert not arrived_root.exists()


def test_wrong_bytes_are_named_and_never_leave(there, origin_root, arrived_root):
    content = some_bytes(SIZE)
    bad = item_of(content, block_bytes=BLOCK)
    changed = bytearray(content)
    changed[BLOCK + 5] ^= 0xFF
    put(bytes(changed), at=origin_root, block_bytes=BLOCK)
    good = put(content, at=origin_root, path="good.tar", block_bytes=BLOCK)
    with pytest.raises(DamagedOriginError, match=r"block 1 \(bytes 3000000 to 6000000\) was read at ccat_buffer") as e:
        pushed([bad, good], origin_root, there)
    assert e.value.items == (bad,)
    assert is_whole(good, origin_root, arrived_root)
    assert not (arrived_root / bad.path).exists()

    (origin_root / bad.path).write_bytes(content)
    again = pushed([bad, good], origin_root, there)
    assert (again.bytes_sent + again.bytes_skipped, again.finished) == (2 * SIZE, True)
    assert again.bytes_skipped >= SIZE
    assert is_whole(bad, origin_root, arrived_root)


def test_a_file_that_changes_between_being_verified_and_being_sent_does_not_leave(
    there, origin_root, arrived_root, monkeypatch
):
    item = put(some_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    real, changed = push_work.verify, []

    def verify(work, *, source):
        found = real(work, source=source)
        if work.block.number == 2 and not changed:
            changed.append(True)
            content = bytearray((origin_root / item.path).read_bytes())
            content[2 * BLOCK + 300_000] ^= 0xFF
            (origin_root / item.path).write_bytes(content)
        return found

    monkeypatch.setattr(push_work, "verify", verify)
    with pytest.raises(DamagedOriginError, match="block 2 "):
        pushed([item], origin_root, there)
    assert changed
    assert not (arrived_root / item.path).exists()


def test_missing_and_short_files_are_named_and_all_others_arrive(there, origin_root, arrived_root):
    missing = put(some_bytes(SIZE), at=origin_root, path="missing.tar", block_bytes=BLOCK)
    short = put(some_bytes(SIZE), at=origin_root, path="short.tar", block_bytes=BLOCK)
    good = put(some_bytes(SIZE), at=origin_root, path="good.tar", block_bytes=BLOCK)
    (origin_root / missing.path).unlink()
    (origin_root / short.path).write_bytes(some_bytes(SIZE)[:-1])
    with pytest.raises(DamagedOriginError, match=r"missing is not at ccat_buffer.*short ends at ccat_buffer") as e:
        pushed([missing, short, good], origin_root, there)
    assert (e.value.items, e.value.missing) == ((missing, short), (missing,))
    assert is_whole(good, origin_root, arrived_root)


def test_a_pull_goes_on_where_a_push_ended_and_the_other_way_round(there, origin_root, arrived_root):
    item = put(some_bytes(60 * MB), at=origin_root, block_bytes=BLOCK)
    first_part = pushed([item], origin_root, there, yield_after_seconds=0, pace=Slow())
    assert 0 < first_part.bytes_sent == 60 * MB - missing_bytes(item, root=arrived_root)
    origin = Origin("ccat_buffer", DiskStorage(origin_root))
    second = pull([item], origin=origin, root=arrived_root, terms=Terms(yield_after_seconds=0))
    assert second.bytes_skipped == first_part.bytes_sent
    assert not second.finished
    third = pushed([item], origin_root, there)
    assert third == Pulled(
        60 * MB - first_part.bytes_sent - second.bytes_sent, 60 * MB - third.bytes_sent, finished=True
    )
    assert is_whole(item, origin_root, arrived_root)


def test_room_is_asked_for_what_has_not_arrived_only(there, origin_root, arrived_root):
    item = put(some_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    assert missing_there([item], storage=there) == SIZE
    first, second, *_ = blocks_of(item.content)
    content = memoryview((origin_root / item.path).read_bytes())
    with PartFile(item, root=arrived_root).opened() as part:
        for block in (first, second):
            part.add(block, content[block.offset : block.end])
    assert missing_there([item], storage=there) == missing_bytes(item, root=arrived_root) == SIZE - 2 * BLOCK
    os.truncate(arrived_root / f"{item.path}.part", BLOCK)
    assert missing_there([item], storage=there) == SIZE, "the journal of another part file vouches for nothing"
    pushed([item], origin_root, there)
    assert missing_there([item], storage=there) == 0


def test_what_is_left_of_another_file_is_not_believed(there, origin_root, arrived_root):
    item = put(some_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    other = put(some_bytes(2 * SIZE, seed=2), at=origin_root, block_bytes=BLOCK)
    pushed([other], origin_root, there, yield_after_seconds=0, pace=Slow())
    put(some_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    assert pushed([item], origin_root, there) == Pulled(SIZE, 0, finished=True)
    assert is_whole(item, origin_root, arrived_root)
    assert names(arrived_root) == {"one.tar"}


def test_a_torn_line_and_a_lost_part_file_count_for_nothing(there, origin_root, arrived_root):
    item = put(some_bytes(60 * MB), at=origin_root, block_bytes=BLOCK)
    pushed([item], origin_root, there, yield_after_seconds=0, pace=Slow())
    journal, part = (arrived_root / f"{item.path}{suffix}" for suffix in (".journal", ".part"))
    kept = 60 * MB - missing_bytes(item, root=arrived_root)
    with journal.open("ab") as torn:
        torn.write(b"xxh3-128:abc 30000")
    again = pushed([item], origin_root, there, yield_after_seconds=0, pace=Slow())
    assert again.bytes_skipped == kept
    assert missing_bytes(item, root=arrived_root) == 60 * MB - kept - again.bytes_sent
    part.unlink()
    assert pushed([item], origin_root, there) == Pulled(60 * MB, 0, finished=True)
    assert is_whole(item, origin_root, arrived_root)


def test_something_else_in_the_place_of_the_part_file_is_refused(there, origin_root, arrived_root, tmp_path):
    item = put(some_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    (arrived_root / item.path).parent.mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    (arrived_root / f"{item.path}.part").symlink_to(outside)
    with pytest.raises(DtsError, match="it is no regular file"):
        pushed([item], origin_root, there)
    assert outside.read_bytes() == b"precious"


def test_it_stops_at_once_when_it_is_told_to(there, origin_root, arrived_root):
    item = put(some_bytes(60 * MB), at=origin_root, block_bytes=BLOCK)

    def stop() -> None:
        raise LeaseLostError("somebody else has it")

    with pytest.raises(LeaseLostError):
        pushed([item], origin_root, there, check=stop)
    assert pushed([item], origin_root, there).finished
    assert is_whole(item, origin_root, arrived_root)


def test_two_at_once_do_not_hurt_each_other(there, origin_root, arrived_root):
    items = [put(some_bytes(SIZE, seed=n), at=origin_root, path=f"{n}.tar", block_bytes=BLOCK) for n in range(6)]
    failures: list[Exception] = []

    def go() -> None:
        try:
            pushed(items, origin_root, SftpStorage(there.address))
        except TransientError as error:  # the other one was quicker with a name
            failures.append(error)

    both = [threading.Thread(target=go) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(failures) < 2
    assert pushed(items, origin_root, there).finished
    assert all(is_whole(item, origin_root, arrived_root) for item in items)
    assert names(arrived_root) == {f"{n}.tar" for n in range(6)}


def test_it_waits_for_the_pace(there, origin_root):
    item = put(some_bytes(10 * LUMP_BYTES), at=origin_root, block_bytes=BLOCK)

    class Counting:
        lumps = 0

        async def acquire(self, size_bytes: int) -> None:
            self.lumps += size_bytes // LUMP_BYTES

    pace = Counting()
    assert pushed([item], origin_root, there, pace=pace).finished
    assert pace.lumps == 10


def test_a_closed_road_is_no_trouble(there, origin_root):
    class Closed:
        async def acquire(self, size_bytes: int) -> None:
            await asyncio.to_thread(opens.wait)

    opens = threading.Event()
    timer = threading.Timer(1.5, opens.set)
    timer.start()
    item = put(some_bytes(LUMP_BYTES), at=origin_root, block_bytes=BLOCK)
    assert pushed([item], origin_root, there, pace=Closed(), patience_seconds=0.5).finished
    timer.join()


def test_it_tells_how_many_connections_it_uses_and_why(there, origin_root):
    item = put(some_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    told: list[Decision] = []
    pushed([item], origin_root, there, on_decision=told.append)
    assert told[0].why.startswith(f"{told[0].streams} connections: ")
    told.clear()
    pushed([put(b"b", at=origin_root, path="b")], origin_root, there, on_decision=told.append,
           remembered_streams=5)  # fmt: skip
    assert told[0].streams == 5


def test_as_many_connections_as_the_servers_window_asks_for():
    long = first(round_trip_seconds=0.25, host=Host(67_108_864, "bbr"))
    assert long.streams == 16
    assert "2 MiB" in long.why
    assert first(round_trip_seconds=0.25, host=Host(6_291_456, "cubic")).streams >= 2 * long.streams
    assert first(round_trip_seconds=0.02, host=Host(67_108_864, "bbr")).streams == 4


@pytest.fixture
def order(there, origin_root, tmp_path):
    items = [
        put(some_bytes(64 * MB, seed=n), at=origin_root, path=f"{n}.tar", block_bytes=4 * MB) for n in range(4)
    ]  # fmt: skip
    order = {
        "items": [(item.path, item.content.model_dump(mode="json")) for item in items],
        "address": asdict(there.address),
        "origin": str(origin_root),
    }
    (tmp_path / "order.json").write_text(json.dumps(order))
    return items


def started(tmp_path: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.transfer.push_once", tmp_path / "order.json"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until_closed(root: Path) -> None:
    """What a client that is gone had sent may still be on its way into the server's files."""
    until = time.monotonic() + 20
    while any(target.startswith(str(root)) for target in open_files()):
        assert time.monotonic() < until, "the server still has files open"
        time.sleep(0.02)


def open_files() -> Iterator[str]:
    """Of all processes that may be looked at."""
    for one in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            yield str(one.readlink())


def test_killed_in_the_middle_it_sends_again_only_what_was_not_kept(order, tmp_path, origin_root, arrived_root):
    process = started(tmp_path)
    for _ in range(12):
        assert " kept," in next(line for line in process.stderr if "kept" in line)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_until_closed(arrived_root)
    left = sum(missing_bytes(item, root=arrived_root) for item in order)
    assert 0 < left <= 4 * 64 * MB - 12 * 4 * MB
    again = started(tmp_path)
    out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    found = json.loads(out)
    assert (found["sent"], found["finished"]) == (left, True)
    assert all(is_whole(item, origin_root, arrived_root) for item in order)
    assert names(arrived_root) == {f"{n}.tar" for n in range(4)}
    assert found["peak_kb"] < 300_000
