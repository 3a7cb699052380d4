"""A daemon's family: everything in its session, and every descendant of those."""

import os
import time
from collections.abc import Iterable

import psutil


def family(*sessions: int) -> set[psutil.Process]:
    """Return the living processes of sessions (the id is the pid of the daemon that began it) and their descendants.

    The session finds what was orphaned, the descendants find what began a session of its own.
    """
    members = {process for process in psutil.process_iter() if _session(process.pid) in sessions}
    for process in tuple(members):
        try:
            members.update(process.children(recursive=True))
        except psutil.NoSuchProcess:
            continue
    return members


def end(*sessions: int, members: Iterable[psutil.Process] = (), grace_seconds: float) -> None:
    """End families: SIGTERM, and SIGKILL after `grace_seconds` (0: at once), until nobody is left.

    `members` are those that were seen earlier: an orphan in a session of its own can only be known from then.
    """
    known = {*members, *family(*sessions)}
    if grace_seconds:
        _signal(known, polite=True)
        _await_end(known, seconds=grace_seconds)
    while living := [process for process in known | family(*sessions) if is_alive(process)]:
        _signal(living, polite=False)
        _await_end(living, seconds=1)


def is_alive(process: psutil.Process) -> bool:
    """Tell whether it still runs; a zombie that nobody has collected does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _await_end(processes: Iterable[psutil.Process], *, seconds: float) -> None:
    # psutil.wait_procs would wait for zombies, too, which in a container stay for as long as process 1 likes
    deadline = time.monotonic() + seconds
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _signal(processes: Iterable[psutil.Process], *, polite: bool) -> None:
    for process in processes:
        try:
            process.terminate() if polite else process.kill()
        except psutil.NoSuchProcess:
            continue
