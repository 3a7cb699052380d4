"""An observation is filed: each file once, in order, and finished when all of it is accepted."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from include.instrument_client import Client, Settings, WrongInputError, spool
from tests.instrument_client.conftest import Written
from tests.instrument_client.contract_server import ContractServer


def test_an_observation_is_started_filed_and_finished(client: Client, server: ContractServer, write: Written) -> None:
    with client.observation() as observation:
        for number in range(5):
            observation.add(write(f"17637/rfsoc01_drone1/1763769600_{number:03d}.g3"))
    assert client.wait_until_accepted(observation.uuid, seconds=10)
    assert server.paths(str(observation.uuid)) == [f"17637/rfsoc01_drone1/1763769600_{n:03d}.g3" for n in range(5)]
    assert server.is_finished(str(observation.uuid))
    assert [filing.header["instrument_module"] for filing in server.filings.values()] == ["mod280"] * len(
        server.filings
    )
    assert not client.spool.folders()


def test_modules_of_one_observation_are_filed_apart(client: Client, server: ContractServer, write: Written) -> None:
    with client.observation() as observation:
        observation.add(write("a.g3"))
        observation.add(write("b.g3"), module="mod350")
    assert client.wait_until_accepted(observation.uuid, seconds=10)
    modules = {filing.files[0]["path"]: filing.header["instrument_module"] for filing in server.filings.values()}
    assert modules == {"a.g3": "mod280", "b.g3": "mod350"}


def test_many_files_become_several_filings_in_order(
    client: Client, server: ContractServer, write: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "SEGMENT_BYTES_MAX", 4000)
    paths = [write(f"{number:05d}.g3") for number in range(1000)]
    with client.observation() as observation:
        observation.add(*paths)
    assert client.wait_until_accepted(observation.uuid, seconds=30)
    assert server.paths(str(observation.uuid)) == [path.name for path in paths]
    assert len(server.filings) > 5


def test_a_file_that_is_added_twice_is_filed_once(
    offline: Client, settings: Settings, server: ContractServer, write: Written
) -> None:
    with offline.observation() as observation:
        observation.add(write("a.g3", b"1"))
        observation.add(write("a.g3", b"12"))
    with Client(settings) as client:
        assert client.wait_until_accepted(observation.uuid, seconds=10)
    (filing,) = server.filings.values()
    assert filing.files == [{"path": "a.g3", "size_bytes": 2}]


def test_an_observation_that_ends_by_an_exception_files_what_it_has_and_is_not_finished(
    client: Client, server: ContractServer, write: Written, caplog: pytest.LogCaptureFixture
) -> None:
    def observe() -> None:
        with client.observation(observation=uuid) as observation:
            observation.add(write("a.g3"))
            raise RuntimeError("the cryostat is warm")

    uuid = uuid4()
    with pytest.raises(RuntimeError):
        observe()
    while server.paths(str(uuid)) != ["a.g3"]:
        pass
    assert not server.is_finished(str(uuid))
    assert "is not finished" in caplog.text


def test_an_observation_that_goes_on_later_is_the_same(client: Client, server: ContractServer, write: Written) -> None:
    began = datetime(2026, 4, 1, 3, tzinfo=UTC)
    first = client.observation(started_at=began)
    first.add(write("a.g3"))
    with client.observation(observation=first.uuid, started_at=began) as second:
        second.add(write("b.g3"))
    assert client.wait_until_accepted(first.uuid, seconds=10)
    assert server.paths(str(first.uuid)) == ["a.g3", "b.g3"]
    with pytest.raises(WrongInputError, match="lies before started_at"):
        first.finish(finished_at=began - timedelta(hours=1))


def test_the_same_observation_with_another_start_is_refused_at_once(offline: Client) -> None:
    observation = offline.observation()
    with pytest.raises(WrongInputError, match="waits in the spool with started_at"):
        offline.observation(observation=observation.uuid, started_at=datetime(2026, 4, 1, tzinfo=UTC))


def test_the_oldest_observation_is_filed_first(
    offline: Client, settings: Settings, server: ContractServer, write: Written
) -> None:
    for number in range(12):
        with offline.observation() as observation:
            observation.add(write(f"{number}.g3"))
    with Client(settings) as client:
        assert client.wait_until_accepted(observation.uuid, seconds=10)
    assert [filing.files[0]["path"] for filing in server.filings.values()] == [f"{n}.g3" for n in range(12)]


@pytest.mark.parametrize(
    ("name", "why"),
    [("gone.g3", "No such file"), ("folder", "no regular file"), ("link.g3", "no regular file"), ("{{x}}.g3", "holds")],
)
def test_what_cannot_be_filed_is_told_at_once_and_nothing_is_added(
    offline: Client, write: Written, settings: Settings, name: str, why: str
) -> None:
    good = write("good.g3")
    (settings.root / "folder").mkdir()
    (settings.root / "link.g3").symlink_to(good)
    if name.startswith("{"):
        write(name)
    observation = offline.observation()
    with pytest.raises(WrongInputError, match=why):
        observation.add(good, settings.root / name)
    (folder,) = offline.spool.folders()
    assert not folder.open_segments()


def test_a_file_outside_the_root_is_refused(offline: Client, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.g3").write_bytes(b"1")
    with pytest.raises(WrongInputError, match="is not below"):
        offline.observation().add(tmp_path / "elsewhere.g3")


def test_a_time_without_a_zone_is_refused(offline: Client) -> None:
    with pytest.raises(WrongInputError, match="has no zone"):
        offline.observation(started_at=datetime(2026, 4, 1))  # noqa: DTZ001 - that is the point
    assert not offline.spool.folders()
