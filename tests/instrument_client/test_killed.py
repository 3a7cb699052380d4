"""Killed at every change of the spool in turn: nothing is lost, nothing is filed twice, nothing is left behind."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import pytest

from include.instrument_client import Settings
from tests.instrument_client.configured import config_of
from tests.instrument_client.conftest import Written
from tests.instrument_client.contract_server import ContractServer, Filing
from tests.instrument_client.killed import BAD, MENDED

MEMORY = Path("/dev/shm")
FILES = ["0.g3", "1.g3", "2.g3", "3.g3", BAD]


@pytest.fixture
def settings(settings: Settings) -> Iterator[Settings]:
    """A spool in memory: what a killed process leaves is the same there, and thousands of syncs are quick."""
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield replace(settings, spool=Path(folder) / "spool")


@pytest.mark.timeout(300)  # five seconds, where nobody else is at work
def test_killed_at_every_change_of_the_spool_it_files_everything_once(
    settings: Settings, server: ContractServer, write: Written, tmp_path: Path
) -> None:
    def judge(filing: Filing) -> str | None:
        file = filing.files[0]
        return "it is bad." if file["path"] == BAD and file["size_bytes"] != len(MENDED) else None

    server.judge = judge
    for name in FILES:
        write(name)
    deaths = _deaths(settings, tmp_path, "called")
    assert sum(death["torn"] for death in deaths) > 5
    assert sum(not death["torn"] for death in deaths) > 40
    for death in deaths:
        uuid = str(UUID(int=death["number"]))
        assert sorted(server.paths(uuid)) == FILES, death
        assert server.is_finished(uuid), death
        refused = [one for one in server.filings.values() if one.observation == uuid and one.state == "refused"]
        assert len(refused) == 1, death
        assert death["left"] == [], death


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_watcher_killed_at_every_change_of_its_state_files_everything_once(
    settings: Settings, server: ContractServer, tmp_path: Path
) -> None:
    deaths = _deaths(settings, tmp_path, "watched")
    assert len(deaths) > 20
    for death in deaths:
        assert death["left"] == [], death
    expected = [
        f"17637/{stream}/17637{n:05d}_000.g3" for n in range(1, len(deaths) + 1) for stream in ("drone1", "drone2")
    ]
    assert sorted(server.all_paths()) == sorted(expected)
    assert all(server.is_finished(uuid) for uuid in server.observations)


def _deaths(settings: Settings, tmp_path: Path, scenario: str) -> list[dict]:
    config = config_of(settings, tmp_path)
    arguments = [sys.executable, "-m", "tests.instrument_client.killed", str(config), scenario]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, timeout=280, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]
