"""What every storage promises, tried on each of them: a disk, two SFTP servers, an S3 store and the fake."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from include.errors import BadInputError, MissingFileError, TransientError
from include.storage.interface import CHUNK_BYTES, Storage

ODD_PATHS = (
    "a file.g3",
    "-rf",
    "deep/er/and/deep/er/file",
    "ü/日本語/🔭.g3",
    "50%/a+b&c=d#e?f.g3",
    "'quoted' \"twice\"",
    "back\\slash",
    "%2F%20 not encoded",
    "~home",
    " space around ",
    "trailing dot.",
    ".hidden/.file",
    "a:b;c,d@e!f$g(h)[i]{j}*",
    "new\nline",
    "x" * 200,
)

REFUSED_PATHS = (
    "",
    "/",
    "/etc/passwd",
    "..",
    "a/../b",
    "a/..",
    "../a",
    "a//b",
    "./a",
    "a/.",
    "a/",
    "a\0b",
    "\udce4",
    ".dts_location",
)


def content_of(storage: Storage, path: str) -> bytes:
    return b"".join(storage.read(path))


def paths_in(storage: Storage, prefix: str = "") -> list[str]:
    return sorted(found.path for found in storage.list(prefix))


def test_what_was_written_is_read_back(storage: Storage) -> None:
    storage.write("a/b.g3", [b"one ", bytearray(b"two "), memoryview(b"three")])
    assert content_of(storage, "a/b.g3") == b"one two three"


def test_an_empty_file_is_a_file(storage: Storage) -> None:
    storage.write("empty", [])
    assert content_of(storage, "empty") == b""
    found = storage.stat("empty")
    assert found is not None
    assert found.size_bytes == 0
    assert list(storage.read("empty", length=0)) == []


def test_odd_names_survive(storage: Storage) -> None:
    for path in ODD_PATHS:
        storage.write(path, [path.encode()])
    assert paths_in(storage) == sorted(ODD_PATHS)
    for path in ODD_PATHS:
        assert content_of(storage, path) == path.encode()
        assert storage.delete(path), path
    assert paths_in(storage) == []


def test_paths_that_are_none_or_leave_the_root_are_refused(storage: Storage) -> None:
    def unread() -> Iterator[bytes]:
        pytest.fail("the content was asked for")
        yield b""

    for path in REFUSED_PATHS:
        for attempt in (
            lambda path: storage.write(path, unread()),
            storage.stat,
            lambda path: next(storage.read(path)),
            storage.delete,
        ):
            with pytest.raises(BadInputError, match="is refused"):
                attempt(path)


def test_prefixes_that_leave_the_root_are_refused(storage: Storage) -> None:
    for prefix in ("/", "..", "a/../..", "a//", "a\0"):
        with pytest.raises(BadInputError, match="is refused"):
            next(storage.list(prefix))


def test_stat_gives_size_and_time(storage: Storage) -> None:
    storage.write("file", [b"12345"])
    found = storage.stat("file")
    assert found is not None
    assert (found.path, found.size_bytes, found.modified_at.tzinfo) == ("file", 5, UTC)
    assert abs(found.modified_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_what_is_not_there_is_none_and_cannot_be_read(storage: Storage) -> None:
    storage.write("folder/file", [b""])
    for path in ("missing", "folder/missing", "missing/file", "folder"):
        assert storage.stat(path) is None
        with pytest.raises(MissingFileError):
            next(storage.read(path))


def test_a_range_is_read_alone(storage: Storage) -> None:
    content = random.Random(1).randbytes(3 * CHUNK_BYTES + 17)
    storage.write("file", [content])
    for offset, length in ((0, 1), (5, 10), (CHUNK_BYTES - 1, 2), (7, 2 * CHUNK_BYTES), (len(content) - 3, 3), (9, 0)):
        assert b"".join(storage.read("file", offset=offset, length=length)) == content[offset : offset + length]
    for offset in (1, CHUNK_BYTES, len(content) - 1, len(content)):
        assert b"".join(storage.read("file", offset=offset)) == content[offset:]


def test_chunks_are_at_most_1_mib(storage: Storage) -> None:
    storage.write("file", [bytes(5 * CHUNK_BYTES + 1)])
    lengths = [len(chunk) for chunk in storage.read("file")]
    assert max(lengths) <= CHUNK_BYTES
    assert sum(lengths) == 5 * CHUNK_BYTES + 1


def test_more_than_there_is_cannot_be_read(storage: Storage) -> None:
    storage.write("file", [b"12345"])
    for offset, length in ((0, 6), (3, 3), (6, None), (6, 0), (100, 1)):
        with pytest.raises(TransientError, match="has only 5 bytes"):
            list(storage.read("file", offset=offset, length=length))


def test_a_read_may_be_left_early_and_the_storage_used_on(storage: Storage) -> None:
    storage.write("file", [random.Random(1).randbytes(20 * CHUNK_BYTES)])
    reading = storage.read("file")
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert storage.delete("file")


def test_a_large_file_is_written_in_parts_whatever_the_chunks(storage: Storage) -> None:
    content = random.Random(2).randbytes(33_333_333)
    view = memoryview(content)
    uneven = (view[start : start + 777_777] for start in range(0, len(content), 777_777))
    storage.write("large", uneven, size_bytes=len(content))
    assert content_of(storage, "large") == content


def test_a_chunk_may_be_overwritten_once_the_next_is_asked_for(storage: Storage) -> None:
    def reused() -> Iterator[memoryview]:
        buffer = bytearray(1_500_000)
        for value in range(20):
            buffer[:] = bytes([value]) * len(buffer)
            yield memoryview(buffer)

    storage.write("file", reused())
    assert content_of(storage, "file") == b"".join(bytes([value]) * 1_500_000 for value in range(20))


@pytest.mark.parametrize("size", [0, 10, 12_000_000])
def test_a_file_whose_chunks_fail_never_appears(storage: Storage, size: int) -> None:
    def failing() -> Iterator[bytes]:
        yield bytes(size)
        raise OSError("the other side failed")

    with pytest.raises(OSError, match="the other side failed"):
        storage.write("folder/file", failing())
    assert storage.stat("folder/file") is None
    assert paths_in(storage) == []


@pytest.mark.parametrize("size", [9, 11, 12_000_000])
def test_a_file_of_another_size_than_promised_never_appears(storage: Storage, size: int) -> None:
    with pytest.raises(TransientError):
        storage.write("file", [bytes(size)], size_bytes=10)
    assert storage.stat("file") is None


def test_the_old_file_stays_until_the_new_one_is_complete(storage: Storage) -> None:
    storage.write("file", [b"old"])

    def looking() -> Iterator[bytes]:
        yield b"new"
        assert content_of(storage, "file") == b"old"
        assert paths_in(storage) == ["file"]

    storage.write("file", looking())
    assert content_of(storage, "file") == b"new"


def test_a_failed_overwrite_leaves_the_old_file(storage: Storage) -> None:
    storage.write("file", [b"old"])
    with pytest.raises(TransientError):
        storage.write("file", [b"new"], size_bytes=1000)
    assert content_of(storage, "file") == b"old"


def test_delete_says_whether_the_file_was_there(storage: Storage) -> None:
    storage.write("a/b/file", [b"x"])
    assert storage.delete("a/b/file") is True
    assert storage.delete("a/b/file") is False
    assert storage.delete("never/there") is False
    assert storage.stat("a/b/file") is None


def test_delete_takes_only_the_file_it_was_given(storage: Storage) -> None:
    for path in ("a/b/one", "a/b/two", "a/c"):
        storage.write(path, [b"x"])
    assert storage.delete("a/b/one")
    assert storage.delete("a/b") is False
    assert paths_in(storage) == ["a/b/two", "a/c"]


def test_the_last_file_can_be_deleted_and_another_written(storage: Storage) -> None:
    storage.write("a/b/c/d", [b"x"])
    assert storage.delete("a/b/c/d")
    storage.write("a/b/c/e", [b"y"])
    assert paths_in(storage) == ["a/b/c/e"]


def test_list_shows_a_folder_and_what_is_below_it(storage: Storage) -> None:
    for path in ("a/1", "a/b/2", "ab/3", "4"):
        storage.write(path, [path.encode()])
    assert paths_in(storage) == ["4", "a/1", "a/b/2", "ab/3"]
    assert paths_in(storage, "a") == ["a/1", "a/b/2"]
    assert paths_in(storage, "a/") == ["a/1", "a/b/2"]
    assert paths_in(storage, "missing") == []
    assert paths_in(storage, "4") == []
    assert [found.size_bytes for found in storage.list("ab")] == [4]


def test_space_is_known_or_none(storage: Storage) -> None:
    space = storage.space()
    if space is not None:
        assert 0 < space.free_bytes <= space.total_bytes


def test_a_closed_storage_works_again(storage: Storage) -> None:
    storage.write("file", [b"x"])
    storage.close()
    storage.close()
    assert content_of(storage, "file") == b"x"
