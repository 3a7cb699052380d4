"""Another name for a file, at the disk itself or at the far side; and a copy that a store makes by itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.errors import BadInputError, TransientError
from include.storage.disk import DiskStorage
from include.storage.s3 import S3Storage
from include.storage.sftp import SftpStorage
from tests.storage.test_contract import content_of, paths_in


@pytest.fixture
def renaming(storage) -> DiskStorage | SftpStorage:
    if not isinstance(storage, DiskStorage | SftpStorage):
        pytest.skip("it cannot rename")
    return storage


def test_a_renamed_file_has_its_new_name_only(renaming):
    renaming.write("a/b c/ü.tar", [b"content"])
    assert renaming.rename("a/b c/ü.tar", "quarantine/now/a/b c/ü.tar") is True
    assert paths_in(renaming) == ["quarantine/now/a/b c/ü.tar"]
    assert content_of(renaming, "quarantine/now/a/b c/ü.tar") == b"content"


def test_what_is_not_there_is_not_renamed_and_leaves_what_has_the_name(renaming):
    renaming.write("kept/file", [b"before"])
    assert renaming.rename("file", "kept/file") is False
    assert renaming.rename("no/such/file", "kept/file") is False
    assert content_of(renaming, "kept/file") == b"before"


def test_names_outside_the_root_are_refused(renaming):
    renaming.write("file", [b"x"])
    for path, to in (("../file", "file"), ("file", "../file"), ("file", "/tmp/file")):
        with pytest.raises(BadInputError, match="is refused"):
            renaming.rename(path, to)
    assert paths_in(renaming) == ["file"]


def test_a_store_copies_an_object_under_another_name(storage):
    if not isinstance(storage, S3Storage):
        pytest.skip("it is no store of objects")
    storage.write("a b/ü#?.tar", [b"content"])
    assert storage.copy("a b/ü#?.tar", "quarantine/a b/ü#?.tar") is True
    assert storage.copy("missing", "quarantine/missing") is False
    assert paths_in(storage) == ["a b/ü#?.tar", "quarantine/a b/ü#?.tar"]
    assert content_of(storage, "quarantine/a b/ü#?.tar") == b"content"


def test_a_part_that_was_swept_away_while_its_writer_was_stopped_is_no_missing_file(renaming):
    """It was long untouched, so somebody took it for a leftover; who tries again writes another."""
    root = Path(renaming.root if isinstance(renaming, DiskStorage) else renaming.address.root)

    def stopped() -> Iterator[bytes]:
        yield b"x"
        for part in root.rglob("*.part"):
            part.unlink()

    with pytest.raises(TransientError, match="removed"):
        renaming.write("folder/file", stopped())
    renaming.write("folder/file", [b"x"])
    assert paths_in(renaming) == ["folder/file"]
