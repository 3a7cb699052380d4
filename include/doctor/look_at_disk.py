"""Look at a disk location of this host."""

import getpass
import os
from pathlib import Path

from include.doctor.disk_speed import disk_speed
from include.doctor.filesystem import filesystem_of
from include.doctor.finding import Area, Finding, not_measured
from include.doctor.judge_disk import judge_reach, judge_space, judge_speed, not_writable
from include.doctor.limits import Limits
from include.errors import NoSpaceError
from include.topology import DataLocation, DiskStorage, Policy


def look_at_disk(location: DataLocation, *, policy: Policy, limits: Limits) -> list[Finding]:
    """Return what is found about reach, space and speed."""
    assert isinstance(location.storage, DiskStorage)
    name, root, user = location.full_name, location.storage.root, _user()
    folder = Path(root)
    try:
        filesystem = filesystem_of(folder)
        speed = disk_speed(folder, seconds=limits.seconds, most_bytes=limits.most_bytes)
    except NoSpaceError as error:
        space = judge_space(
            name, location.location_type, filesystem=filesystem_of(folder), policy=policy, need=limits.need
        )
        return [space, not_measured(Area.DISK, f"{name}, write and read", why=str(error))]
    except OSError as error:
        return [not_writable(name, root, user=user, why=error.strerror or str(error))]
    return [
        judge_reach(name, root, filesystem=filesystem, user=user),
        judge_space(name, location.location_type, filesystem=filesystem, policy=policy, need=limits.need),
        *judge_speed(name, speed, need=limits.need),
    ]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"user {os.geteuid()}"  # an account of a container, without a name
