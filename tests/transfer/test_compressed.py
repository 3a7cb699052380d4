"""Packages that come compressed: frames of a twin beside them, and the package itself where the twin is of no use."""

import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from include.storage.disk import DiskStorage
from include.storage.sftp import SftpStorage
from include.transfer.blocks import Item, Twin, blocks_of
from include.transfer.compressed import Frame, FrameError, Unpacker, frames_of
from include.transfer.compressed_twin import NoTwinError, known_twin, make_twin, sweep_twins, twin_path
from include.transfer.part_file import missing_bytes
from include.transfer.pulled import DamagedOriginError, Pulled
from tests.bench.pull_once import Listed, Order
from tests.transfer.moving import is_whole, names, pulled
from tests.transfer.samples import item_of, put, some_bytes

pytestmark = pytest.mark.slow

MB = 1_000_000
BLOCK = 3 * MB
SIZE = 5 * BLOCK + 12_345


def shrinking_bytes(size: int, *, seed: int = 1) -> bytes:
    """Every second byte is noise, as the lower half of a sample is."""
    content = bytearray(size)
    content[::2] = random.Random(seed).randbytes((size + 1) // 2)
    return bytes(content)


def put_twin(content: bytes, root: Path, *, path: str = "chai/one.tar", block_bytes: int = BLOCK) -> Item:
    """The content as a file below `root`, its twin beside it, and the item that knows both."""
    item = put(content, at=root, path=path, block_bytes=block_bytes)
    return replace(item, twin=make_twin(item, storage=DiskStorage(root), check=lambda: None))


def twin_file(item: Item, root: Path) -> Path:
    return root / twin_path(item.path)


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


# ----- coming


def test_files_of_all_sizes_arrive_as_they_were_in_fewer_bytes(served, origin_root, arrived_root):
    sizes = (600, 255 * 1024, BLOCK, BLOCK + 1, SIZE)
    items = [put_twin(shrinking_bytes(size), origin_root, path=f"a/{size}.tar") for size in sizes]
    done = pulled(items, served, arrived_root)
    assert done == Pulled(sum(sizes), 0, finished=True)
    assert 0.5 * sum(sizes) < done.bytes_received < 0.7 * sum(sizes)
    assert all(is_whole(item, origin_root, arrived_root) for item in items)
    assert names(arrived_root) == {f"{size}.tar" for size in sizes}


def test_files_with_and_without_a_twin_come_in_one_pull(served, origin_root, arrived_root):
    items = [put_twin(shrinking_bytes(n * 997 + 600), origin_root, path=f"{n % 7}/{n}.tar") for n in range(120)]
    items[1::2] = [replace(item, twin=None) for item in items[1::2]]
    assert pulled(items, served, arrived_root).finished
    assert all(is_whole(item, origin_root, arrived_root) for item in items)


def test_sittings_with_and_without_a_twin_send_no_block_twice(served, origin_root, arrived_root):
    item = put_twin(shrinking_bytes(SIZE), origin_root, block_bytes=MB // 4)
    sittings: list[Pulled] = []
    while not sittings or not sittings[-1].finished:
        now = item if len(sittings) % 2 == 0 else replace(item, twin=None)
        sittings.append(pulled([now], served, arrived_root, yield_after_seconds=0))
        assert sittings[-1].bytes_sent
    assert sum(sitting.bytes_sent for sitting in sittings) == SIZE
    assert is_whole(item, origin_root, arrived_root)


def test_a_killed_pull_goes_on_from_its_last_verified_block(server, served, cable, origin_root, arrived_root):
    item = put_twin(shrinking_bytes(300 * MB), origin_root, block_bytes=4 * MB)
    (origin_root / "listed.json").write_text(Listed(packages=[(item.path, item.content)]).model_dump_json())
    order = Order(
        host=server.host, port=cable.port, user=server.user, key=str(server.client_key.private),
        host_key=server.host_key.public, root=str(origin_root), destination=str(arrived_root),
        manifests=str(origin_root / "listed.json"), twins={item.path: item.twin.frame_bytes},
    )  # fmt: skip
    (origin_root / "order.json").write_text(order.model_dump_json())
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.pull_once", str(origin_root / "order.json")], cwd=Path(__file__).parents[2]
    )
    while missing_bytes(item, root=arrived_root) > 200 * MB:
        assert child.poll() is None
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    missing = missing_bytes(item, root=arrived_root)
    assert 0 < missing < 300 * MB
    done = pulled([item], served, arrived_root)
    assert done == Pulled(missing, 300 * MB - missing, finished=True)
    assert done.bytes_received < 0.8 * missing
    assert is_whole(item, origin_root, arrived_root)


def test_connections_that_break_cost_no_verified_block(served, cable, break_twice, origin_root, arrived_root):
    item = put_twin(shrinking_bytes(60 * MB), origin_root)
    assert pulled([item], served, arrived_root, on_progress=break_twice) == Pulled(60 * MB, 0, finished=True)
    assert is_whole(item, origin_root, arrived_root)
    assert cable.connections > 2


# ----- twins that are of no use


def comes_all_the_same(item: Item, served: SftpStorage, origin_root: Path, arrived_root: Path, caplog, said: str):
    done = pulled([item], served, arrived_root)
    assert done.finished
    assert done.bytes_sent >= item.content.size_bytes  # what came wrong was sent, too
    assert is_whole(item, origin_root, arrived_root)
    assert names(arrived_root) == {Path(item.path).name}
    assert said in caplog.text


def test_a_missing_twin_is_done_without(served, origin_root, arrived_root, caplog):
    item = put_twin(shrinking_bytes(SIZE), origin_root)
    twin_file(item, origin_root).unlink()
    comes_all_the_same(item, served, origin_root, arrived_root, caplog, "chai/one.tar comes uncompressed")


def test_a_twin_that_is_a_folder_is_done_without(served, origin_root, arrived_root, caplog):
    item = put_twin(shrinking_bytes(SIZE), origin_root)
    twin_file(item, origin_root).unlink()
    twin_file(item, origin_root).mkdir()
    comes_all_the_same(item, served, origin_root, arrived_root, caplog, "comes uncompressed")


def test_a_damaged_frame_is_fetched_again_and_then_the_rest_comes_uncompressed(
    served, origin_root, arrived_root, caplog
):
    item = put_twin(shrinking_bytes(SIZE), origin_root)
    assert item.twin is not None
    flip(twin_file(item, origin_root), item.twin.frame_bytes[0] + 1000)
    comes_all_the_same(item, served, origin_root, arrived_root, caplog, "one.tar.part came wrong")
    assert "comes uncompressed" in caplog.text


def test_a_torn_twin_is_done_without(served, origin_root, arrived_root, caplog):
    item = put_twin(shrinking_bytes(SIZE), origin_root)
    os.truncate(twin_file(item, origin_root), SIZE // 4)
    comes_all_the_same(item, served, origin_root, arrived_root, caplog, "comes uncompressed")


def test_the_twin_of_another_version_is_done_without(served, origin_root, arrived_root, caplog):
    other = put_twin(shrinking_bytes(SIZE, seed=2), origin_root)
    item = put(shrinking_bytes(SIZE), at=origin_root, path=other.path, block_bytes=BLOCK)
    stale = replace(item, twin=other.twin)
    comes_all_the_same(stale, served, origin_root, arrived_root, caplog, "instead of xxh3-128:")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda lengths: lengths[:-1], id="too few frames"),
        pytest.param(lambda lengths: (*lengths[:-1], 0), id="an empty frame"),
        pytest.param(lambda lengths: (-1, *lengths[1:]), id="a negative length"),
        pytest.param(lambda lengths: (2**60, *lengths[1:]), id="a huge length"),
        pytest.param(lambda lengths: (lengths[0] - 1, lengths[1] + 1, *lengths[2:]), id="shifted"),
        pytest.param(lambda lengths: (*lengths[:-1], lengths[-1] + 1), id="into the next"),
    ],
)
def test_a_wrong_index_is_found_out(change, served, origin_root, arrived_root, caplog):
    item = put_twin(shrinking_bytes(SIZE), origin_root)
    assert item.twin is not None
    wrong = replace(item, twin=replace(item.twin, frame_bytes=change(item.twin.frame_bytes)))
    assert pulled([wrong], served, arrived_root).finished
    assert is_whole(item, origin_root, arrived_root)


