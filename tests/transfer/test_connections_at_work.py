"""What connections are for: many under way at once, none idle between packages, none waited for that is slow."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from include.sandbox.sftp import RunningSftp
from include.storage.sftp import SftpStorage
from include.transfer import fleet
from include.transfer.fleet import Fleet
from include.transfer.pool import Pool
from tests.transfer.cable import LongCable, UnevenCable
from tests.transfer.conftest import shown
from tests.transfer.moving import is_whole, pulled
from tests.transfer.samples import put, some_bytes
from tests.transfer.test_pool import Member

MB = 1_000_000


@pytest.fixture
def long_cable(server: RunningSftp) -> Iterator[LongCable]:
    """A round trip takes 0.1 s."""
    with closing(LongCable(server.port, delay_seconds=0.05)) as cable:
        yield cable


@pytest.fixture
def uneven_cable(server: RunningSftp) -> Iterator[UnevenCable]:
    with closing(UnevenCable(server.port, slow=50_000, usual=10 * MB)) as cable:
        yield cable


@pytest.fixture
def shown_over(server: RunningSftp, origin_root: Path) -> Iterator[Callable[..., SftpStorage]]:
    """The folder `origin_root`, through any cable."""
    storages: list[SftpStorage] = []

    def over(cable) -> SftpStorage:
        storages.append(shown(server, cable, origin_root))
        return storages[-1]

    yield over
    for storage in storages:
        storage.close()


def accepted(listening: socket.socket) -> int:
    """How many connections have come since the last look."""
    found = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            listening.accept()[0].close()
            found += 1
    return found


def test_connects_are_overlapped_but_never_more_than_an_openssh_server_takes(served: SftpStorage):
    """The server takes every connection and says no word: each further connect has to be begun without the others."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as mute:
        mute.setblocking(False)
        address = replace(served.address, port=mute.getsockname()[1])
        pool = Pool()

        async def connect(wanted: int) -> None:
            reached: asyncio.Queue[float] = asyncio.Queue()
            many: Fleet[Member] = Fleet(
                address, pool=pool, made=Member, joined=lambda _: None, reached=reached.put_nowait
            )
            many.start(wanted)
            for _ in range(min(wanted, fleet.DIALS)):
                await asyncio.wait_for(reached.get(), 10)
            many.fill()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reached.get(), 0.2)  # one more would be one too many
            many.end()
            await pool.close()

        pool.loop.run(connect(6))
        assert accepted(mute) == 6
        pool.loop.run(connect(40))
        assert accepted(mute) == fleet.DIALS
        pool.loop.stop()


def test_no_round_trip_is_waited_for_between_one_package_and_the_next(
    shown_over, long_cable, origin_root, arrived_root
):
    items = [put(some_bytes(MB // 10, seed=n), at=origin_root, path=f"{n}.tar", block_bytes=MB) for n in range(60)]
    began = time.monotonic()
    assert pulled(items, shown_over(long_cable), arrived_root, most_streams=1).finished
    assert time.monotonic() - began < 6, "to open and to read 60 packages one by one takes 12 s"
    assert all(is_whole(item, origin_root, arrived_root) for item in items)


def test_a_connection_has_far_more_under_way_than_the_usual_window_of_2_mib(
    server, shown_over, origin_root, arrived_root
):
    item = put(some_bytes(20 * MB), at=origin_root, block_bytes=10 * MB)
    # So long that the window is the limit, and not how fast a busy machine sends.
    with closing(LongCable(server.port, delay_seconds=0.2)) as cable:
        assert pulled([item], shown_over(cable), arrived_root, most_streams=1).finished
        assert cable.most_on_its_way > 6 * MB


def test_what_a_slow_connection_was_given_is_done_by_the_others(shown_over, uneven_cable, origin_root, arrived_root):
    items = [put(some_bytes(20 * MB, seed=n), at=origin_root, path=f"{n}.tar", block_bytes=5 * MB) for n in range(3)]
    began = time.monotonic()
    storage = shown_over(uneven_cable)
    assert pulled(items, storage, arrived_root, most_streams=4, remembered_streams=4).finished
    assert uneven_cable.slowly_bytes > 50_000, "it had a part in it"
    assert time.monotonic() - began < 20, "alone it would need 50 s for what it was given"
    assert all(is_whole(item, origin_root, arrived_root) for item in items)
