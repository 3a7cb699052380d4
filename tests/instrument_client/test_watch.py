"""A watched directory: each file is filed once, when it is complete, and its observation finishes when it rests."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree

import pytest

from include.instrument_client import Client, Settings, SpoolError, WrongInputError, watch, watched_folder
from include.instrument_client.watch import Watch
from include.instrument_client.watched_layouts import Chai, Layout, PrimeCam, layout_of
from tests.instrument_client.conftest import Written
from tests.instrument_client.contract_server import ContractServer

SAMPLE = Path(__file__).parents[2] / "include" / "sandbox" / "demo" / "observation"
STREAM = "17637/rfsoc01_drone1"


class Clock:
    """Monotonic."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    for module in (watch, watched_folder):
        monkeypatch.setattr(module.time, "monotonic", clock)
    yield clock
    monkeypatch.undo()


@pytest.fixture
def primecam() -> PrimeCam:
    return PrimeCam(modules=["rfsoc02_*=mod350", "mod280"], default="", rotation_seconds=600)


def waiting(client: Client) -> dict[str, str]:
    """What is in the spool: paths, with their module."""
    found = {}
    for folder in client.spool.folders():
        for path in (*folder.sealed_segments(), *folder.open_segments()):
            segment = folder.segment(path)
            found |= {file.path: segment.module for file in segment.files}
    return found


def starts(client: Client) -> list[tuple[str, str | None]]:
    abouts = [folder.about() for folder in client.spool.folders()]
    return [(about.started_at, finished_at) for about, finished_at in abouts]


def watching(client: Client, settings: Settings, layout: Layout) -> Watch:
    return Watch(client, layout, directory=settings.root)


def test_a_rotated_file_is_filed_and_the_last_one_when_it_rests(
    offline: Client, settings: Settings, write: Written, primecam: PrimeCam, clock: Clock
) -> None:
    watch = watching(offline, settings, primecam)
    write(f"{STREAM}/1763769600_000.g3")
    watch.look()
    assert waiting(offline) == {}
    write(f"{STREAM}/1763769600_001.g3")
    watch.look()
    assert list(waiting(offline)) == [f"{STREAM}/1763769600_000.g3"]
    clock.now += 500
    write(f"{STREAM}/1763769600_001.g3", b"it grows")
    watch.look()
    clock.now += 500
    watch.look()
    assert len(waiting(offline)) == 1
    clock.now += 101
    watch.look()
    assert list(waiting(offline)) == [f"{STREAM}/1763769600_000.g3", f"{STREAM}/1763769600_001.g3"]


def test_a_session_is_one_observation_which_finishes_when_all_its_streams_rest(
    offline: Client, settings: Settings, write: Written, primecam: PrimeCam, clock: Clock
) -> None:
    watch = watching(offline, settings, primecam)
    for stream in ("rfsoc01_drone1", "rfsoc02_drone1"):
        path = write(f"17637/{stream}/1763769600_000.g3")
        os.utime(path, (1763770200, 1763770200))
    watch.look()
    clock.now += 601
    watch.look()
    assert waiting(offline) == {
        "17637/rfsoc01_drone1/1763769600_000.g3": "mod280",
        "17637/rfsoc02_drone1/1763769600_000.g3": "mod350",
    }
    began = datetime.fromtimestamp(1763769600, UTC).isoformat()
    assert starts(offline) == [(began, None)]
    clock.now += 700
    watch.look()
    assert starts(offline) == [(began, datetime.fromtimestamp(1763770200, UTC).isoformat())]


def test_after_a_start_it_goes_on_where_it_was(
    offline: Client, settings: Settings, write: Written, primecam: PrimeCam, clock: Clock, tmp_path: Path
) -> None:
    for number in range(3):
        write(f"{STREAM}/1763769600_{number:03d}.g3")
    watching(offline, settings, primecam).look()
    assert len(waiting(offline)) == 2
    for folder in offline.spool.folders():  # all is accepted meanwhile
        offline.spool.remove(folder)
    again = watching(offline, settings, primecam)
    again.look()
    assert waiting(offline) == {}
    clock.now += 2000
    again.look()
    assert list(waiting(offline)) == [f"{STREAM}/1763769600_002.g3"]
    assert starts(offline)[0][1] is not None
    for folder in offline.spool.folders():
        offline.spool.remove(folder)
    clock.now += 5000
    third = watching(offline, settings, primecam)
    for _ in range(3):
        third.look()
        clock.now += 5000
    assert offline.spool.folders() == [], "what is finished is not begun again"