def test_a_file_that_is_damaged_itself_is_called_so_when_its_twin_is_of_no_use(served, origin_root, arrived_root):
    item, good = (put_twin(shrinking_bytes(SIZE), origin_root, path=path) for path in ("bad.tar", "good.tar"))
    twin_file(item, origin_root).unlink()
    flip(origin_root / "bad.tar", 100)
    with pytest.raises(DamagedOriginError) as raised:
        pulled([item, good], served, arrived_root)
    assert raised.value.items == (item,)
    assert is_whole(good, origin_root, arrived_root)


# ----- frames are not believed


def packed(content: bytes, **options) -> bytes:
    return zstandard.ZstdCompressor(level=1, **options).compress(content)


def frame_of(content: bytes, length: int) -> Frame:
    block = blocks_of(item_of(content, block_bytes=max(1, len(content))).content)[0]
    return Frame(0, 0, length, block.checksum, block)


def test_frames_lie_one_after_the_other():
    item = replace(item_of(bytes(2500)), twin=Twin("t", (10, 20, 30)))
    frames = frames_of(item, blocks_of(item.content)[1:])
    assert [(frame.number, frame.offset, frame.length, frame.content_bytes) for frame in frames] == [
        (1, 10, 20, 1000),
        (2, 30, 30, 500),
    ]


