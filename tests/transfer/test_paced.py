"""A pull that is paced keeps to its rate, and takes what the rate allows: over real connections, and on one host."""

import threading
import time

import pytest

from include.storage.disk import DiskStorage
from include.transfer.blocks import Item
from include.transfer.pace import SAVED_SECONDS, SharedPace
from include.transfer.pull import pull
from include.transfer.pulled import Origin
from include.transfer.terms import Terms
from tests.transfer.moving import is_whole, pulled
from tests.transfer.samples import CountingStorage, put, some_bytes

MIB = 1024 * 1024


class InMemory:
    """A route's time, shared by the threads of one process."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._until = time.monotonic()
        self._lock = threading.Lock()

    def rate(self) -> float:
        return self._rate

    def promise(self, seconds: float) -> float:
        with self._lock:
            now = time.monotonic()
            begins_at = max(self._until, now - SAVED_SECONDS)
            self._until = begins_at + seconds
            return begins_at - now


def test_a_pull_takes_what_its_pace_allows_and_no_more(served, origin_root, arrived_root):
    content = some_bytes(8 * MIB) * 5
    item = put(content, at=origin_root, block_bytes=MIB)
    pace = SharedPace(InMemory(10 * MIB))
    began = time.monotonic()
    assert pull([item], origin=Origin("ccat_buffer", served), root=arrived_root, terms=Terms(pace=pace)).finished
    seconds = time.monotonic() - began
    pace.close()
    assert (arrived_root / item.path).read_bytes() == content
    assert seconds == pytest.approx(4.0, abs=0.8)


@pytest.mark.parametrize("of", [DiskStorage, CountingStorage])
def test_what_needs_no_connection_is_held_to_the_timetable_too(of, origin_root, arrived_root):
    """The kernel copies, or one stream comes from elsewhere: it is the same route, and others use it as well."""
    rate = 10 * MIB
    items = [put(some_bytes(8 * MIB, seed=n), at=origin_root, path=f"{n}.tar", block_bytes=3 * MIB) for n in range(2)]
    pace = SharedPace(InMemory(rate))
    began = time.monotonic()
    assert pulled(items, of(origin_root), arrived_root, pace=pace).finished
    seconds = time.monotonic() - began
    pace.close()
    assert all(is_whole(item, origin_root, arrived_root) for item in items)
    assert seconds >= 16 * MIB / rate - 2 * SAVED_SECONDS


@pytest.mark.slow
def test_two_pulls_together_are_within_5_percent_of_the_timetable(served, cable, origin_root, arrived_root):
    """All that comes over the connections."""
    rate = 16 * MIB
    items = [put(some_bytes(MIB, seed=n) * 96, at=origin_root, path=f"{n}.tar", block_bytes=8 * MIB) for n in (1, 2)]
    route = InMemory(rate)

    def pull_one(item: Item) -> None:
        pace = SharedPace(route)
        assert pulled([item], served, arrived_root, pace=pace).finished
        pace.close()

    threads = [threading.Thread(target=pull_one, args=(item,)) for item in items]
    for thread in threads:
        thread.start()
    moments = []
    for size_bytes in (16 * MIB, 160 * MIB):
        while cable.carried_bytes < size_bytes:
            assert any(thread.is_alive() for thread in threads)
            time.sleep(0.01)
        moments.append(time.monotonic())
    for thread in threads:
        thread.join()
    assert all(is_whole(item, origin_root, arrived_root) for item in items)
    assert 144 * MIB / (moments[1] - moments[0]) == pytest.approx(rate, rel=0.05)