def test_a_file_that_comes_in_the_same_tick_as_a_look_is_not_missed(
    offline: Client, settings: Settings, write: Written, primecam: PrimeCam, clock: Clock
) -> None:
    watch = watching(offline, settings, primecam)
    folder = write(f"{STREAM}/1763769600_000.g3").parent
    watch.look()
    clock.now += 601
    watch.look()
    tick = folder.stat().st_mtime_ns
    write(f"{STREAM}/1763769600_001.g3")
    os.utime(folder, ns=(tick, tick))
    watch.look()
    clock.now += 601
    watch.look()
    assert len(waiting(offline)) == 2


def test_a_folder_that_is_settled_is_not_listed_again(
    offline: Client,
    settings: Settings,
    write: Written,
    primecam: PrimeCam,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch = watching(offline, settings, primecam)
    write(f"{STREAM}/1763769600_000.g3")
    for _ in range(4):
        watch.look()
        clock.now += 601
    listed: list[str] = []
    monkeypatch.setattr(watched_folder.WatchedFolder, "entries", lambda self: listed.append(self.path.name) or [])
    watch.look()
    assert listed == []
    write(f"{STREAM}/1763769600_001.g3")
    watch.look()
    assert listed == ["rfsoc01_drone1"]


def test_a_full_spool_files_later_what_it_could_not_take(
    settings: Settings, write: Written, primecam: PrimeCam, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(settings, sends=False)
    watch = watching(client, settings, primecam)
    for number in range(3):
        write(f"{STREAM}/1763769600_{number:03d}.g3")

    def full(*_: object, **__: object) -> None:
        raise SpoolError("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(client.spool, "add", full)
        watch.look()
    assert waiting(client) == {}
    watch.look()
    assert len(waiting(client)) == 2


@pytest.mark.parametrize(
    "name",
    [
        "17637/rfsoc01_drone1/1763769600_000.g3.part",
        "17638/rfsoc01_drone1/1763769600_000.g3",
        "17637/1763769600_000.g3",
        "notes/rfsoc01_drone1/1763769600_000.g3",
    ],
)
def test_what_is_none_of_the_instruments_files_is_left_alone(
    offline: Client, settings: Settings, write: Written, primecam: PrimeCam, clock: Clock, name: str
) -> None:
    write(name)
    watch = watching(offline, settings, primecam)
    watch.look()
    clock.now += 10_000
    watch.look()
    assert offline.spool.folders() == []


def test_chais_observation_is_a_folder_that_began_as_its_first_file_says(
    offline: Client, settings: Settings, clock: Clock
) -> None:
    copytree(SAMPLE / "chai", settings.root, dirs_exist_ok=True)
    watch = watching(offline, settings, Chai(modules=[], rotation_seconds=None))
    watch.look()
    folder = "20251122/obs_00042"
    assert waiting(offline) == {f"{folder}/chai_lfa_{number:04d}.fits": "lfa" for number in range(3)}
    clock.now += 61
    watch.look()
    assert len(waiting(offline)) == 4
    clock.now += 400
    watch.look()
    ((began, finished_at),) = starts(offline)
    assert began == "2025-11-22T03:10:00+00:00"
    assert finished_at is not None


def test_a_fits_file_that_cannot_be_complete_waits_until_nobody_writes_any_more(
    offline: Client, settings: Settings, write: Written, clock: Clock
) -> None:
    watch = watching(offline, settings, Chai(modules=[], rotation_seconds=None))
    write("20251122/obs_00042/chai_lfa_0000.fits", b" " * 2881)
    write("20251122/obs_00042/chai_lfa_0001.fits", b" " * 2880)
    watch.look()
    clock.now += 61
    watch.look()
    assert list(waiting(offline)) == ["20251122/obs_00042/chai_lfa_0001.fits"]
    clock.now += 300
    watch.look()
    assert len(waiting(offline)) == 2


def test_a_layout_that_makes_no_sense_is_told(offline: Client, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(WrongInputError, match="Which module"):
        layout_of("primecam", modules=[], default="", rotation_seconds=None)
    with pytest.raises(WrongInputError, match="leave --module out"):
        layout_of("chai", modules=["lfa"], default="", rotation_seconds=None)
    with pytest.raises(WrongInputError, match="cannot be watched"):
        Watch(offline, Chai(modules=[], rotation_seconds=None), directory=tmp_path / "nowhere")


def test_the_whole_sample_is_filed_and_finished(settings: Settings, server: ContractServer, primecam: PrimeCam) -> None:
    copytree(SAMPLE / "primecam", settings.root, dirs_exist_ok=True)
    primecam.rest_seconds = primecam.finish_seconds = 0.0
    with Client(replace(settings, module="")) as client:
        watch = watching(client, settings, primecam)
        watch.look()
        watch.look()
        (folder,) = client.spool.folders()
        assert client.wait_until_accepted(folder.uuid, seconds=10)
    assert len(set(server.all_paths())) == len(server.all_paths()) == 12
    assert server.is_finished(folder.uuid)
