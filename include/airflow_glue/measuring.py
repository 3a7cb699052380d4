"""Looking at a lane's location: by whoever works there, and by a batch without operations where nobody does."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from include.airflow_glue.connections import engine, open_storage, this_host, topology
from include.airflow_glue.workers import is_listened_to
from include.lanes import Lane
from include.lifecycle.measuring import measure, somebody_should_look
from include.ops_db.measurements import PAUSE_SECONDS


@contextmanager
def measured(lane: Lane) -> Iterator[None]:
    """Look at the lane's location before the block, and after it if it took a while."""
    began = time.monotonic()
    _measure(lane)
    try:
        yield
    finally:
        if time.monotonic() - began > PAUSE_SECONDS:
            _measure(lane)


def batches_to_measure(lane: Lane) -> list[list[int]]:
    """Return a batch without operations if a host of the lane should look at its location now, else none."""
    look = somebody_should_look(
        engine(),
        location=lane.location,
        due_seconds=0.9 * topology().policy.clock_seconds,
        is_listened_to=lambda: is_listened_to(lane),
        asks=this_host(),
    )
    return [[]] if look else []


def _measure(lane: Lane) -> None:
    name = lane.location.full_name
    measure(engine(), location=lane.location, storage=lambda: open_storage(name), host=this_host())
