"""Pulling from a folder of the same host: the kernel copies, and nothing that is not verified."""

import os
import shutil
import subprocess
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.errors import LeaseLostError, TransientError
from include.integrity.checksum import BLOCK_BYTES
from include.storage.disk import DiskStorage
from include.transfer import same_host
from include.transfer.pulled import DamagedOriginError, Pulled
from include.transfer.same_host import Copying, OneHost
from tests.transfer.moving import names, pulled
from tests.transfer.samples import BLOCK, put, some_bytes

SIZE = 4 * BLOCK + 77
CONTENT = some_bytes(SIZE)
MIB = 1024 * 1024
SHM = Path("/dev/shm")


@pytest.fixture
def there(origin_root: Path) -> DiskStorage:
    return DiskStorage(origin_root)


def only(copying: Copying, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every pull begin with this way of copying."""

    class Made(OneHost):
        def __init__(self, name: str, source: DiskStorage) -> None:
            super().__init__(name, source)
            self.copying = copying

    monkeypatch.setattr(same_host, "OneHost", Made)


@pytest.mark.parametrize("copying", list(Copying))
def test_files_arrive_whole_however_they_are_copied(there, root, monkeypatch, copying):
    only(copying, monkeypatch)
    items = [put(some_bytes(size, seed=size), at=there.root, path=f"a/{size}.tar") for size in (0, 1, 1000, 5001)]
    items.append(put(some_bytes(3 * MIB + 7), at=there.root, path="a/large.tar", block_bytes=2 * MIB))
    total = sum(item.content.size_bytes for item in items)
    assert pulled(items, there, root) == Pulled(total, 0, finished=True)
    assert names(root) == names(there.root)
    for item in items:
        assert (root / item.path).read_bytes() == (there.root / item.path).read_bytes()
    assert pulled(items, there, root) == Pulled(0, total, finished=True)


def test_a_copy_is_no_hard_link(there, root):
    item = put(CONTENT, at=there.root)
    pulled([item], there, root)
    assert (root / item.path).stat().st_ino != (there.root / item.path).stat().st_ino
    (there.root / item.path).write_bytes(bytes(SIZE))
    assert (root / item.path).read_bytes() == CONTENT


def test_the_kernel_copies_where_it_can(there, root):
    item = put(CONTENT, at=there.root)
    way = OneHost("ccat_buffer", there)
    source, target = os.open(there.root / item.path, os.O_RDONLY), os.open(root / "new", os.O_RDWR | os.O_CREAT)
    block = same_host.Block(0, 0, SIZE, item.content.checksum)
    way._copy(source, target, block)
    os.close(source)
    os.close(target)
    assert way.copying is not Copying.HERE
    assert (root / "new").read_bytes() == CONTENT


@pytest.mark.skipif(not os.access(SHM, os.W_OK), reason="there is no second filesystem to write to")
def test_two_filesystems_of_one_host(there):
    item = put(CONTENT, at=there.root)
    with tempfile.TemporaryDirectory(dir=SHM) as folder:
        assert pulled([item], there, Path(folder)).bytes_sent == SIZE
        assert (Path(folder) / item.path).read_bytes() == CONTENT


@pytest.fixture(params=["xfs"])
def sharing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder on a filesystem that shares extents."""
    maker = shutil.which(f"mkfs.{request.param}")
    if os.geteuid() or maker is None:
        pytest.skip(f"making a filesystem that shares extents needs root and mkfs.{request.param}")
    image, folder = tmp_path / "image", tmp_path / "mounted"
    folder.mkdir()
    with image.open("wb") as made:
        made.truncate(400 * MIB)
    subprocess.run([maker, "-q", image], check=True, capture_output=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, folder], check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"this machine mounts no image: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_where_the_filesystem_shares_extents_a_copy_takes_no_room(sharing):
    there, root = DiskStorage(sharing / "origin"), sharing / "destination"
    there.root.mkdir()
    root.mkdir()
    content = some_bytes(64 * MIB + 77)
    item = put(content, at=there.root, block_bytes=16 * MIB)
    os.sync()
    free = os.statvfs(root).f_bavail * os.statvfs(root).f_frsize
    assert pulled([item], there, root).bytes_sent == len(content)
    os.sync()
    assert free - os.statvfs(root).f_bavail * os.statvfs(root).f_frsize < 8 * MIB
    assert (root / item.path).read_bytes() == content
    with (there.root / item.path).open("r+b") as original:
        original.write(bytes(MIB))
    assert (root / item.path).read_bytes() == content


def test_a_damaged_block_is_not_copied_and_all_others_are(there, root):
    bad = put(CONTENT, at=there.root, path="a/bad.tar")
    good = put(CONTENT[::-1], at=there.root, path="a/good.tar")
    changed = bytearray(CONTENT)
    changed[BLOCK + 5] ^= 0xFF
    (there.root / bad.path).write_bytes(changed)
    with pytest.raises(DamagedOriginError, match=r"block 1 \(bytes 1000 to 2000\) came from ccat_buffer") as caught:
        pulled([bad, good], there, root)
    assert caught.value.items == (bad,)
    assert (root / good.path).read_bytes() == CONTENT[::-1]
    assert not (root / bad.path).exists()

    (there.root / bad.path).write_bytes(CONTENT)
    assert pulled([bad, good], there, root) == Pulled(SIZE - BLOCK, SIZE + BLOCK, finished=True)
    assert (root / bad.path).read_bytes() == CONTENT


def test_a_block_that_reads_right_the_second_time_is_copied(there, root, monkeypatch):
    item = put(CONTENT, at=there.root)
    lies = [2]
    real = OneHost._checksum

    def lying(self, descriptor, block, item):
        if block.number in lies:
            lies.remove(block.number)
            return "xxh3-128:0"
        return real(self, descriptor, block, item)

    monkeypatch.setattr(OneHost, "_checksum", lying)
    assert pulled([item], there, root).bytes_sent == SIZE + BLOCK
    assert (root / item.path).read_bytes() == CONTENT


def test_a_file_too_short_is_a_damaged_copy(there, root):
    item = put(CONTENT, at=there.root)
    (there.root / item.path).write_bytes(CONTENT[:-1])
    with pytest.raises(DamagedOriginError, match=f"has {SIZE - 1} bytes at ccat_buffer instead of {SIZE}"):
        pulled([item], there, root)


def test_a_missing_file_and_a_missing_root(there, root):
    item = put(CONTENT, at=there.root)
    (there.root / item.path).unlink()
    with pytest.raises(DamagedOriginError, match="is not at ccat_buffer"):
        pulled([item], there, root)
    with pytest.raises(TransientError, match="is its disk mounted"):
        pulled([item], there, root / "nowhere")


def test_it_hands_back_when_time_is_up_and_when_it_is_told_to_stop(there, root):
    item = put(CONTENT, at=there.root)
    assert pulled([item], there, root, yield_after_seconds=0) == Pulled(BLOCK, 0, finished=False)

    def stop() -> None:
        raise LeaseLostError("somebody else has it")

    with pytest.raises(LeaseLostError):
        pulled([item], there, root, check=stop)
    assert pulled([item], there, root) == Pulled(SIZE - 2 * BLOCK, 2 * BLOCK, finished=True)


def test_memory_is_bounded_whatever_the_size_of_a_block(there, root):
    item = put(bytes(BLOCK_BYTES + 5), at=there.root, block_bytes=BLOCK_BYTES)
    tracemalloc.start()
    try:
        pulled([item], there, root)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB
