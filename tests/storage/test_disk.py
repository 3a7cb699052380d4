"""What only a disk can do, or do wrong."""

import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.errors import BadInputError, DtsError, MissingFileError, NoSpaceError, PermanentError, TransientError
from include.storage.disk import DiskStorage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_bytes(b"secret")
    return folder


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder)
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def names_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_link_that_leads_out_of_the_root_is_refused(root: Path, outside: Path) -> None:
    (root / "link").symlink_to(outside)
    disk = DiskStorage(root)
    for attempt in (
        lambda: disk.stat("link/secret"),
        lambda: next(disk.read("link/secret")),
        lambda: disk.write("link/new", [b"x"]),
        lambda: disk.delete("link/secret"),
        lambda: next(disk.list("link")),
    ):
        with pytest.raises(BadInputError, match="leads out of"):
            attempt()
    assert names_in(outside) == ["secret"]


def test_a_link_in_the_place_of_a_file_is_no_file(root: Path, outside: Path) -> None:
    (root / "link").symlink_to(outside / "secret")
    disk = DiskStorage(root)
    assert disk.stat("link") is None
    assert list(disk.list()) == []
    assert disk.delete("link") is False
    with pytest.raises(BadInputError, match="symbolic link"):
        next(disk.read("link"))


def test_writing_replaces_a_link_and_not_what_it_points_to(root: Path, outside: Path) -> None:
    (root / "link").symlink_to(outside / "secret")
    DiskStorage(root).write("link", [b"new"])
    assert (outside / "secret").read_bytes() == b"secret"
    assert not (root / "link").is_symlink()


def test_a_link_inside_the_root_and_a_root_that_is_a_link_are_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    (root / "2026").mkdir()
    (root / "latest").symlink_to("2026")
    disk = DiskStorage(tmp_path / "alias")
    disk.write("latest/file", [b"x"])
    assert (root / "2026" / "file").read_bytes() == b"x"
    assert b"".join(disk.read("latest/file")) == b"x"


def test_a_sibling_whose_name_begins_like_the_root_is_outside(root: Path, tmp_path: Path) -> None:
    (tmp_path / "root-of-others").mkdir()
    (root / "link").symlink_to(tmp_path / "root-of-others")
    with pytest.raises(BadInputError):
        DiskStorage(root).write("link/file", [b"x"])


def test_a_named_pipe_is_no_file_and_blocks_nobody(root: Path) -> None:
    os.mkfifo(root / "pipe")
    disk = DiskStorage(root)
    assert disk.stat("pipe") is None
    with pytest.raises(MissingFileError, match="not a regular file"):
        disk.open("pipe")


def test_a_root_that_is_not_there_is_never_an_empty_one(tmp_path: Path) -> None:
    """Else an unmounted disk would look as if all its files had been deleted."""
    disk = DiskStorage(tmp_path / "unmounted")
    for attempt in (
        lambda: disk.stat("file"),
        lambda: next(disk.read("file")),
        lambda: disk.write("file", [b"x"]),
        lambda: disk.delete("file"),
        lambda: next(disk.list()),
        lambda: next(disk.list("folder")),
        disk.space,
    ):
        with pytest.raises(TransientError, match=r"unmounted is not there: is its disk mounted"):
            attempt()
    assert not (tmp_path / "unmounted").exists()


def test_delete_removes_empty_folders_but_never_the_root_or_what_others_left(root: Path) -> None:
    disk = DiskStorage(root)
    disk.write("a/b/c/file", [b"x"])
    (root / "a" / "somebody's").write_bytes(b"")
    disk.delete("a/b/c/file")
    assert names_in(root) == ["a", "a/somebody's"]
    disk.delete("a/somebody's")
    assert names_in(root) == []
    assert root.is_dir()


def test_a_failed_write_leaves_no_part(root: Path) -> None:
    with pytest.raises(TransientError):
        DiskStorage(root).write("file", [b"x"], size_bytes=2)
    assert names_in(root) == []


