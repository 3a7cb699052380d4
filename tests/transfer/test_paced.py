"""A pull over real connections that is paced keeps to its rate, and takes what the rate allows."""

import threading
import time

import pytest

from include.transfer.pace import SAVED_SECONDS, SharedPace
from include.transfer.pull import pull
from include.transfer.pulled import Origin
from include.transfer.terms import Terms
from tests.transfer.samples import put, some_bytes

MIB = 1024 * 1024


class InMemory:
    """A route's time, shared by the threads of one process."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._until = 0.0
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
