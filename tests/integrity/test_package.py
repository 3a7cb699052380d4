import io
import os
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from include.errors import BadInputError, ChecksumMismatchError, FileChangedError, MissingFileError
from include.integrity.checksum import checksum_of
from include.integrity.package import READ_BYTES, PackageStream, SourceFile, package_size, write_package
from include.storage.disk import DiskStorage
from tests.integrity.raw_files import MODIFIED_AT, filed, packed, source_file, stream
from tests.integrity.strategies import TREES

NASTY = {
    "a file with spaces": b"1",
    "-rf": b"2",
    "--checkpoint-action=exec=sh": b"3",
    "ü/日本語/\U0001f52d.g3": b"4",
    "empty": b"",
    "deep/" * 30 + "file": b"5",
    "/".join(["long" * 50] * 5): b"six",
    "l" * 255: b"7",
    "ä" * 127: b"8",
    "new\nline": b"9",
    "50 path=/etc/passwd\n": b"10",
    "back\\slash": b"11",
    "exactly-100-" + "x" * 88: b"12",
    "exactly-101-" + "x" * 89: b"13",
    "one block": bytes(512),
    "large": b"\xaa" * (READ_BYTES + 1),
}


class InMemory:
    """Opens what a dictionary holds, as real files: a tree of hypothesis need not fit on a disk."""

    def __init__(self, folder: str, contents: Mapping[str, bytes]) -> None:
        self._folder = folder
        self._contents = contents

    def open(self, path: str) -> io.FileIO:
        place = f"{self._folder}/content"
        Path(place).write_bytes(self._contents[path])
        return io.FileIO(place)


def packed_from_memory(contents: Mapping[str, bytes]) -> tuple[bytes, PackageStream]:
    with TemporaryDirectory() as folder:
        files = [source_file(path, len(content)) for path, content in contents.items()]
        package = write_package(files, open_file=InMemory(folder, contents).open, modified_at=MODIFIED_AT)
        return b"".join(package), package


@given(TREES)
@settings(deadline=None)
def test_python_reads_back_what_went_in(contents: dict[str, bytes]) -> None:
    content, _ = packed_from_memory(contents)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert {entry.name: tar.extractfile(entry).read() for entry in tar} == contents  # type: ignore[union-attr]


@given(TREES)
@settings(deadline=None)
def test_every_member_lies_where_the_manifest_says(contents: dict[str, bytes]) -> None:
    content, package = packed_from_memory(contents)
    manifest = package.manifest("package-1.tar")
    assert [member.path for member in manifest.members] == sorted(contents)
    for member in manifest.members:
        assert content[member.offset_bytes : member.end_bytes] == contents[member.path]
        assert member.checksum == checksum_of([contents[member.path]])
    assert manifest.checksum == checksum_of([content])
    assert manifest.size_bytes == len(content) == package.size_bytes == package_size(package.files)


def test_gnu_tar_extracts_every_name_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "package.tar").write_bytes(packed(tmp_path / "in", NASTY).content)
    (tmp_path / "out").mkdir()
    result = subprocess.run(
        ["tar", "--extract", "--file", "../package.tar"], cwd=tmp_path / "out", capture_output=True, check=True
    )
    assert result.stderr == b""
    out = tmp_path / "out"
    assert {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()} == NASTY


def test_owner_mode_and_time_say_nothing_about_who_packed(tmp_path: Path) -> None:
    content = packed(tmp_path, {"file": b"x"}).content
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        entry = tar.getmember("file")
    assert (entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, "", "")
    assert (entry.mode, entry.mtime) == (0o644, MODIFIED_AT)


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    one = packed(tmp_path / "one", NASTY)
    other = packed(tmp_path / "other", dict(reversed(NASTY.items())))
    os.utime(tmp_path / "other" / "empty", (1, 1))
    assert one == other


