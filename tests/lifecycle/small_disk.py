"""A real small file system, so that full, read-only and unmounted are real."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SIZE_BYTES = 4 * 1024 * 1024


@dataclass
class SmallDisk:
    """A tmpfs of 4 MiB."""

    folder: Path

    def fill(self, share: float) -> None:
        """Have it this full of somebody's bytes."""
        (self.folder / "filler").write_bytes(bytes(int(SIZE_BYTES * share)))

    def remount(self, option: str) -> None:
        """Mount it `ro` or `rw`."""
        _run("mount", "-o", f"remount,{option}", self.folder)

    def mount(self) -> None:
        """Mount it, empty."""
        _run("mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", self.folder)

    def unmount(self) -> None:
        """Leave an empty folder, as a disk that is not mounted does."""
        _run("umount", "--lazy", self.folder)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mount one over a folder for the time of the block; where nobody may, the test is skipped."""
    disk = SmallDisk(folder)
    try:
        disk.mount()
    except (subprocess.CalledProcessError, OSError):
        pytest.skip("only root can mount a small file system")
    try:
        yield disk
    finally:
        disk.unmount()
