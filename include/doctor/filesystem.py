"""Which filesystem a folder is on, and how much of it is free."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\(\d{3})")


@dataclass(frozen=True, slots=True)
class Filesystem:
    """`mounted_at` is its mount point; `free_bytes` is what an ordinary user may still write."""

    kind: str
    device: str
    mounted_at: str
    total_bytes: int
    free_bytes: int


def filesystem_of(folder: Path, *, mounts: Path = _MOUNTS) -> Filesystem:
    """Look it up; kind and device are "unknown" where the kernel does not say.

    Raises:
        OSError: the folder is not there.
    """
    found = os.statvfs(folder)
    kind, device, mounted_at = _mount(folder.resolve(), mounts)
    return Filesystem(
        kind,
        device,
        mounted_at,
        total_bytes=found.f_blocks * found.f_frsize,
        free_bytes=found.f_bavail * found.f_frsize,
    )


def _mount(folder: Path, mounts: Path) -> tuple[str, str, str]:
    """The longest mount point above the folder; of two at one place the later one covers the first."""
    best = ("unknown", "unknown", "/")
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return best
    for line in lines:
        before, _, after = line.partition(" - ")
        point = _ESCAPED.sub(lambda digits: chr(int(digits[1], 8)), before.split()[4])
        if folder.is_relative_to(point) and len(point) >= len(best[2]):
            kind, device, *_ = after.split()
            best = (kind, device, point)
    return best
