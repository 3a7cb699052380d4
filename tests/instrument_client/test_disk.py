"""The disk of the spool is full, slow, limited or spoilt: a clear error, nothing half written or silently lost."""

import os
import resource
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from include.instrument_client import Client, Limits, Settings, SpoolError, SpoolFullError, syncer
from include.instrument_client.status import status_of
from tests.instrument_client.conftest import Written
from tests.instrument_client.contract_server import ContractServer


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    path = tmp_path / "tiny"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def added_until_full(client: Client, write: Written) -> list[str]:
    observation = client.observation()
    added: list[str] = []

    def add_for_ever() -> None:
        while True:
            path = write(f"{len(added):0100d}.g3")
            observation.add(path)
            added.append(path.name)

    with pytest.raises(SpoolError, match="make room"):
        add_for_ever()
    return added


def test_a_full_disk_is_told_and_leaves_nothing_half_written(
    settings: Settings, server: ContractServer, write: Written, tiny_disk: Path
) -> None:
    settings = replace(settings, spool=tiny_disk / "spool")
    client = Client(settings, sends=False)
    added = added_until_full(client, write)
    assert len(added) > 50
    with pytest.raises(SpoolError, match="nothing was written"):
        client.observation()
    assert len(client.spool.folders()) == 1
    (folder,) = client.spool.folders()
    for path in (*folder.open_segments(), *folder.sealed_segments()):
        assert path.read_bytes().endswith(b"\n")
    with Client(settings) as sending:  # it needs no room to remove what is accepted
        while server.all_paths() != added:
            pass
        while folder.sealed_segments() or folder.open_segments():
            pass
        began = datetime.fromisoformat(folder.about()[0].started_at)
        with sending.observation(observation=folder.uuid, started_at=began) as observation:
            observation.add(write("after.g3"))
        assert sending.wait_until_accepted(observation.uuid, seconds=10)
    assert server.all_paths() == [*added, "after.g3"]


def test_a_limit_on_file_sizes_is_told_like_a_full_disk(offline: Client, write: Written) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    observation = offline.observation()
    first = write("first.g3")
    observation.add(first)
    (path,) = offline.spool.folders()[0].open_segments()
    before = path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
    try:
        with pytest.raises(SpoolError, match="nothing was written: make room"):
            observation.add(first)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before


def test_a_spool_that_reached_its_limit_says_what_to_do(settings: Settings, write: Written) -> None:
    client = Client(replace(settings, limits=Limits(bytes_max=2000, observations_max=2)), sends=False)
    observation = client.observation()
    paths = [write(f"{number}.g3") for number in range(100)]
    with pytest.raises(SpoolFullError, match="`dts-file status` says why"):
        observation.add(*paths)
    client = Client(replace(settings, limits=Limits(observations_max=2)), sends=False)
    client.observation()
    with pytest.raises(SpoolFullError, match="may hold"):
        client.observation()


def test_a_slow_disk_is_not_waited_for(offline: Client, write: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    released, synced = threading.Event(), []

    def slow(descriptor: int) -> None:
        assert released.wait(20)
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(syncer.os, "fsync", slow)
    observation = offline.observation()
    for number in range(50):
        observation.add(write(f"{number}.g3"))
    (path,) = offline.spool.folders()[0].open_segments()
    assert len(path.read_bytes().splitlines()) == 51
    assert not offline.spool.syncer.drain(seconds=0)
    released.set()
    assert offline.spool.syncer.drain(seconds=10)
    assert path.stat().st_ino in synced
    assert len(synced) < 20, "one sync brings all that was added meanwhile"


def test_a_disk_that_fails_to_sync_is_told(offline: Client, write: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    observation = offline.observation()

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(syncer.os, "fsync", broken)
    path = write("a.g3")
    with pytest.raises(SpoolError, match="Input/output error"):
        list(map(observation.add, [path] * 100))


def test_a_data_disk_that_is_not_mounted_is_waited_for(
    offline: Client, settings: Settings, server: ContractServer, write: Written
) -> None:
    with offline.observation() as observation:
        observation.add(write("a.g3"))
    away = settings.root.rename(settings.root.with_name("away"))
    settings.root.mkdir()
    with Client(settings) as client:
        while "is its disk mounted" not in status_of(client.spool).waiting[0].why:
            pass
        settings.root.rmdir()
        away.rename(settings.root)
        assert client.wait_until_accepted(observation.uuid, seconds=10)
    assert server.all_paths() == ["a.g3"]


def test_lines_that_the_disk_spoilt_are_told_and_the_others_are_filed(
    offline: Client, settings: Settings, server: ContractServer, write: Written
) -> None:
    with offline.observation() as observation:
        for name in ("a.g3", "b.g3", "c.g3"):
            observation.add(write(name))
    (path,) = offline.spool.folders()[0].open_segments()
    path.write_bytes(path.read_bytes().replace(b'"b.g3"', b"\0\0\0\0\0\0"))
    with Client(settings) as client:
        while server.paths(str(observation.uuid)) != ["a.g3", "c.g3"]:
            pass
        while not (waiting := status_of(client.spool).waiting[0]).why.startswith("The disk spoilt"):
            pass
    assert waiting.damaged == 1
    assert not server.is_finished(str(observation.uuid))


def test_a_segment_whose_first_line_is_spoilt_is_filed_by_what_its_folder_says(
    offline: Client, settings: Settings, server: ContractServer, write: Written
) -> None:
    with offline.observation() as observation:
        observation.add(write("a.g3"))
    (path,) = offline.spool.folders()[0].open_segments()
    content = path.read_bytes()
    path.write_bytes(b"\0" * 40 + content[40:])
    with Client(settings):
        while server.paths(str(observation.uuid)) != ["a.g3"]:
            pass
    assert next(iter(server.filings.values())).header["instrument_module"] == "mod280"
