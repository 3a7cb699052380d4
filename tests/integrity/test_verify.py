import io
import random
import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.errors import ChecksumMismatchError
from include.integrity.checksum import checksum_of
from include.integrity.manifest import Member
from include.integrity.package import write_package
from include.integrity.verify import checked_chunks, read_package
from include.storage.disk import DiskStorage
from tests.integrity.raw_files import MODIFIED_AT, Package, packed, source_file

CONTENTS = {
    "a/empty": b"",
    "a/first.g3": random.Random(1).randbytes(3000),
    "b/\U0001f52d": b"second",
    "c" * 120: random.Random(2).randbytes(1024),
    "zz": b"",
}
BLOCK_BYTES = 1000


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return packed(tmp_path_factory.mktemp("raw"), CONTENTS, block_bytes=BLOCK_BYTES)


class Unpacked:
    """A sink that keeps what came, and which members were left normally."""

    def __init__(self) -> None:
        self.written: dict[str, io.BytesIO] = {}
        self.kept: list[str] = []
        self.thrown_away: list[str] = []

    @contextmanager
    def sink(self, member: Member) -> Iterator[io.BytesIO]:
        self.written[member.path] = io.BytesIO()
        try:
            yield self.written[member.path]
        except BaseException:
            self.thrown_away.append(member.path)
            raise
        self.kept.append(member.path)

    def contents(self) -> Mapping[str, bytes]:
        return {path: written.getvalue() for path, written in self.written.items()}


def cut(content: bytes, chunk_bytes: int) -> Iterator[bytes]:
    return (content[start : start + chunk_bytes] for start in range(0, len(content), chunk_bytes))


@pytest.mark.parametrize("chunk_bytes", [1, 7, 512, 1000, 1024, 1_000_000])
def test_a_good_package_is_read_and_its_members_handed_out(package: Package, chunk_bytes: int) -> None:
    unpacked = Unpacked()
    read_package(cut(package.content, chunk_bytes), manifest=package.manifest, sink=unpacked.sink)
    assert unpacked.contents() == CONTENTS
    assert unpacked.kept == sorted(CONTENTS)


def test_a_package_can_be_verified_without_unpacking(package: Package) -> None:
    read_package([b"", package.content, b""], manifest=package.manifest)


def test_an_empty_package_is_no_trouble(tmp_path: Path) -> None:
    empty = packed(tmp_path, {})
    read_package([empty.content], manifest=empty.manifest)


@given(data=st.data(), bit=st.integers(0, 7), chunk_bytes=st.sampled_from([1, 100, 1000, 5000, 100_000]))
@settings(deadline=None, max_examples=300)
def test_any_flipped_bit_is_noticed_and_its_place_named(
    package: Package, data: st.DataObject, bit: int, chunk_bytes: int
) -> None:
    position = data.draw(st.integers(0, len(package.content) - 1))
    damaged = bytearray(package.content)
    damaged[position] ^= 1 << bit
    unpacked = Unpacked()
    with pytest.raises(ChecksumMismatchError, match=r"package-1\.tar") as caught:
        read_package(cut(bytes(damaged), chunk_bytes), manifest=package.manifest, sink=unpacked.sink)
    hit = [member for member in package.manifest.members if member.offset_bytes <= position < member.end_bytes]
    if hit:
        assert repr(hit[0].path) in str(caught.value)
        assert hit[0].path not in unpacked.kept
    else:
        assert f"block {position // BLOCK_BYTES} " in str(caught.value)


@given(length=st.integers(0, 7000))
@settings(deadline=None)
def test_a_package_that_ends_early_is_noticed(package: Package, length: int) -> None:
    length = min(length, len(package.content) - 1)
    unpacked = Unpacked()
    with pytest.raises(ChecksumMismatchError, match=r"package-1\.tar (has|: block)"):
        read_package(cut(package.content[:length], 600), manifest=package.manifest, sink=unpacked.sink)
    for path in unpacked.kept:
        assert unpacked.contents()[path] == CONTENTS[path]


def test_a_package_that_goes_on_is_noticed_before_the_rest_is_read(package: Package) -> None:
    def endless() -> Iterator[bytes]:
        yield package.content
        while True:
            yield b"x"

    with pytest.raises(ChecksumMismatchError, match="more than"):
        read_package(endless(), manifest=package.manifest)


def test_a_wrong_package_checksum_alone_is_noticed(package: Package) -> None:
    manifest = package.manifest.model_copy(update={"checksum": checksum_of([b"other"])})
    with pytest.raises(ChecksumMismatchError, match="the manifest contradicts itself"):
        read_package([package.content], manifest=manifest)


def test_a_wrong_member_checksum_alone_is_noticed(package: Package) -> None:
    members = list(package.manifest.members)
    members[1] = members[1].model_copy(update={"checksum": checksum_of([b"other"])})
    manifest = package.manifest.model_copy(update={"members": tuple(members)})
    unpacked = Unpacked()
    with pytest.raises(ChecksumMismatchError, match=r"member 'a/first\.g3' \(bytes \d+ to \d+\)"):
        read_package([package.content], manifest=manifest, sink=unpacked.sink)
    assert unpacked.thrown_away == ["a/first.g3"]


def test_what_goes_wrong_while_reading_reaches_the_open_member(package: Package) -> None:
    def broken() -> Iterator[bytes]:
        yield package.content[:2000]
        raise ConnectionError("cut")

    unpacked = Unpacked()
    with pytest.raises(ConnectionError):
        read_package(broken(), manifest=package.manifest, sink=unpacked.sink)
    assert unpacked.thrown_away == ["a/first.g3"]


def test_members_are_staged_as_files_that_appear_only_when_right(package: Package, tmp_path: Path) -> None:
    disk = DiskStorage(tmp_path)
    damaged = bytearray(package.content)
    damaged[next(m for m in package.manifest.members if m.path.startswith("c")).offset_bytes] ^= 1
    with pytest.raises(ChecksumMismatchError):
        read_package([damaged], manifest=package.manifest, sink=lambda member: disk.writing(member.path, durable=False))
    assert {found.path for found in disk.list()} == {"a/empty", "a/first.g3", "b/\U0001f52d"}
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".part")]


def test_memory_is_bounded_whatever_the_sizes(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(100_000_000)
    source = write_package(
        [source_file("big", 100_000_000)], open_file=DiskStorage(tmp_path).open, modified_at=MODIFIED_AT
    )
    for _ in source:
        pass
    tracemalloc.start()
    try:
        read_package(source, manifest=source.manifest("package-1.tar"))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_checked_chunks_hands_good_bytes_on() -> None:
    chunks = [b"one ", b"two"]
    assert list(checked_chunks(chunks, what="x", size_bytes=7, checksum=checksum_of(chunks))) == chunks


@pytest.mark.parametrize("chunks", [[], [b"one"], [b"one ", b"twO"], [b"one ", b"two", b"!"]])
def test_checked_chunks_never_end_on_wrong_bytes(chunks: list[bytes]) -> None:
    with pytest.raises(ChecksumMismatchError, match="package-7 at us_archive has"):
        list(checked_chunks(chunks, what="package-7 at us_archive", size_bytes=7, checksum=checksum_of([b"one two"])))
