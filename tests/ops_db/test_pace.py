"""Pacing: all transfers of a route together are held to its timetable, whatever process they run in."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.orm import Session

from include.ops_db.apply import apply_topology
from include.ops_db.routes import RoutePromises, RouteTimetable, SharedRoute, shared_route
from include.routes import MovedBy, Route
from include.transfer import pace as pace_module
from include.transfer.pace import LUMP_BYTES, SharedPace
from tests.observatory import Observatory
from tests.ops_db.drawing import draw, route

MBIT = 125_000


@pytest.fixture
def route_id(observatory: Observatory) -> int:
    known = shared(observatory)
    assert known == shared(observatory)
    assert known.streams is None
    return known.id


def shared(
    observatory: Observatory, *, origin: str = "ccat_buffer", destination: str = "cologne_buffer"
) -> SharedRoute:
    with Session(observatory.engine) as session, session.begin():
        return shared_route(session.connection(), origin=origin, destination=destination)


def promises(engine: Engine, route_id: int, *, mbit: float | None) -> RoutePromises:
    return RoutePromises(engine, route_id, RouteTimetable(route(mbit)))


def drawn_by_processes(
    url: str, route_id: int, *, mbit: float, seconds: float, round_trips: list[float]
) -> list[list[tuple[float, int]]]:
    command = [sys.executable, "-m", "tests.ops_db.drawing", url, str(route_id), str(mbit), str(seconds)]
    running = [
        subprocess.Popen([*command, str(trip)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for trip in round_trips
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=seconds + 30)[0] for process in running]
    return [[(float(w), int(n)) for w, n in (line.split() for line in output.splitlines())] for output in outputs]


def rate_of(drawn: list[tuple[float, int]]) -> float:
    """Bytes a second from the first lump to the last, the first not counted."""
    drawn = sorted(drawn)
    return sum(size for _, size in drawn[1:]) / (drawn[-1][0] - drawn[0][0])


@pytest.mark.slow
def test_three_processes_together_get_what_the_timetable_allows(route_id: int, ops_db_url: str) -> None:
    """Two near ops-db, one across an ocean; the whole, its start included, is within 5 %."""
    each = drawn_by_processes(ops_db_url, route_id, mbit=800, seconds=20, round_trips=[0.0, 0.0, 0.25])
    together = sum(size for drawn in each for _, size in drawn) / 20
    assert together == pytest.approx(800 * MBIT, rel=0.05)
    assert rate_of([one for drawn in each for one in drawn]) == pytest.approx(800 * MBIT, rel=0.05)
    # None of them goes away empty, however far it is.
    assert min(rate_of(drawn) for drawn in each) > 800 * MBIT / 3 / 3


@pytest.mark.slow
def test_one_process_across_an_ocean_gets_all_that_the_timetable_allows(route_id: int, ops_db_url: str) -> None:
    [drawn] = drawn_by_processes(ops_db_url, route_id, mbit=400, seconds=10, round_trips=[0.25])
    assert rate_of(drawn) == pytest.approx(400 * MBIT, rel=0.05)


def test_an_idle_hour_saves_up_no_more_than_a_moment(observatory: Observatory, route_id: int) -> None:
    with observatory.engine.begin() as connection:
        connection.execute(text("update data_transfer_route set promised_until = now() - interval '1 hour'"))
    pace = SharedPace(promises(observatory.engine, route_id, mbit=400))
    began = time.time()
    drawn = asyncio.run(draw(pace, seconds=3))
    for seconds in (0.5, 1, 2, 3):
        had = sum(size for when, size in drawn if when < began + seconds)
        assert had <= 400 * MBIT * (seconds + 1.0)


def test_few_statements_are_asked_and_none_without_a_timetable(observatory: Observatory, route_id: int) -> None:
    with statements(observatory.engine) as asked:
        asyncio.run(draw(SharedPace(promises(observatory.engine, route_id, mbit=400)), seconds=3))
    assert 4 <= len(asked) <= 10

    async def unheld() -> None:
        pace = SharedPace(promises(observatory.engine, route_id, mbit=None))
        for _ in range(1000):
            await pace.acquire(LUMP_BYTES)

    with statements(observatory.engine) as asked:
        asyncio.run(unheld())
    assert asked == []


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """Note what is asked during a with block."""
    asked: list[str] = []

    def note(*args: object) -> None:
        asked.append(str(args[2]))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_a_change_of_the_timetable_holds_within_two_seconds(observatory: Observatory, route_id: int) -> None:
    timetable = RouteTimetable(route(800))
    pace = SharedPace(RoutePromises(observatory.engine, route_id, timetable))

    async def through_a_change() -> list[tuple[float, int]]:
        loop = asyncio.get_running_loop()
        loop.call_later(2, timetable.change, route(80))
        return await draw(pace, seconds=8)

    began = time.time()
    drawn = asyncio.run(through_a_change())
    before = sum(size for when, size in drawn if when < began + 2)
    after = sum(size for when, size in drawn if when >= began + 4)
    assert before == pytest.approx(2 * 800 * MBIT, rel=0.3)
    assert after == pytest.approx(4 * 80 * MBIT, rel=0.15)


class NoAnswer(RoutePromises):
    """Ops-db that answers no more from some moment on."""

    is_away = False
    hangs = False

    def promise(self, seconds: float) -> float:
        if self.is_away:
            if self.hangs:
                time.sleep(4)
            raise ConnectionError("ops-db is away")
        return super().promise(seconds)


@pytest.mark.slow
@pytest.mark.parametrize("hangs", [False, True])
def test_while_ops_db_is_away_a_transfer_goes_on_with_its_share(
    observatory: Observatory, route_id: int, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    """Two share a route; ops-db goes away; the sum stays what it was, and nothing stops. Then it comes back."""
    monkeypatch.setattr(pace_module, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(pace_module, "AGAIN_SECONDS", 0.5)
    timetable = RouteTimetable(route(400))
    both = [NoAnswer(observatory.engine, route_id, timetable) for _ in range(2)]
    seconds = 16

    async def through_an_outage() -> list[tuple[float, int]]:
        loop = asyncio.get_running_loop()
        for one in both:
            object.__setattr__(one, "hangs", hangs)
            loop.call_later(4, object.__setattr__, one, "is_away", True)
            loop.call_later(8, object.__setattr__, one, "is_away", False)
        each = await asyncio.gather(*(draw(SharedPace(one), seconds=seconds) for one in both))
        return [one for drawn in each for one in drawn]

    began = time.time()
    drawn = asyncio.run(through_an_outage())
    away = sum(size for when, size in drawn if began + 5.5 < when < began + 8)
    assert 0.6 * 2.5 * 400 * MBIT < away < 1.15 * 2.5 * 400 * MBIT
    back = sum(size for when, size in drawn if began + seconds - 4 < when)
    assert back == pytest.approx(4 * 400 * MBIT, rel=0.1)


def test_a_process_that_never_had_an_answer_takes_a_quarter(
    observatory: Observatory, route_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace_module, "PATIENCE_SECONDS", 0.5)
    url = observatory.engine.url.set(host="127.0.0.1", port=1)
    nowhere = create_engine(url, connect_args={"connect_timeout": 2})
    drawn = asyncio.run(draw(SharedPace(promises(nowhere, route_id, mbit=400)), seconds=4))
    assert rate_of(drawn) == pytest.approx(100 * MBIT, rel=0.1)


def test_the_applied_topology_says_what_holds_on_a_route(observatory: Observatory) -> None:
    paced = observatory.topology.model_copy(update={"routes": (route(400),)})
    before = shared(observatory)
    assert before.route.timetable == ()
    with Session(observatory.engine) as session, session.begin():
        apply_topology(session, paced, applied_by="tests")
    after = shared(observatory)
    assert after.route == route(400)
    assert after.topology_version != before.topology_version
    assert shared(observatory, destination="us_buffer").route.timetable == ()


def test_all_buffers_of_a_site_share_the_time_of_the_one_that_a_timetable_names(observatory: Observatory) -> None:
    """Transfers land in the second buffer while the first is full; those under way to the first go on."""
    first = observatory.topology.location("cologne_buffer")
    second = first.model_copy(update={"name": "buffer2", "priority": first.priority + 1})
    with Session(observatory.engine) as session, session.begin():
        locations = (*observatory.topology.data_locations, second)
        topology = observatory.topology.model_copy(update={"data_locations": locations, "routes": (route(400),)})
        apply_topology(session, topology, applied_by="tests")
    named, other, elsewhere = (
        shared(observatory, destination=place) for place in ("cologne_buffer", "cologne_buffer2", "us_buffer")
    )
    assert len({named.id, other.id, elsewhere.id}) == 3, "each remembers its own connections"
    assert (named.paced_by_id, other.paced_by_id) == (named.id, named.id)
    assert elsewhere.paced_by_id == elsewhere.id
    assert other == shared(observatory, destination="cologne_buffer2")
    assert other.route.timetable == route(400).timetable


def test_all_buffers_of_a_site_share_the_time_of_the_one_that_a_timetable_leaves_from(observatory: Observatory) -> None:
    """A way with an entry of its own keeps its own; a direct route holds for nobody else."""
    first = observatory.topology.location("ccat_buffer")
    others = tuple(first.model_copy(update={"name": name, "priority": 9}) for name in ("buffer2", "buffer3"))
    own = Route(from_location="ccat_buffer3", to_location="cologne_buffer")
    direct = Route(from_location="ccat_buffer2", to_location="cologne_archive", moved_by=MovedBy.DIRECT)
    topology = observatory.topology.model_copy(
        update={
            "data_locations": (*observatory.topology.data_locations, *others),
            "routes": (direct, route(400), own),
        }
    )
    with Session(observatory.engine) as session, session.begin():
        apply_topology(session, topology, applied_by="tests")
    named, second, third = (shared(observatory, origin=f"ccat_buffer{number}") for number in ("", 2, 3))
    assert len({named.id, second.id, third.id}) == 3
    assert (named.paced_by_id, second.paced_by_id, third.paced_by_id) == (named.id, named.id, third.id)
    assert (second.route.timetable, third.route.timetable) == (route(400).timetable, ())
    assert second == shared(observatory, origin="ccat_buffer2")
    for origin, known in (("ccat_buffer", named), ("ccat_buffer2", second), ("ccat_buffer3", third)):
        assert topology.route(origin=origin, destination="cologne_buffer").timetable == known.route.timetable
    back = shared(observatory, origin="cologne_buffer", destination="ccat_buffer2")
    assert (back.paced_by_id, back.route.timetable) == (back.id, ())
