"""Into an S3 bucket by parts, from a folder, an SFTP server and another bucket."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from include.errors import LeaseLostError, PermanentError, TransientError
from include.sandbox.s3 import S3
from include.storage.disk import DiskStorage
from include.storage.s3 import S3Storage
from include.storage.s3_client import S3Address
from include.storage.s3_upload import MOST_PARTS
from include.transfer import adapt, part_lines, rounds, to_s3
from include.transfer.blocks import Item
from include.transfer.parts import parts_of
from include.transfer.pulled import DamagedOriginError, Origin, Pulled
from include.transfer.terms import Terms
from include.transfer.to_s3 import put
from tests.transfer.samples import item_of, some_bytes
from tests.transfer.samples import put as put_file

MIB = 1024 * 1024
BLOCK = 2 * MIB
PART = 5 * MIB
SIZE = 31 * MIB + 77


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Address]:
    with S3.running(tmp_path_factory.mktemp("s3"), bucket="archive") as store:
        yield S3Address(endpoint_url=store.endpoint, bucket=store.bucket, key=store.key, secret=store.secret)


def client(address: S3Address):
    return boto3.client(
        "s3",
        endpoint_url=address.endpoint_url,
        aws_access_key_id=address.key,
        aws_secret_access_key=address.secret,
        region_name="us-east-1",
    )


@pytest.fixture
def archive(store: S3Address, request: pytest.FixtureRequest) -> Iterator[S3Storage]:
    address = replace(store, bucket=f"b{abs(hash(request.node.name)) % 10**10}", prefix="raw")
    client(address).create_bucket(Bucket=address.bucket)
    with closing(S3Storage(address)) as storage:
        yield storage


def uploads_in(archive: S3Storage) -> list[object]:
    try:
        found = client(archive.address).list_multipart_uploads(Bucket=archive.address.bucket)
    except ClientError:
        return []
    return list(found.get("Uploads", ()))


@dataclass
class Watched(DiskStorage):
    """Remembers what was read, and lies about a byte so many times."""

    root: Path
    lies: int = 0
    lie_at: int = 0

    def __post_init__(self) -> None:
        self.reads: list[tuple[int, int | None]] = []

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.reads.append((offset, length))
        for chunk in super().read(path, offset=offset, length=length):
            if self.lies and offset <= self.lie_at < offset + len(chunk):
                self.lies -= 1
                wrong = bytearray(chunk)
                wrong[self.lie_at - offset] ^= 0xFF
                yield bytes(wrong)
            else:
                yield chunk
            offset += len(chunk)


def put_all(item, storage, archive, *, source_path=None, reader_of=None, **terms) -> Pulled:
    return put(
        item,
        origin=Origin("ccat_buffer", storage),
        archive=archive,
        source_path=source_path,
        smallest_part=PART,
        reader_of=reader_of,
        terms=Terms(**terms),
    )


def content(archive: S3Storage, path: str) -> bytes:
    return b"".join(archive.read(path))


@pytest.mark.parametrize("size", [0, 1, BLOCK, 3 * BLOCK, 3 * BLOCK + 1, SIZE])
def test_files_of_all_sizes_are_there_as_they_were(archive, origin_root, size):
    item = put_file(some_bytes(size), at=origin_root, block_bytes=BLOCK)
    assert put_all(item, DiskStorage(origin_root), archive) == Pulled(size, 0, finished=True)
    assert content(archive, item.path) == some_bytes(size)
    assert uploads_in(archive) == []


def test_parts_are_whole_blocks_and_each_is_read_once(archive, origin_root):
    item = put_file(some_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    there = Watched(origin_root)
    put_all(item, there, archive)
    step = 3 * BLOCK
    assert sorted(there.reads) == [(at, min(step, SIZE - at)) for at in range(0, SIZE, step)]


@pytest.mark.parametrize("size", [10**9, 50 * 10**9, 5 * 2**40])
def test_up_to_5_tb_need_no_more_parts_than_s3_allows(size):
    block = 64 * MIB

    class Content:
        name = checksum = "some"
        size_bytes = size
        block_bytes = block
        block_checksums = ("",) * -(-size // block)

    parts = parts_of(Item("some.tar", Content()))
    assert len(parts) <= MOST_PARTS
    assert parts[-1].offset + parts[-1].size_bytes == size
    assert all(part.size_bytes % block == 0 and part.size_bytes <= 5 * 2**30 for part in parts[:-1])


def test_from_an_sftp_server(archive, origin_root, served, cable):
    item = put_file(some_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    assert put_all(item, served, archive) == Pulled(SIZE, 0, finished=True)
    assert content(archive, item.path) == some_bytes(SIZE)
    assert cable.connections > 1


def test_from_another_bucket(archive, store, origin_root):
    item = item_of(some_bytes(SIZE), block_bytes=BLOCK)
    with closing(S3Storage(replace(store, prefix="elsewhere"))) as there:
        there.write(item.path, [some_bytes(SIZE)])
        assert put_all(item, there, archive) == Pulled(SIZE, 0, finished=True)
    assert content(archive, item.path) == some_bytes(SIZE)


def test_it_is_read_from_where_it_lies_there(archive, origin_root):
    item = put_file(some_bytes(SIZE), at=origin_root, path="other/name.tar", block_bytes=BLOCK)
    there = replace(item, path="chai/one.tar")
    put_all(there, DiskStorage(origin_root), archive, source_path="other/name.tar")
    assert content(archive, "chai/one.tar") == some_bytes(SIZE)


def test_what_the_store_has_of_an_upload_that_was_cut_off_is_not_sent_again(archive, origin_root):
    item = put_file(some_bytes(SIZE), at=origin_root, block_bytes=BLOCK)

    def stop() -> None:
        raise LeaseLostError("somebody else has it")

    with pytest.raises(LeaseLostError):
        put_all(item, DiskStorage(origin_root), archive, check=stop)
    assert archive.stat(item.path) is None
    assert len(uploads_in(archive)) == 1
    again = put_all(item, DiskStorage(origin_root), archive)
    assert again.bytes_skipped >= 3 * BLOCK
    assert (again.bytes_sent + again.bytes_skipped, again.finished) == (SIZE, True)
    assert content(archive, item.path) == some_bytes(SIZE)
    assert uploads_in(archive) == []


def test_it_hands_back_when_time_is_up_and_goes_on(archive, origin_root):
    item = put_file(some_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    sittings = []
    while not sittings or not sittings[-1].finished:
        sittings.append(put_all(item, DiskStorage(origin_root), archive, yield_after_seconds=0))
        assert sittings[-1].bytes_sent
    assert len(sittings) > 1
    assert sum(sitting.bytes_sent for sitting in sittings) == SIZE
    assert content(archive, item.path) == some_bytes(SIZE)


@pytest.mark.parametrize("size", [BLOCK, SIZE])
def test_a_block_that_comes_wrong_once_is_read_again(archive, origin_root, size):
    item = put_file(some_bytes(size), at=origin_root, block_bytes=BLOCK)
    there = Watched(origin_root, lies=1, lie_at=size - 3)
    assert put_all(item, there, archive).finished
    assert there.lies == 0
    assert content(archive, item.path) == some_bytes(size)


@pytest.mark.parametrize("size", [BLOCK, SIZE])
def test_a_damaged_file_is_named_and_makes_neither_object_nor_parts(archive, origin_root, size):
    item = put_file(some_bytes(size), at=origin_root, block_bytes=BLOCK)
    wrong = bytearray(some_bytes(size))
    wrong[size - 3] ^= 0xFF
    (origin_root / item.path).write_bytes(wrong)
    with pytest.raises(DamagedOriginError, match=r"in ccat_buffer: block \d+ .* has checksum xxh3-128:") as caught:
        put_all(item, DiskStorage(origin_root), archive)
    assert caught.value.items == (item,)
    assert archive.stat(item.path) is None
    assert uploads_in(archive) == []


@pytest.mark.parametrize("size", [BLOCK, SIZE])
def test_a_short_file_and_a_missing_one_are_named(archive, origin_root, size):
    item = put_file(some_bytes(size), at=origin_root, block_bytes=BLOCK)
    (origin_root / item.path).write_bytes(some_bytes(size)[:-1])
    with pytest.raises(DamagedOriginError, match=f"has {size - 1} bytes instead of {size}"):
        put_all(item, DiskStorage(origin_root), archive)
    (origin_root / item.path).unlink()
    with pytest.raises(DamagedOriginError) as caught:
        put_all(item, DiskStorage(origin_root), archive)
    assert caught.value.missing == (item,)
    assert uploads_in(archive) == []


def test_a_store_that_goes_away_is_a_passing_trouble_and_an_upload_it_forgot_is_begun_anew(tmp_path, origin_root):
    item = put_file(some_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    with S3.running(tmp_path / "s3", bucket="archive") as store:
        address = S3Address(endpoint_url=store.endpoint, bucket="archive", key=store.key, secret=store.secret)
        with pytest.raises(TransientError):
            put_all(item, DiskStorage(origin_root), S3Storage(address), on_progress=lambda _: store.daemon.kill())
    with S3.running(tmp_path / "s3 again", bucket="archive") as store:
        address = S3Address(endpoint_url=store.endpoint, bucket="archive", key=store.key, secret=store.secret)
        assert put_all(item, DiskStorage(origin_root), S3Storage(address)).finished
        assert content(S3Storage(address), item.path) == some_bytes(SIZE)


class Empty:
    """The body of an answer without one."""

    def stream(self) -> Iterator[bytes]:
        yield b""


def answers_404(client, operation: str, *, to: int) -> None:
    """Of requests for an operation, the one of this number is answered by a bare 404, as by a proxy."""
    asked = []

    def answer(request, **_):
        asked.append(request)
        return AWSResponse(request.url, 404, {}, Empty()) if len(asked) == to else None

    client.meta.events.register(f"before-send.s3.{operation}", answer)


def test_a_bare_404_of_the_store_is_not_a_missing_source(archive, origin_root):
    item = put_file(some_bytes(BLOCK), at=origin_root, block_bytes=BLOCK)
    answers_404(archive._client, "PutObject", to=1)
    with pytest.raises(TransientError, match="no longer knows the upload"):
        put_all(item, DiskStorage(origin_root), archive)
    assert put_all(item, DiskStorage(origin_root), archive).finished


@pytest.mark.parametrize(
    ("operation", "to"), [("CreateMultipartUpload", 1), ("UploadPart", 3), ("CompleteMultipartUpload", 1)]
)
def test_an_upload_that_the_store_lost_is_a_passing_trouble(archive, origin_root, operation, to):
    item = put_file(some_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    answers_404(archive.streamed(item.path).client, operation, to=to)
    with pytest.raises(TransientError, match="no longer knows the upload"):
        put_all(item, DiskStorage(origin_root), archive)
    assert put_all(item, DiskStorage(origin_root), archive).finished
    assert content(archive, item.path) == some_bytes(SIZE)


@pytest.mark.parametrize("size", [BLOCK, SIZE])
def test_a_bucket_that_is_not_there_needs_a_person_and_says_nothing_about_the_source(store, origin_root, size):
    item = put_file(some_bytes(size), at=origin_root, block_bytes=BLOCK)
    with closing(S3Storage(replace(store, bucket="never-made"))) as nowhere:
        with pytest.raises(PermanentError, match="bucket never-made at .* does not exist"):
            put_all(item, DiskStorage(origin_root), nowhere)
        for operation in ("PutObject", "CreateMultipartUpload"):
            answers_404(nowhere._client, operation, to=1)
        with pytest.raises(PermanentError, match="bucket never-made at .* does not exist"):
            put_all(item, DiskStorage(origin_root), nowhere)


def test_a_source_that_only_seemed_to_be_missing_is_not_called_so(archive, store, origin_root):
    item = item_of(some_bytes(BLOCK), block_bytes=BLOCK)
    with closing(S3Storage(replace(store, prefix="elsewhere"))) as there:
        there.write(item.path, [some_bytes(BLOCK)])
        answers_404(there._client, "GetObject", to=1)
        with pytest.raises(TransientError, match="was not there a moment ago"):
            put_all(item, there, archive)
        assert put_all(item, there, archive).finished


class AtOnce:
    """Reads 64 kB in 5 ms, and remembers how many parts were read at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()

    def reader(self, storage, path):
        def read(offset: int, length: int) -> Iterator[bytes]:
            self._changed(1)
            try:
                for at in range(offset, offset + length, 65536):
                    time.sleep(0.005)  # a connection's rate
                    yield from storage.read(path, offset=at, length=min(65536, offset + length - at))
            finally:
                self._changed(-1)

        return read

    def _changed(self, by: int) -> None:
        with self._lock:
            self.now += by
            self.most = max(self.most, self.now)