@pytest.mark.parametrize("size", [1, 130_000, MB])
def test_a_frame_is_unpacked_from_pieces_of_any_size(size):
    content = shrinking_bytes(size)
    bytes_there = memoryview(packed(content))
    for step in (1, 7, 255 * 1024) if size < MB else (1000,):
        pieces = [bytes_there[start : start + step] for start in range(0, len(bytes_there), step)]
        with Unpacker().unpacked(frame_of(content, len(bytes_there)), pieces) as unpacked:
            assert unpacked == content


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        pytest.param(packed(bytes(2 * MB)), "more than 1,000,000 bytes", id="holds more than the block"),
        pytest.param(packed(bytes(2**30)), "more than 1,000,000 bytes", id="a bomb"),
        pytest.param(packed(bytes(MB - 1)), "999,999 bytes instead", id="holds less"),
        pytest.param(packed(bytes(MB))[:-3], "instead of 1,000,000", id="torn"),
        pytest.param(b"\x28\xb5\x2f\xfd" + b"\xe0" + b"\xff" * 30, "no frame", id="claims 2**64 bytes"),
        pytest.param(os.urandom(3000), "no frame", id="noise"),
        pytest.param(b"", "0 bytes instead", id="nothing"),
    ],
)
def test_what_is_no_frame_of_the_block_is_refused_in_the_blocks_own_memory(frame, said):
    unpacker = Unpacker()
    with pytest.raises(FrameError, match=said), unpacker.unpacked(frame_of(bytes(MB), len(frame)), [memoryview(frame)]):
        pass
    assert len(unpacker._memory) == MB


def test_a_frame_that_wants_a_huge_window_is_refused():
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=27, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()  # does not say its size: the window
    frame = packer.compress(bytes(MB)) + packer.flush()
    with (
        pytest.raises(FrameError, match="no frame"),
        Unpacker().unpacked(frame_of(bytes(MB), len(frame)), [memoryview(frame)]),
    ):
        pass


# ----- making twins


def made(item: Item, root: Path, **options) -> Twin:
    return make_twin(item, storage=DiskStorage(root), check=lambda: None, **options)


