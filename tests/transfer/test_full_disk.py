"""A disk that fills up while bytes arrive."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from include.errors import NoSpaceError
from include.transfer.pull import pull
from include.transfer.pulled import Origin, Pulled
from tests.transfer.conftest import shown
from tests.transfer.moving import pushed
from tests.transfer.samples import CountingStorage, put, some_bytes

MIB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"needs the right to mount a disk of 2 MiB: {mounted.stderr.strip()}")
    yield folder
    # Lazily: the server that served it may still be closing its last file.
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_it_waits_for_space_and_then_sends_only_the_rest(tmp_path, small_disk):
    item = put(some_bytes(4 * MIB), at=tmp_path / "origin", block_bytes=MIB // 2)
    there = CountingStorage(tmp_path / "origin", chunk_bytes=MIB)
    with pytest.raises(NoSpaceError, match=r"one\.tar\.part"):
        pull([item], origin=Origin("origin", there), root=small_disk)
    subprocess.run(["mount", "-o", "remount,size=6m", small_disk], check=True)
    pulled = pull([item], origin=Origin("origin", there), root=small_disk)
    assert pulled == Pulled(5 * MIB // 2, 3 * MIB // 2, finished=True)
    assert (small_disk / item.path).read_bytes() == (tmp_path / "origin" / item.path).read_bytes()


def test_a_push_to_a_full_disk_waits_for_space_too(server, cable, origin_root, small_disk):
    item = put(some_bytes(4 * MIB), at=origin_root, block_bytes=MIB // 2)
    with closing(shown(server, cable, small_disk)) as there:
        with pytest.raises(NoSpaceError, match=r"no space left for sftp://"):
            pushed([item], origin_root, there)
        subprocess.run(["mount", "-o", "remount,size=6m", small_disk], check=True)
        assert pushed([item], origin_root, there).finished
    assert (small_disk / item.path).read_bytes() == (origin_root / item.path).read_bytes()
