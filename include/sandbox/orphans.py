"""Houses whose clones are no longer there: what deleting a clone without `make clean` leaves.

A house says in `clone` whose it is. One that does not say so is never touched, nor one of which anything still runs;
a clone that lies on a disk that is not mounted now looks deleted, so nobody removes a house unasked.
"""

import os
import shutil
from pathlib import Path

import psutil

from include.errors import SandboxError
from include.plurals import counted
from include.registration.shown import shown
from include.sandbox.accounts import running_as_root
from include.sandbox.accounts_of_sites import remove_made
from include.sandbox.house import CLONE_RECORD
from include.sandbox.layout import HOUSES
from include.sandbox.preparation import ACCOUNTS_RECORD
from include.sizes import size


def orphans(houses: Path = HOUSES) -> dict[Path, Path]:
    """Return the houses whose clone is gone, each with where that was; empty for whoever may not look."""
    if not running_as_root() or not houses.is_dir():
        return {}
    records = (house / CLONE_RECORD for house in sorted(houses.iterdir()))
    clones = {record.parent: Path(os.fsdecode(record.read_bytes())) for record in records if record.is_file()}
    return {house: clone for house, clone in clones.items() if not clone.exists()}


def notice(houses: Path = HOUSES) -> list[str]:
    """Say, in no line or one, which houses are orphans and how to remove them."""
    found = [shown(str(clone)) for clone in orphans(houses).values()]
    if not found:
        return []
    what = f"{counted(len(found), 'folder')} below {houses} left by clones that are gone ({', '.join(found)})"
    return [f"{what}: `dts sandbox clean --orphans` makes room."]


def remove_orphans(houses: Path = HOUSES) -> list[str]:
    """Remove them, and say what became of each.

    Raises:
        SandboxError: only root may.
    """
    if not running_as_root():
        raise SandboxError(f"Only root has folders below {houses}, so only root can remove them.")
    told = []
    for house, clone in orphans(houses).items():
        whose = f"{house}, left by {shown(str(clone))},"
        if pid := _user_of(house):
            told.append(f"{whose} stays: process {pid} still runs from it; end that first.")
            continue
        free = shutil.disk_usage(houses).free
        shutil.rmtree(house)
        told.append(f"{whose} is removed: {size(max(0, shutil.disk_usage(houses).free - free))}.")
    leave_if_last(houses)
    return told or [f"No clone that is gone has left anything below {houses}."]


def leave_if_last(houses: Path = HOUSES) -> None:
    """With the last house the accounts go, too."""
    if running_as_root() and houses.is_dir() and not any(path.is_dir() for path in houses.iterdir()):
        remove_made(houses / ACCOUNTS_RECORD.name)
        houses.rmdir()


def _user_of(house: Path) -> int | None:
    """Return a process that was started with a path in this house, as PostgreSQL of every sandbox is."""
    inside = f"{house}/"
    for process in psutil.process_iter(["cmdline"]):
        if any(inside in word for word in process.info["cmdline"] or ()):
            return int(process.pid)
    return None
