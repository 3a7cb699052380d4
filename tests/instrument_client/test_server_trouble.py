"""The server is down, slow, wrong or cut off: everything is filed once all the same, and the reason can be read."""

import time
from dataclasses import replace
from uuid import UUID

import pytest

from include.instrument_client import Client, Settings, pause
from include.instrument_client.pause import Pause
from include.instrument_client.sending import state_of
from include.instrument_client.status import status_of
from tests.instrument_client import contract_server as wrong
from tests.instrument_client.conftest import Written
from tests.instrument_client.contract_server import ContractServer, Filing, contract_server

FAULTS = [
    wrong.internal_error,
    wrong.a_page,
    wrong.a_proxys_403,
    wrong.wrong_json,
    wrong.no_object,
    wrong.a_redirect,
    wrong.cut_before_the_answer,
    wrong.cut_in_the_answer,
    wrong.slow(0.3),
    wrong.busy(0),
]
REQUESTS = ("start", "files", "verdict", "finish")


def filed(client: Client, write: Written) -> UUID:
    with client.observation() as observation:
        observation.add(write("a.g3"), write("b.g3"))
    return observation.uuid


@pytest.mark.parametrize("request_number", range(4), ids=REQUESTS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_any_fault_at_any_request_changes_nothing_in_the_end(
    offline: Client, settings: Settings, server: ContractServer, write: Written, fault: wrong.Fault, request_number: int
) -> None:
    server.faults = [lambda _: False] * request_number + [fault] * 2
    uuid = filed(offline, write)
    with Client(settings) as client:
        assert client.wait_until_accepted(uuid, seconds=20)
    assert server.paths(str(uuid)) == ["a.g3", "b.g3"]
    assert len(server.filings) == 1
    assert server.is_finished(str(uuid))


def test_a_server_that_is_gone_for_long_gets_everything_in_order_once_it_is_back(
    settings: Settings, server: ContractServer, write: Written
) -> None:
    with contract_server() as another:
        port = int(another.url.split(":")[2].split("/")[0])
    with Client(replace(settings, server=another.url)) as client:
        uuids = [filed(client, write) for _ in range(20)]
        while (state := state_of(client.spool)) is None or "does not answer" not in state.sentence:
            time.sleep(0.01)
        assert len(client.spool.folders()) == 20
        with contract_server(port) as back:
            assert client.wait_until_accepted(uuids[-1], seconds=20)
            assert [filing.observation for filing in back.filings.values()] == [str(uuid) for uuid in uuids]


def test_a_wrong_token_waits_for_the_right_one(settings: Settings, server: ContractServer, write: Written) -> None:
    server.token = "dts_renewed"
    with Client(settings) as client:
        uuid = filed(client, write)
        while (state := state_of(client.spool)) is None or "The token is not known." not in state.sentence:
            time.sleep(0.01)
        assert settings.token_file
        settings.token_file.write_text("dts_renewed")
        assert client.wait_until_accepted(uuid, seconds=10)


@pytest.mark.parametrize("fault", [wrong.busy(1), wrong.busy_until(1)], ids=["seconds", "a date by a wrong clock"])
def test_retry_after_is_obeyed(client: Client, server: ContractServer, write: Written, fault: wrong.Fault) -> None:
    times: list[float] = []

    def timed(handler: wrong.Handler) -> bool:
        times.append(time.monotonic())
        return fault(handler) if len(times) == 1 else False

    server.faults = [timed, timed]
    uuid = filed(client, write)
    assert client.wait_until_accepted(uuid, seconds=10)
    assert times[1] - times[0] >= 1


def test_a_server_that_was_restored_from_an_older_state_is_told_again(
    client: Client, server: ContractServer, write: Written
) -> None:
    with client.observation() as observation:
        observation.add(write("a.g3"))
        while server.paths(str(observation.uuid)) != ["a.g3"]:
            time.sleep(0.01)
        with server.lock:
            server.observations.clear()
        observation.add(write("b.g3"))
    assert client.wait_until_accepted(observation.uuid, seconds=10)
    assert server.paths(str(observation.uuid)) == ["a.g3", "b.g3"]


def test_a_filing_that_the_server_lost_is_filed_again(client: Client, server: ContractServer, write: Written) -> None:
    server.judges.clear()
    uuid = filed(client, write)
    while not server.filings:
        time.sleep(0.01)
    with server.lock:
        server.filings.clear()
    server.judges.set()
    assert client.wait_until_accepted(uuid, seconds=10)
    assert server.paths(str(uuid)) == ["a.g3", "b.g3"]


def test_filings_go_on_while_the_verdicts_are_late(client: Client, server: ContractServer, write: Written) -> None:
    server.judges.clear()
    with client.observation() as observation:
        for number in range(3):
            observation.add(write(f"{number}.g3"))
            while sum(len(filing.files) for filing in list(server.filings.values())) <= number:
                time.sleep(0.01)
    assert not server.is_finished(str(observation.uuid))
    assert len(client.spool.folders()) == 1
    server.judges.set()
    assert client.wait_until_accepted(observation.uuid, seconds=20)
    assert server.is_finished(str(observation.uuid))


def test_a_file_that_went_after_it_was_sent_takes_no_other_with_it(
    client: Client, settings: Settings, server: ContractServer, write: Written
) -> None:
    def look(filing: Filing) -> str | None:
        gone = [file["path"] for file in filing.files if not (settings.root / file["path"]).exists()]
        return f"{gone[0]} is not there." if gone else None

    server.judge = look
    server.judges.clear()
    with client.observation() as observation:
        observation.add(*(write(f"{number}.g3") for number in range(5)))
    while not server.filings:
        time.sleep(0.01)
    (settings.root / "3.g3").unlink()
    server.judges.set()
    while len(server.paths(str(observation.uuid))) < 4:
        time.sleep(0.01)
    assert server.paths(str(observation.uuid)) == ["0.g3", "1.g3", "2.g3", "4.g3"]
    while not (refused := status_of(client.spool).waiting[0].refused):
        time.sleep(0.01)
    assert "3.g3 cannot be read" in refused[0].sentence
    assert not server.is_finished(str(observation.uuid))


def test_one_observation_that_the_server_stumbles_over_holds_up_no_other(
    offline: Client, settings: Settings, server: ContractServer, write: Written
) -> None:
    bad, good = filed(offline, write), filed(offline, write)

    class Stumbling(list):
        def __bool__(self) -> bool:
            return True

        def pop(self, _: int) -> wrong.Fault:  # type: ignore[override]
            return lambda handler: str(bad) in handler.path and wrong.internal_error(handler)

    server.faults = Stumbling()
    with Client(settings) as client:
        assert client.wait_until_accepted(good, seconds=10)
        assert [folder.uuid for folder in client.spool.folders()] == [str(bad)]


@pytest.fixture
def _real_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Pause.__init__,
        "__kwdefaults__",
        {"first_seconds": pause.FIRST_SECONDS, "longest_seconds": pause.LONGEST_SECONDS},
    )


@pytest.mark.usefixtures("_real_pauses")
def test_pauses_grow_to_minutes_and_are_spread() -> None:
    patience = Pause()
    seconds = [patience.fail() for _ in range(50)]
    assert 0.5 <= seconds[0] <= 1
    assert all(150 <= one <= 300 for one in seconds[10:])
    assert len(set(seconds[10:])) > 30
    assert Pause().fail(at_least_seconds=60) >= 60
    assert Pause().fail(at_least_seconds=1e9) <= pause.ASKED_FOR_MAX_SECONDS + 1