def test_a_twin_is_what_any_zstd_unpacks_to_the_file(origin_root):
    item = put(shrinking_bytes(SIZE), at=origin_root, path="chai/one.tar", block_bytes=BLOCK)
    twin = made(item, origin_root)
    assert twin.path == "compressed/chai/one.tar.zst"
    with (origin_root / twin.path).open("rb") as file:
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        assert reader.read() == (origin_root / item.path).read_bytes()


def test_a_twin_that_is_there_is_not_made_again(origin_root):
    item = put(shrinking_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    first = made(item, origin_root)
    before = twin_file(item, origin_root).stat()
    assert made(item, origin_root) == first
    assert twin_file(item, origin_root).stat().st_ino == before.st_ino


def test_threads_change_nothing(origin_root):
    item = put(shrinking_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    made(item, origin_root, threads=1)
    one = twin_file(item, origin_root).read_bytes()
    twin_file(item, origin_root).unlink()
    made(item, origin_root, threads=4)
    assert twin_file(item, origin_root).read_bytes() == one


@pytest.mark.parametrize("torn", ["end", "index", "mark", "empty", "front"])
def test_a_torn_twin_counts_for_nothing_and_is_made_again(origin_root, torn):
    item = put(shrinking_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    twin = made(item, origin_root)
    path = twin_file(item, origin_root)
    whole = path.read_bytes()
    path.write_bytes(
        {
            "end": whole[:-1],
            "index": whole[:-30] + bytes([whole[-30] ^ 1]) + whole[-29:],
            "mark": whole[:-1] + b"?",
            "empty": b"",
            "front": whole[1:],
        }[torn]
    )
    assert known_twin(item, storage=DiskStorage(origin_root)) is None
    assert made(item, origin_root) == twin
    assert path.read_bytes() == whole


def test_the_twin_of_another_version_is_made_anew(origin_root):
    put_twin(shrinking_bytes(SIZE, seed=2), origin_root)
    item = put(shrinking_bytes(SIZE), at=origin_root, path="chai/one.tar", block_bytes=BLOCK)
    assert known_twin(item, storage=DiskStorage(origin_root)) is None
    assert known_twin(replace(item, twin=made(item, origin_root)), storage=DiskStorage(origin_root)) is not None


@pytest.mark.parametrize("size", [0, 1000, SIZE, 40 * MB])
def test_what_does_not_shrink_has_no_twin_and_leaves_nothing(origin_root, size):
    item = put(some_bytes(size), at=origin_root, block_bytes=BLOCK)
    with pytest.raises(NoTwinError, match=r"shrink|empty"):
        made(item, origin_root)
    assert names(origin_root) == {"one.tar"}


def test_a_file_that_is_damaged_has_no_twin(origin_root):
    item = put(shrinking_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    flip(origin_root / item.path, SIZE // 2)
    with pytest.raises(NoTwinError, match="is not what it should be"):
        made(item, origin_root)
    put(shrinking_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    os.truncate(origin_root / item.path, SIZE - 1)
    with pytest.raises(NoTwinError, match="shorter"):
        made(item, origin_root)
    assert names(origin_root) == {"one.tar"}


def test_no_twin_is_begun_without_room_for_it(origin_root, monkeypatch):
    item = put(shrinking_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    space = DiskStorage(origin_root).space()
    assert space is not None
    monkeypatch.setattr("include.transfer.compressed_twin.RESERVE_BYTES", space.free_bytes)
    with pytest.raises(NoTwinError, match="no room"):
        made(item, origin_root)
    assert names(origin_root) == {"one.tar"}


def test_twins_that_nobody_needs_are_swept_and_nothing_else(origin_root):
    items = [put_twin(shrinking_bytes(5000), origin_root, path=f"a/{n}.tar") for n in range(3)]
    storage = DiskStorage(origin_root)
    assert sweep_twins(storage, needed=lambda paths: {"a/1.tar"} & set(paths)) == 2
    assert names(origin_root) == {"0.tar", "1.tar", "2.tar", "1.tar.zst"}
    assert known_twin(items[1], storage=storage) == items[1].twin
    assert sweep_twins(storage, needed=lambda _: set()) == 1
    assert sweep_twins(storage, needed=lambda _: set()) == 0
