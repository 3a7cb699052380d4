"""A pull that one core is too little for goes on in two processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from include.errors import LeaseLostError
from include.integrity.checksum import Hasher
from include.integrity.manifest import PackageManifest
from include.sandbox.sftp import RunningSftp, Sftp, default_implementation
from include.storage.sftp import SftpStorage
from include.transfer import by_two, core, pull_engine
from include.transfer.adapt import Decision
from include.transfer.blocks import blocks_of
from include.transfer.core import Core
from include.transfer.halves import halves
from include.transfer.part_file import PartFile
from include.transfer.pool import close_connections
from include.transfer.pulled import DamagedOriginError, Progress, Pulled
from include.transfer.second import Second
from tests.transfer.cable import UnevenCable
from tests.transfer.conftest import shown
from tests.transfer.moving import is_whole, names, pulled
from tests.transfer.samples import put, some_bytes

MB = 1_000_000
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSftp]:
    with Sftp.running(tmp_path_factory.mktemp("sftp"), implementation=default_implementation()) as server:
        yield server
        close_connections()


@pytest.fixture
def cable(server: RunningSftp) -> Iterator[UnevenCable]:
    """30 MB/s with the two connections of a near server, so that something is left for a second process."""
    with closing(UnevenCable(server.port, slow=15 * MB, usual=15 * MB)) as cable:
        yield cable


@pytest.fixture
def served(server: RunningSftp, cable: UnevenCable, origin_root: Path) -> Iterator[SftpStorage]:
    with closing(shown(server, cable, origin_root)) as storage:
        yield storage


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> list[Second]:
    """One core is too little for anything; the second processes that were begun."""
    begun: list[Second] = []

    class Begun(Second):
        def __init__(self, task: pull_engine.PullTask) -> None:
            super().__init__(task)
            begun.append(self)

    monkeypatch.setattr(by_two, "Second", Begun)
    monkeypatch.setattr(core, "FULL_SECONDS", 0.2)
    monkeypatch.setattr(core, "FULL", 0.0)
    monkeypatch.setattr(core, "IDLE_CORES", -1.0)
    monkeypatch.setattr(pull_engine, "WORTH_BYTES", 5 * MB)
    return begun


@pytest.fixture
def items(origin_root: Path):
    large = put(some_bytes(40 * MB + 77), at=origin_root, path="large.tar", block_bytes=MB)
    return [
        large,
        *(put(some_bytes(MB // 2, seed=n), at=origin_root, path=f"{n}.tar", block_bytes=MB) for n in range(3)),
    ]


SIZE = 40 * MB + 77 + 3 * (MB // 2)


def test_two_processes_bring_a_half_each_and_a_sentence_says_why(served, items, origin_root, arrived_root, second):
    decisions: list[Decision] = []
    steps: list[Progress] = []
    done = pulled(
        items, served, arrived_root, on_decision=decisions.append, on_progress=steps.append, remembered_streams=2
    )
    assert done == Pulled(SIZE, 0, finished=True)
    assert all(is_whole(item, origin_root, arrived_root) for item in items)
    assert names(arrived_root) == {Path(item.path).name for item in items}
    (process,) = second
    assert process.bytes_sent > SIZE / 4
    told = [decision for decision in decisions if "a second process" in decision.why]
    assert len(told) == 1
    assert "one core is full" in told[0].why
    assert told[0].streams == 2
    assert [step.bytes_sent for step in steps] == sorted(step.bytes_sent for step in steps)
    assert max(step.bytes_sent for step in steps) == SIZE


def test_what_a_second_process_that_died_left_is_brought_all_the_same(served, items, origin_root, arrived_root, second):
    def kill(_: Progress) -> None:
        if second and second[0].bytes_sent:
            second[0]._process.kill()

    done = pulled(items, served, arrived_root, on_progress=kill)
    assert (done.bytes_sent + done.bytes_skipped, done.finished) == (SIZE, True)
    assert all(is_whole(item, origin_root, arrived_root) for item in items)
    assert second[0].bytes_sent < SIZE / 2


def test_whoever_stops_the_one_stops_the_other(served, items, arrived_root, second):
    def check() -> None:
        if second and second[0].bytes_sent:
            raise LeaseLostError("somebody else has it")

    with pytest.raises(LeaseLostError):
        pulled(items, served, arrived_root, check=check)
    assert second[0]._process.poll() is not None
    assert pulled(items[:1], served, arrived_root).bytes_skipped > 0


def test_what_is_damaged_in_either_half_is_named(served, items, origin_root, arrived_root, second):
    lies = [bytearray((origin_root / item.path).read_bytes()) for item in items]
    lies[0][38 * MB] ^= 0xFF
    lies[3][5] ^= 0xFF
    for item, content in zip(items, lies, strict=True):
        (origin_root / item.path).write_bytes(content)
    with pytest.raises(DamagedOriginError) as caught:
        pulled(items, served, arrived_root)
    assert second
    assert {item.path for item in caught.value.items} == {"large.tar", "2.tar"}
    assert all(is_whole(item, origin_root, arrived_root) for item in items[1:3])


@pytest.mark.slow
def test_it_hands_back_when_time_is_up(served, items, arrived_root, second):
    done = pulled(items, served, arrived_root, yield_after_seconds=0.6)
    assert second
    assert not done.finished
    assert 0 < done.bytes_sent < SIZE
    again = pulled(items, served, arrived_root)
    assert (again.bytes_sent, again.finished) == (SIZE - done.bytes_sent, True)


@pytest.mark.slow
def test_little_and_what_is_held_to_a_timetable_stays_in_one_process(served, items, arrived_root, second, monkeypatch):
    class Free:
        async def acquire(self, size_bytes: int) -> None:
            pass

    assert pulled(items[:1], served, arrived_root, pace=Free()).finished
    (arrived_root / items[0].path).unlink()
    monkeypatch.setattr(pull_engine, "WORTH_BYTES", SIZE + 1)
    assert pulled(items, served, arrived_root).finished
    assert second == []


def test_what_is_missing_is_halved(origin_root, arrived_root):
    large = put(some_bytes(10_000), at=origin_root, path="large.tar", block_bytes=1000)
    small = [put(some_bytes(900, seed=n), at=origin_root, path=f"{n}.tar") for n in range(2)]
    with PartFile(large, root=arrived_root).opened() as part:
        for block in blocks_of(large.content)[:4]:
            part.add(block, memoryview(some_bytes(10_000)[block.offset : block.end]))
    first, second = halves([large, *small], root=arrived_root)
    assert [(item.path, item.portion) for item in first] == [("large.tar", (0, 8))]
    assert [(item.path, item.portion) for item in second] == [("large.tar", (8, 10)), ("0.tar", None), ("1.tar", None)]
    first, second = halves(small, root=arrived_root)
    assert ([item.path for item in first], [item.path for item in second]) == (["0.tar"], ["1.tar"])


def burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def said_by(measured: Core, *, burns: float) -> str | None:
    """After 10 s in which the thread has used so many of the processor."""
    measured.full(100.0)
    burn(burns)
    return measured.full(110.0)


def test_a_core_is_full_where_the_thread_uses_it_and_another_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "FULL", 0.02)
    idle = iter(range(0, 1000, 30))
    monkeypatch.setattr(core, "_idle_seconds", lambda: next(idle))
    assert "for 10 s) and 3 others had nothing to do" in (said_by(Core(), burns=0.25) or "")
    assert said_by(Core(), burns=0.0) is None
    assert Core().full(100.0) is None, "it has only begun"
    monkeypatch.setattr(core, "_idle_seconds", lambda: 7.0)
    assert said_by(Core(), burns=0.25) is None, "all others are busy"


def test_the_idle_time_of_all_cores_is_read() -> None:
    before = core._idle_seconds()
    assert 0 < before <= time.clock_gettime(time.CLOCK_BOOTTIME) * (os.cpu_count() or 1) * 2


LARGE = """
import json, sys
from pathlib import Path
from include.integrity.manifest import PackageManifest
from include.storage.sftp import SftpStorage
from include.storage.sftp_connection import SftpAddress
from include.transfer import core, pull_engine
from include.transfer.blocks import Item
from include.transfer.pull import pull
from include.transfer.pulled import Origin
order = json.loads(sys.argv[1])
core.FULL_SECONDS, core.FULL, core.IDLE_CORES, pull_engine.WORTH_BYTES = 0.2, 0.0, -1.0, 0
item = Item("large.tar", PackageManifest.model_validate(order["content"]))
origin = Origin("ccat_buffer", SftpStorage(SftpAddress(**order["address"])))
assert pull([item], origin=origin, root=Path(order["root"])).finished
"""
BLOCK = 64 * 1024 * 1024
BLOCKS = 14


@pytest.fixture
def large(
    origin_root: Path, server: RunningSftp, served: SftpStorage, arrived_root: Path
) -> "Iterator[subprocess.Popen[bytes]]":
    """A pull of a package of 0.9 GB, in a process of its own, which finds at once that a core is too little for it."""
    with (origin_root / "large.tar").open("wb") as file:
        file.truncate(BLOCKS * BLOCK)
    hasher = Hasher()
    hasher.update(bytes(BLOCK))
    content = PackageManifest(
        name="large",
        size_bytes=BLOCKS * BLOCK,
        checksum="xxh3-128:" + 32 * "0",
        block_bytes=BLOCK,
        block_checksums=(hasher.value(),) * BLOCKS,
        members=(),
    )
    order = {
        "content": content.model_dump(mode="json"),
        "address": asdict(replace(served.address, port=server.port)),
        "root": str(arrived_root),
    }
    running = subprocess.Popen([sys.executable, "-c", LARGE, json.dumps(order)], cwd=ROOT)
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def second_of(running: "subprocess.Popen[bytes]") -> int | None:
    """The process that another one has begun, once there is one."""
    children = Path(f"/proc/{running.pid}/task").glob("*/children")
    with suppress(OSError):
        return next((int(pid) for file in children for pid in file.read_text().split()), None)
    return None


def resident_mb(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / MB
    return 0.0


@pytest.mark.slow
def test_both_together_use_no_more_memory_than_a_transfer_may(large, arrived_root):
    most, pid = 0.0, None
    while large.poll() is None:
        pid = second_of(large) or pid
        most = max(most, resident_mb(large.pid) + (resident_mb(pid) if pid else 0.0))
        time.sleep(0.02)
    assert large.returncode == 0
    assert pid is not None
    assert most < 300
    assert (arrived_root / "large.tar").stat().st_size == BLOCKS * BLOCK


@pytest.mark.slow
def test_the_second_process_ends_when_the_first_is_killed(large):
    while (pid := second_of(large)) is None:
        assert large.poll() is None
        time.sleep(0.02)
    os.kill(large.pid, signal.SIGKILL)
    until = time.monotonic() + 20
    while "Z" not in status_of(pid):
        assert time.monotonic() < until
        time.sleep(0.02)


def status_of(pid: int) -> str:
    """Z: it has ended, whether anybody has noticed or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
