"""What only an S3 store can do, or do wrong."""

import random
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from include.errors import PermanentError, TransientError
from include.sandbox.ports import free_port
from include.sandbox.s3 import S3
from include.storage.s3 import S3Storage
from include.storage.s3_client import S3Address
from include.storage.s3_upload import part_size
from tests.storage.conftest import SMALLEST_PART_BYTES, boto3_client

MIB = 1024 * 1024


@pytest.fixture
def storage(s3_address: S3Address) -> S3Storage:
    return S3Storage(s3_address, part_bytes=SMALLEST_PART_BYTES)


def keys_in(address: S3Address) -> list[str]:
    return [entry["Key"] for entry in boto3_client(address).list_objects_v2(Bucket=address.bucket).get("Contents", ())]


def uploads_in(address: S3Address) -> list[object]:
    try:
        return list(boto3_client(address).list_multipart_uploads(Bucket=address.bucket).get("Uploads", ()))
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchUpload":  # rclone's word for a bucket that never saw an upload
            return []
        raise


def test_a_list_goes_on_where_one_answer_of_1000_keys_ends(tmp_path: Path) -> None:
    with S3.running(tmp_path, bucket="archive") as store:
        folder = tmp_path / "store" / "archive" / "many"
        folder.mkdir()
        for number in range(2345):
            (folder / f"{number:04}").touch()
        address = S3Address(endpoint_url=store.endpoint, bucket="archive", key=store.key, secret=store.secret)
        assert [found.path for found in S3Storage(address).list("many")] == [f"many/{n:04}" for n in range(2345)]


@pytest.mark.parametrize("extra", [-1, 0, 1])
@pytest.mark.parametrize("parts", [1, 2, 7])
def test_sizes_around_the_end_of_a_part(storage: S3Storage, parts: int, extra: int) -> None:
    content = random.Random(parts).randbytes(parts * SMALLEST_PART_BYTES + extra)
    storage.write("object", [content], size_bytes=len(content))
    assert b"".join(storage.read("object")) == content
    assert uploads_in(storage.address) == []


def test_a_large_object_goes_by_multipart_and_a_small_one_does_not(
    storage: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[str] = []
    storage._client.meta.events.register("before-call.s3", lambda model, **_: requests.append(model.name))
    storage.write("small", [bytes(SMALLEST_PART_BYTES - 1)])
    assert requests == ["PutObject"]
    requests.clear()
    storage.write("large", [bytes(SMALLEST_PART_BYTES + 1)])
    assert requests == ["CreateMultipartUpload", "UploadPart", "UploadPart", "CompleteMultipartUpload"]


def test_a_failed_upload_is_aborted(storage: S3Storage) -> None:
    def failing() -> Iterator[bytes]:
        for _ in range(3):
            yield bytes(SMALLEST_PART_BYTES)
        assert len(uploads_in(storage.address)) == 1
        raise RuntimeError("the other side failed")

    with pytest.raises(RuntimeError, match="the other side failed"):
        storage.write("object", failing())
    assert uploads_in(storage.address) == []
    assert keys_in(storage.address) == []


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(None, 16), (0, 16), (160_000 * MIB, 16), (160_000 * MIB + 1, 17), (1_000_000 * MIB, 100)],
)
def test_parts_grow_so_that_10000_of_them_are_enough(size_bytes: int | None, expected: int) -> None:
    assert part_size(size_bytes) == expected * MIB
    assert (size_bytes or 0) <= part_size(size_bytes) * 10_000


def test_memory_is_bounded_whatever_the_size(storage: S3Storage) -> None:
    tracemalloc.start()
    try:
        storage.write("object", (bytes(MIB) for _ in range(80)))
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        for _ in storage.read("object"):
            pass
        read = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert written < 8 * SMALLEST_PART_BYTES
    assert read < 8 * SMALLEST_PART_BYTES


def test_a_prefix_is_a_folder_of_its_own(s3_address: S3Address) -> None:
    inside = S3Storage(replace(s3_address, prefix="/raw/data/"))
    inside.write("a/file", [b"x"])
    assert keys_in(s3_address) == ["raw/data/a/file"]
    S3Storage(s3_address).write("raw/data2/file", [b"x"])
    assert [found.path for found in inside.list()] == ["a/file"]


def test_a_missing_bucket_is_never_an_empty_one(s3_address: S3Address) -> None:
    """Else a wrong connection would look as if all its objects had been deleted."""
    storage = S3Storage(replace(s3_address, bucket="nowhere"))
    for attempt in (
        lambda: storage.stat("object"),
        lambda: next(storage.read("object")),
        lambda: next(storage.read("object", offset=5, length=0)),
        lambda: storage.write("object", [b"x"]),
        lambda: storage.write("object", [bytes(20 * MIB)]),
        lambda: storage.delete("object"),
        lambda: next(storage.list()),
    ):
        with pytest.raises(PermanentError, match="bucket nowhere at http.* does not exist: create it"):
            attempt()


@pytest.mark.parametrize("field", ["key", "secret"])
def test_wrong_credentials_say_where_and_never_what(s3_address: S3Address, field: str) -> None:
    storage = S3Storage(replace(s3_address, **{field: "wrong"}))  # type: ignore[arg-type]
    with pytest.raises(
        PermanentError, match=f"bucket {s3_address.bucket} at {s3_address.endpoint_url} refuses"
    ) as caught:
        storage.write("object", [b"x"])
    assert s3_address.secret not in str(caught.value)
    with pytest.raises(PermanentError):
        storage.stat("object")


def test_the_address_never_shows_its_secret(s3_address: S3Address) -> None:
    assert s3_address.secret not in repr(s3_address)


def test_a_store_that_does_not_answer_is_tried_again(s3_address: S3Address) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    storage = S3Storage(replace(s3_address, endpoint_url=endpoint))
    for attempt in (lambda: storage.stat("a"), lambda: next(storage.read("a")), lambda: storage.write("a", [b"x"])):
        with pytest.raises(TransientError, match=endpoint):
            attempt()


def test_a_store_that_dies_is_a_transient_error(tmp_path: Path) -> None:
    with S3.running(tmp_path, bucket="archive") as store:
        address = S3Address(endpoint_url=store.endpoint, bucket="archive", key=store.key, secret=store.secret)
        storage = S3Storage(address, part_bytes=SMALLEST_PART_BYTES)
        storage.write("object", [bytes(64 * MIB)])
        reading = storage.read("object")
        next(reading)

        def dying() -> Iterator[bytes]:
            yield bytes(2 * SMALLEST_PART_BYTES)
            store.daemon.kill()
            yield bytes(2 * SMALLEST_PART_BYTES)

        with pytest.raises(TransientError, match=store.endpoint):
            storage.write("other", dying())
        with pytest.raises(TransientError, match=store.endpoint):
            for _ in reading:
                pass


def test_a_key_beyond_1024_bytes_is_refused(storage: S3Storage) -> None:
    with pytest.raises(PermanentError):
        storage.write("x/" * 600 + "x", [b"x"])
