"""Whose processes are still there: each daemon of the sandbox has a session of its own, which its children share."""

import os
from collections.abc import Iterable
from pathlib import Path

import psutil

from include.sandbox.state import State


def daemons_of(state: State) -> frozenset[int]:
    """Return the pids of everything that a sandbox runs; each leads a session."""
    return frozenset({*state.processes.values(), *(worker.pid for worker in state.workers.values())})


def survivors(sessions: Iterable[int]) -> list[str]:
    """Return what still lives in these sessions."""
    wanted = set(sessions)
    return [f"{pid} {_name(pid)}" for pid in psutil.pids() if _session(pid) in wanted]


def started_below(folder: Path) -> list[str]:
    """Return what was started with a path in this folder and still lives."""
    commands = {pid: _name(pid) for pid in psutil.pids()}
    return [f"{pid} {command}" for pid, command in commands.items() if f"{folder}/" in command]


def _session(pid: int) -> int | None:
    try:
        return None if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE else os.getsid(pid)
    except (ProcessLookupError, psutil.NoSuchProcess):
        return None


def _name(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return "(just gone)"
