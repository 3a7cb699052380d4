"""A root without its mark: a new location gets it, an empty mount point does not pass for a disk that lost all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from include.errors import PermanentError, TransientError
from include.sandbox.programs import sshd
from include.sandbox.sftp import Implementation
from include.storage import disk_mark
from include.storage.disk import DiskStorage
from include.storage.mark import MARK, Holds, Mark
from include.storage.sftp import SftpStorage
from tests.storage.conftest import sftp_address
from tests.storage.test_contract import content_of, paths_in

Marked = DiskStorage | SftpStorage


@dataclass(frozen=True)
class Known:
    """What is known, without ops-db."""

    answer: Callable[[Holds], bool]
    set_for: list[str] = field(default_factory=list)

    def may_be_set(self, full_name: str, holds: Holds) -> bool:
        return self.answer(holds)

    def was_set(self, full_name: str) -> None:
        self.set_for.append(full_name)


Opener = Callable[[Callable[[Holds], bool]], Marked]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture(params=["disk", "sftp"])
def opened(request, root, sftp_server) -> Iterator[Opener]:
    """Opens the root as ccat_buffer's, with what is known of it."""
    made: list[Marked] = []

    def open_with(may_be_set: Callable[[Holds], bool]) -> Marked:
        mark = Mark("ccat_buffer", Known(may_be_set))
        if request.param == "disk":
            return DiskStorage(root, mark=mark)
        server = sftp_server(Implementation.OPENSSH if sshd() else Implementation.ASYNCSSH)
        made.append(SftpStorage(sftp_address(server, root), mark=mark))
        return made[-1]

    yield open_with
    for storage in made:
        storage.close()


def is_new(_: Holds) -> bool:
    return True


def is_in_use(holds: Holds) -> bool:
    return holds("known/file")


def nobody_asks(_: Holds) -> bool:
    pytest.fail("it has a mark")


USES = [
    lambda storage: storage.stat("file"),
    lambda storage: next(storage.read("known/file")),
    lambda storage: storage.delete("known/file"),
    lambda storage: list(storage.list()),
    lambda storage: list(storage.list("known")),
    lambda storage: storage.rename("known/file", "other"),
    lambda storage: storage.write("folder/file", [b"x"]),
    lambda storage: storage.space(),
]


@pytest.mark.parametrize("use", USES)
def test_an_empty_mount_point_is_no_disk_that_lost_everything(opened, root, use):
    storage = opened(is_in_use)
    for _ in range(2):
        with pytest.raises(TransientError, match="disk of ccat_buffer seems not to be mounted"):
            use(storage)
    assert list(root.iterdir()) == []


def test_a_new_location_is_marked_by_its_first_use(opened, root):
    storage = opened(is_new)
    assert storage.stat("file") is None
    assert (root / MARK).read_text() == "ccat_buffer\n"
    assert opened(nobody_asks).stat("file") is None


def test_a_first_file_marks_it(opened, root):
    opened(is_new).write("folder/file", [b"x"])
    assert (root / MARK).read_text() == "ccat_buffer\n"
    assert paths_in(opened(nobody_asks)) == ["folder/file"]


def test_a_disk_that_holds_what_is_known_is_marked(opened, root):
    (root / "known").mkdir()
    (root / "known" / "file").write_bytes(b"content")
    storage = opened(is_in_use)
    assert storage.stat("missing") is None
    assert (root / MARK).exists()
    (root / "known" / "file").unlink()
    assert storage.stat("known/file") is None, "it is missing, now that the disk is known to be there"


def test_the_folder_of_another_location_is_refused(opened, root):
    (root / MARK).write_text("cologne_buffer\n")
    with pytest.raises(PermanentError, match=r"not the folder of ccat_buffer: its .dts_location says 'cologne_buffer'"):
        opened(nobody_asks).stat("file")


def test_the_mark_is_no_file_of_the_location(opened, root):
    storage = opened(is_new)
    storage.write("folder/.dts_location", [b"somebody's own"])
    storage.stat("missing")
    assert paths_in(storage) == ["folder/.dts_location"]
    assert content_of(storage, "folder/.dts_location") == b"somebody's own"
    storage.delete("folder/.dts_location")
    assert [path.name for path in root.iterdir()] == [MARK]


def test_who_may_only_read_leaves_the_marking_to_others(root, monkeypatch):
    """As root everything may be written, so the disk itself says no."""

    def refused(root: Path, mark: Mark) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(disk_mark, "set_mark", refused)
    assert DiskStorage(root, mark=Mark("ccat_buffer", Known(is_new))).stat("file") is None
    assert list(root.iterdir()) == []


def test_a_mark_is_set_once_by_many(opened, root):
    storages = [opened(is_new) for _ in range(5)]
    for storage in storages:
        assert storage.stat("file") is None
    assert [path.name for path in root.iterdir()] == [MARK]