def test_the_parts_at_once_grow_while_it_helps_and_each_decision_is_told(archive, origin_root, monkeypatch):
    monkeypatch.setattr(rounds, "ROUND_SECONDS", 0.1)
    monkeypatch.setattr(rounds, "ROUND_ROUND_TRIPS", 0)
    monkeypatch.setattr(adapt, "NEAR_SECONDS", 0.0)
    monkeypatch.setattr(to_s3, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(part_lines, "NEAR_PARTS", 2)
    item = put_file(some_bytes(2 * SIZE), at=origin_root, block_bytes=BLOCK)
    at_once, decisions = AtOnce(), []
    put_all(item, DiskStorage(origin_root), archive, reader_of=at_once.reader, on_decision=decisions.append)
    assert decisions[0].streams == 2
    assert "the store is near" in decisions[0].why
    assert decisions[1].streams == 3
    assert "3 are tried, to see whether the link holds more" in decisions[1].why
    assert at_once.most >= 3
    assert content(archive, item.path) == some_bytes(2 * SIZE)


def test_it_begins_with_as_many_parts_as_the_last_one_ended_with(archive, origin_root):
    item = put_file(some_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    at_once, decisions = AtOnce(), []
    put_all(
        item,
        DiskStorage(origin_root),
        archive,
        reader_of=at_once.reader,
        on_decision=decisions.append,
        remembered_streams=3,
    )
    assert at_once.most == 3
    assert [decision.why for decision in decisions] == ["3 connections: as many as the last transfer ended with."]


@pytest.mark.parametrize(("seconds", "streams"), [(0.002, 4), (0.03, 4), (0.06, 7), (0.25, 16), (2.0, 16)])
def test_a_far_store_is_begun_with_what_the_path_holds(seconds, streams):
    decision = part_lines.first(round_trip_seconds=seconds)
    assert decision.streams == streams
    assert decision.why.startswith(f"{streams} connections, one part each: ")


KILLED = """
import json, os, signal, sys
from include.storage.disk import DiskStorage
from include.storage.s3 import S3Storage
from include.storage.s3_client import S3Address
from include.transfer.pulled import Origin
from include.transfer.terms import Terms
from include.transfer.to_s3 import put
from tests.transfer.samples import item_of
order = json.loads(sys.argv[1])
item = item_of(open(order["root"] + "/chai/20260101/one.tar", "rb").read(), block_bytes=order["block"])
put(item, origin=Origin("ccat_buffer", DiskStorage(order["root"])), archive=S3Storage(S3Address(**order["address"])),
    smallest_part=order["part"], terms=Terms(on_progress=lambda _: os.kill(os.getpid(), signal.SIGKILL)))
"""


def test_killed_in_the_middle_it_goes_on_with_what_the_store_has(archive, origin_root):
    item = put_file(some_bytes(SIZE), at=origin_root, block_bytes=BLOCK)
    order = {"root": str(origin_root), "block": BLOCK, "part": PART, "address": asdict(archive.address)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, json.dumps(order)], check=False, cwd=Path(__file__).parents[2], timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert os.path.lexists(origin_root / item.path)
    again = put_all(item, DiskStorage(origin_root), archive)
    assert again.bytes_skipped >= 3 * BLOCK
    assert content(archive, item.path) == some_bytes(SIZE)
