"""Connections that outlive a transfer, those too that are still being made when it ends."""

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from include.storage.sftp import SftpStorage
from include.storage.sftp_connection import SftpAddress
from include.transfer.connect import Line
from include.transfer.fleet import Fleet
from include.transfer.pool import Pool


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.loop.run(pool.close())
    pool.loop.stop()


@dataclass(eq=False)
class Member:
    """A connection that is given no work."""

    line: Line
    is_leaving: bool = False
    begun_at: float = 0.0
    rate: float = 0.0

    def measure(self, now: float) -> None:
        pass

    def silent_seconds(self, now: float) -> float:
        return 0.0


class Watched:
    """A fleet, and what it heard. Made in the pool's loop."""

    def __init__(self, address: SftpAddress, *, pool: Pool) -> None:
        self.joined: asyncio.Queue[Member] = asyncio.Queue()
        self.reached: asyncio.Queue[float] = asyncio.Queue()
        self.fleet: Fleet[Member] = Fleet(
            address,
            pool=pool,
            made=Member,
            joined=self.joined.put_nowait,
            reached=self.reached.put_nowait,
        )


def test_what_is_logging_in_when_a_transfer_ends_is_there_for_the_next(served: SftpStorage, cable, pool):
    async def two_transfers() -> tuple[Watched, Watched]:
        first, second = (Watched(served.address, pool=pool) for _ in range(2))
        first.fleet.start(2)
        await first.reached.get()
        first.fleet.end()
        second.fleet.start(2)
        for _ in range(2):
            await second.joined.get()
        second.fleet.end()
        return first, second

    first, second = pool.loop.run(two_transfers())
    assert cable.connections == 2
    assert first.joined.empty()
    assert (first.fleet.streams, second.fleet.streams) == ([], [])


def test_what_nobody_took_over_becomes_idle(served: SftpStorage, cable, pool, monkeypatch):
    kept = asyncio.Event()
    keep = pool.keep
    monkeypatch.setattr(pool, "keep", lambda address, line: (keep(address, line), kept.set()))

    async def one_transfer_and_later_another() -> Line:
        first, second = (Watched(served.address, pool=pool) for _ in range(2))
        first.fleet.start(1)
        await first.reached.get()
        first.fleet.end()
        await kept.wait()
        second.fleet.start(1)
        second.fleet.end()
        return (await second.joined.get()).line

    assert pool.loop.run(one_transfer_and_later_another()).is_usable
    assert cable.connections == 1


def test_what_fails_after_the_end_is_forgotten(served: SftpStorage, cable, pool, caplog):
    cable.close()

    async def one_transfer_and_the_next() -> None:
        first = Watched(served.address, pool=pool)
        first.fleet.start(3)
        first.fleet.end()
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
        assert first.fleet.trouble is None
        assert (pool.take(served.address), pool.take_coming(served.address)) == (None, None)

    pool.loop.run(one_transfer_and_the_next())
    assert not caplog.records


def test_the_pool_ends_what_is_still_logging_in(served: SftpStorage, caplog):
    """As at the end of a process: the server never says a word, and nobody waits for it."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = replace(served.address, port=mute.getsockname()[1])
        pool = Pool()

        async def a_transfer_that_ends_early() -> None:
            watched = Watched(address, pool=pool)
            watched.fleet.start(1)
            await watched.reached.get()
            watched.fleet.end()

        pool.loop.run(a_transfer_that_ends_early())
        near, _ = mute.accept()
        with near:
            pool.loop.run(pool.close())
            near.settimeout(5)
            while near.recv(4096):  # its greeting
                pass
        pool.loop.stop()
    assert not caplog.records


def test_of_too_many_connections_the_slowest_leave(served: SftpStorage, pool):
    async def three_and_then_one() -> list[tuple[float, bool]]:
        watched = Watched(served.address, pool=pool)
        watched.fleet.start(3)
        members = [await watched.joined.get() for _ in range(3)]
        for member, rate in zip(members, (5.0, 9.0, 1.0), strict=True):
            member.rate = rate
        watched.fleet.wanted = 2
        watched.fleet.fill()
        watched.fleet.wanted = 1
        watched.fleet.fill()
        watched.fleet.fill()
        watched.fleet.end()
        return [(member.rate, member.is_leaving) for member in members]

    assert pool.loop.run(three_and_then_one()) == [(5.0, True), (9.0, False), (1.0, True)]