def test_the_bytes_of_a_package_are_these_for_ever(tmp_path: Path) -> None:
    """Packages made by an earlier version must be made the same way again: if this fails, they no longer are."""
    content = packed(tmp_path, {"a/b.g3": b"content", "ü" * 60: b"", "x" * 200: b"y"}).content
    assert checksum_of([content]) == "xxh3-128:f7418c65fe3364d1658fe04ca300b59c"


def test_a_package_can_be_made_again_from_the_same_stream(tmp_path: Path) -> None:
    package = stream(tmp_path, NASTY)
    first = b"".join(package)
    manifest = package.manifest("package-1.tar")
    assert b"".join(package) == first
    assert package.manifest("package-1.tar") == manifest


def test_a_size_beyond_8_gib_is_foreseen_exactly() -> None:
    """Such a size no longer fits into the old header: it takes two more blocks."""
    old_limit = 8**11
    assert package_size([source_file("a", old_limit)]) == package_size([source_file("a", old_limit - 512)]) + 512 + 1024


def test_the_manifest_is_known_only_at_the_end(tmp_path: Path) -> None:
    package = stream(tmp_path, {"a": b"1", "b": b"2"})
    next(iter(package))
    with pytest.raises(RuntimeError, match="only after its last chunk"):
        package.manifest("package-1.tar")


def test_no_files_make_an_empty_tar(tmp_path: Path) -> None:
    package = packed(tmp_path, {})
    assert package.content == bytes(1024)
    assert package.manifest.members == ()


@pytest.mark.parametrize("path", ["/etc/passwd", "../a", "a/../b", "a//b", "", "a/", "a\0b", "\udce4"])
def test_a_path_that_cannot_be_a_member_is_refused(tmp_path: Path, path: str) -> None:
    file = SourceFile(path=path, size_bytes=1, checksum=None, raw_data_file_id=source_file("x", 1).raw_data_file_id)
    with pytest.raises(BadInputError):
        write_package([file], open_file=DiskStorage(tmp_path).open, modified_at=MODIFIED_AT)


def test_a_path_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="'a' is given twice"):
        write_package([source_file("a", 1)] * 2, open_file=DiskStorage(tmp_path).open, modified_at=MODIFIED_AT)


def test_the_registered_checksum_is_held_against_the_file(tmp_path: Path) -> None:
    filed(tmp_path, {"right": b"content", "wrong": b"content"})
    right = source_file("right", 7, checksum_of([b"content"]))
    wrong = source_file("wrong", 7, checksum_of([b"CONTENT"]))
    b"".join(write_package([right], open_file=DiskStorage(tmp_path).open, modified_at=0))
    with pytest.raises(ChecksumMismatchError, match="'wrong'"):
        b"".join(write_package([right, wrong], open_file=DiskStorage(tmp_path).open, modified_at=0))


@pytest.mark.parametrize("size", [0, 3, 5])
def test_a_file_of_another_size_than_registered_fails_the_package(tmp_path: Path, size: int) -> None:
    filed(tmp_path, {"good": b"1234", "grown": bytes(size)})
    files = [source_file("good", 4), source_file("grown", 4)]
    with pytest.raises(FileChangedError, match=f"'grown' was registered with 4 bytes but has {size}"):
        b"".join(write_package(files, open_file=DiskStorage(tmp_path).open, modified_at=0))


def test_a_file_that_vanished_fails_the_package(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="gone"):
        b"".join(write_package([source_file("gone", 4)], open_file=DiskStorage(tmp_path).open, modified_at=0))


@pytest.mark.parametrize("new_size", [10, READ_BYTES * 3, READ_BYTES * 3 + 1])
def test_a_file_that_changes_while_it_is_read_fails_the_package(tmp_path: Path, new_size: int) -> None:
    """Shorter, overwritten with the same size, longer: between two reads of it."""
    package = iter(stream(tmp_path, {"busy": bytes(READ_BYTES * 3)}))
    next(package)
    next(package)
    (tmp_path / "busy").write_bytes(b"\xff" * new_size)
    with pytest.raises(FileChangedError, match="'busy'"):
        for _ in package:
            pass
