"""What goes wrong with a server or the way to it, whichever way the bytes go."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from include.errors import PermanentError, TransientError
from include.sandbox.keys import KeyPair
from include.storage.sftp import SftpStorage
from include.transfer import fleet
from include.transfer.part_file import missing_bytes
from include.transfer.pulled import Progress, Pulled
from tests.transfer.moving import is_whole, names, pulled, pushed
from tests.transfer.samples import put, some_bytes

MB = 1_000_000
BLOCK = 3 * MB
SIZE = 5 * BLOCK + 12_345


@dataclass(frozen=True)
class Way:
    """`move` takes items, the server's folder and the terms; `silence` is what is said when nothing comes through."""

    server: SftpStorage
    move: Callable[..., Pulled]
    silence: str


@pytest.fixture(params=["pull", pytest.param("push", marks=pytest.mark.slow)])
def way(request, served, there, origin_root: Path, arrived_root: Path) -> Way:
    if request.param == "pull":
        return Way(
            served,
            lambda items, server, **terms: pulled(items, server, arrived_root, **terms),
            "nothing came from ccat_buffer",
        )
    return Way(
        there,
        lambda items, server, **terms: pushed(items, origin_root, server, **terms),
        "cologne_buffer took nothing for",
    )


@pytest.fixture
def large(origin_root: Path):
    return put(some_bytes(60 * MB), at=origin_root, block_bytes=BLOCK)


def test_files_of_all_sizes_arrive_whole_and_nothing_else(way, origin_root, arrived_root):
    sizes = (0, 1, 255 * 1024, 255 * 1024 + 1, BLOCK, BLOCK + 1, SIZE)
    items = [
        put(some_bytes(size, seed=size), at=origin_root, path=f"a/{size}.tar", block_bytes=BLOCK) for size in sizes
    ]
    assert way.move(items, way.server) == Pulled(sum(sizes), 0, finished=True)
    assert all(is_whole(item, origin_root, arrived_root) for item in items)
    assert names(arrived_root) == {f"{size}.tar" for size in sizes}
    assert way.move(items, way.server) == Pulled(0, sum(sizes), finished=True)


def test_connections_that_break_are_replaced_and_cost_no_kept_block(
    way, large, cable, break_twice, origin_root, arrived_root
):
    assert way.move([large], way.server, on_progress=break_twice) == Pulled(60 * MB, 0, finished=True)
    assert is_whole(large, origin_root, arrived_root)
    assert cable.connections > 2


def test_connections_that_fall_silent_are_replaced(way, large, cable, origin_root, arrived_root, monkeypatch):
    """As a cut link does it: nobody says that the connection is gone."""
    monkeypatch.setattr(fleet, "SILENCE_SECONDS", 0.5)
    silenced: list[float] = []

    def silence_once(_: Progress) -> None:
        if not silenced:
            silenced.append(time.monotonic())
            cable.silence_all()

    assert way.move([large], way.server, on_progress=silence_once).finished
    assert is_whole(large, origin_root, arrived_root)


def test_a_server_that_stays_away_makes_it_give_up_and_keep_what_came(way, large, cable, arrived_root):
    def away(_: Progress) -> None:
        cable.close()

    with pytest.raises(TransientError, match=way.silence):
        way.move([large], way.server, on_progress=away, patience_seconds=1)
    assert 0 < missing_bytes(large, root=arrived_root) < 60 * MB


def test_a_server_that_never_answered_is_not_waited_for(way, cable, origin_root, monkeypatch):
    monkeypatch.setattr(fleet, "PAUSE_SECONDS", 0.01)
    cable.close()
    with pytest.raises(TransientError, match="no connection could be made: sftp://"):
        way.move([put(b"some", at=origin_root)], way.server)


def test_a_wrong_host_key_needs_a_person(way, origin_root, tmp_path):
    other = KeyPair.made(tmp_path / "other_key")
    wrong = SftpStorage(replace(way.server.address, host_key=other.public))
    with pytest.raises(PermanentError, match="another host key"):
        way.move([put(b"some", at=origin_root)], wrong)
