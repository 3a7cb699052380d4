"""Several processes, threads and clocks on one spool."""

import json
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine

from include.instrument_client import Client, Settings
from include.instrument_client.lock import SenderLock
from include.instrument_client.sending import LOCK
from tests.instrument_client.conftest import Written
from tests.instrument_client.contract_server import ContractServer


def test_processes_and_threads_that_add_at_once_lose_nothing(
    settings: Settings, server: ContractServer, write: Written
) -> None:
    uuid, began = uuid4(), datetime(2026, 4, 1, 3, tzinfo=UTC)
    paths = {process: [write(f"{process}/{number}.g3") for number in range(60)] for process in range(4)}
    server.judges.clear()

    def adding(process: int) -> None:
        with Client(settings) as client:
            observation = client.observation(observation=uuid, started_at=began)
            halves = [paths[process][:30], paths[process][30:]]
            threads = [
                threading.Thread(target=lambda half=half: [observation.add(path) for path in half]) for half in halves
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    children = []
    for process in paths:
        child = os.fork()
        if child == 0:
            try:
                adding(process)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    server.judges.set()
    with Client(settings) as client:
        client.observation(observation=uuid, started_at=began).finish()
        assert client.wait_until_accepted(uuid, seconds=20)
    filed = server.paths(str(uuid))
    assert sorted(filed) == sorted(f"{process}/{number}.g3" for process in range(4) for number in range(60))
    for process in range(4):
        for half in (range(30), range(30, 60)):
            mine = [int(path.split("/")[1][:-3]) for path in filed if path.startswith(f"{process}/")]
            assert [number for number in mine if number in half] == list(half), "in the order of adding"


def test_one_process_sends_and_the_next_takes_over(settings: Settings, server: ContractServer, write: Written) -> None:
    first, second = Client(settings), Client(settings)
    lock = SenderLock(settings.spool / LOCK)
    while not lock.is_held():
        time.sleep(0.01)
    with second.observation() as observation:
        observation.add(write("a.g3"))
    assert second.wait_until_accepted(observation.uuid, seconds=10)
    for client in (first, second):
        client.close(seconds=10)
        with second.observation() if client is first else first.observation():
            pass
    assert len(server.filings) == 1


def test_a_forked_child_holds_no_lock_of_its_parent_and_can_add(
    settings: Settings, server: ContractServer, write: Written
) -> None:
    client = Client(settings)
    lock = SenderLock(settings.spool / LOCK)
    while not lock.is_held():
        time.sleep(0.01)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with client.observation() as observation:
                observation.add(write("child.g3"))
            os.close(writing)
            os.read(reading, 1)  # lives on, while its parent stops sending
        finally:
            os._exit(0)
    while server.all_paths() != ["child.g3"]:
        time.sleep(0.01)
    client.close(seconds=10)
    try:
        while lock.is_held() and _sends(settings) == os.getpid():
            time.sleep(0.01)
    finally:
        os.close(reading)
        os.close(writing)
        os.waitpid(child, 0)


def _sends(settings: Settings) -> int:
    return json.loads((settings.spool / "sender.json").read_text())["pid"]


@pytest.mark.parametrize("jump", [timedelta(days=-400), timedelta(days=400)], ids=["back", "ahead"])
def test_a_clock_that_jumps_does_no_harm(
    settings: Settings, server: ContractServer, write: Written, jump: timedelta
) -> None:
    now = datetime(2026, 4, 1, 3, tzinfo=UTC)
    with Client(settings) as client, time_machine.travel(now, tick=True) as clock:
        with client.observation() as observation:
            observation.add(write("a.g3"))
            clock.shift(jump)
            observation.add(write("b.g3"))
        assert client.wait_until_accepted(observation.uuid, seconds=10)
    known = server.observations[str(observation.uuid)]
    assert server.paths(str(observation.uuid)) == ["a.g3", "b.g3"]
    ended = datetime.fromisoformat(known["finished_at"])
    assert ended >= datetime.fromisoformat(known["started_at"])
    if jump < timedelta(0):
        assert ended < now + timedelta(minutes=1)


def test_an_observation_of_which_nothing_waits_leaves_the_spool_and_comes_back(
    settings: Settings, server: ContractServer, write: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.instrument_client.sender.IDLE_SECONDS", 0.0)
    with Client(settings) as client, client.observation() as observation:
        observation.add(write("a.g3"))
        assert client.wait_until_accepted(observation.uuid, seconds=10)
        assert not server.is_finished(str(observation.uuid))
        observation.add(write("b.g3"))
    assert server.paths(str(observation.uuid))[0] == "a.g3"
    with Client(settings) as client:
        assert client.wait_until_accepted(observation.uuid, seconds=10)
    assert server.paths(str(observation.uuid)) == ["a.g3", "b.g3"]
    assert server.is_finished(str(observation.uuid))
