"""A server that keeps the contract, an instrument's disk, and clients that send fast."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from include.instrument_client import Client, Settings, pause, sender, sending
from tests.instrument_client.contract_server import TOKEN, ContractServer, contract_server

Written = Callable[..., Path]


@pytest.fixture
def server() -> Iterator[ContractServer]:
    with contract_server() as contract:
        yield contract


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(sending, "GATHER_SECONDS", 0.0)
    monkeypatch.setattr(sender, "WAIT_SECONDS", 0)
    monkeypatch.setattr(pause.Pause.__init__, "__kwdefaults__", {"first_seconds": 0.05, "longest_seconds": 0.2})


@pytest.fixture
def settings(server: ContractServer, tmp_path: Path) -> Settings:
    (tmp_path / "data").mkdir()
    (tmp_path / "token").write_text(TOKEN + "\n")
    return Settings(
        spool=tmp_path / "spool",
        root=tmp_path / "data",
        instrument="primecam",
        data_location="ccat_primecam",
        module="mod280",
        server=server.url,
        token_file=tmp_path / "token",
    )


@pytest.fixture
def write(settings: Settings) -> Written:
    def written(name: str, content: bytes = b"data") -> Path:
        path = settings.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return written


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with Client(settings) as client:
        yield client


@pytest.fixture
def offline(settings: Settings) -> Client:
    """Only fills the spool."""
    return Client(replace(settings, server=""), sends=False)