def test_a_part_of_somebody_still_writing_is_not_shown_but_a_file_called_part_is(root: Path) -> None:
    disk = DiskStorage(root)
    disk.write("mine.part", [b"x"])
    with disk.writing("other") as part:
        part.write(b"half")
        assert len(names_in(root)) == 2
        assert [found.path for found in disk.list()] == ["mine.part"]
    assert names_in(root) == ["mine.part", "other"]


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "\U0001f52d" * 63])
def test_the_longest_names_can_be_written(root: Path, name: str) -> None:
    DiskStorage(root).write(name, [b"x"])
    assert names_in(root) == [name]


@pytest.mark.parametrize(
    ("path", "reason"), [("x" * 256, "too long"), ("file/below", "one of the folders"), ("d", "folder")]
)
def test_what_cannot_be_a_file_is_a_permanent_error(root: Path, path: str, reason: str) -> None:
    disk = DiskStorage(root)
    disk.write("file", [b"x"])
    disk.write("d/other", [b"x"])
    with pytest.raises(PermanentError, match=reason):
        disk.write(path, [b"y"])
    assert names_in(root) == ["d", "d/other", "file"]


def test_a_file_gets_its_name_only_after_it_is_on_the_disk(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "folder").mkdir()
    steps: list[str] = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(descriptor: int) -> None:
        steps.append(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink().name.rpartition('.')[2]}")
        real_fsync(descriptor)

    def rename(*arguments: Path) -> None:
        steps.append("rename")
        real_rename(*arguments)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    DiskStorage(root).write("folder/file", [b"x"])
    assert steps == ["fsync part", "rename", "fsync folder"]


def test_a_full_disk_waits_for_space_and_keeps_nothing(full_disk: Path) -> None:
    disk = DiskStorage(full_disk)
    with pytest.raises(NoSpaceError, match="no space left for .*folder/file"):
        disk.write("folder/file", [bytes(2_000_000)])
    assert list(disk.list()) == []
    disk.write("folder/small", [bytes(500_000)])
    space = disk.space()
    assert space is not None
    assert space.total_bytes == 1024 * 1024
    assert space.free_bytes < 600_000


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EDQUOT, NoSpaceError),
        (errno.EACCES, PermanentError),
        (errno.EROFS, PermanentError),
        (errno.EIO, TransientError),
        (errno.ESTALE, TransientError),
    ],
)
def test_errors_of_the_disk_say_whether_to_try_again(root: Path, number: int, expected: type[DtsError]) -> None:
    with pytest.raises(expected, match=r"root/a/file") as caught, DiskStorage(root)._errors("a/file"):
        raise OSError(number, os.strerror(number))
    assert type(caught.value) is expected


def test_folders_may_vanish_while_others_write_into_them(root: Path) -> None:
    failures: list[BaseException] = []

    def write_and_delete(name: str) -> None:
        disk = DiskStorage(root)
        try:
            for _ in range(200):
                with disk.writing(f"a/b/{name}", durable=False) as part:
                    part.write(b"x")
                assert disk.delete(f"a/b/{name}")
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    threads = [threading.Thread(target=write_and_delete, args=(str(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders to others")
def test_an_empty_folder_of_somebody_else_stays_and_so_do_those_above_it(root: Path) -> None:
    folder = root / "primecam" / "16123" / "rfsoc01"
    folder.mkdir(parents=True)
    for path in (folder, folder.parent):
        os.chown(path, 1234, 1234)
    os.chown(root / "primecam", 4321, 4321)
    file = folder / "a.g3"
    file.write_bytes(b"data")
    os.chown(file, 1234, 1234)

    assert DiskStorage(root).delete("primecam/16123/rfsoc01/a.g3")
    assert [str(path.relative_to(root)) for path in root.rglob("*")] == ["primecam"]
