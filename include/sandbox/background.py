"""The sandbox for the command line: in the foreground until Ctrl-C, or in the background under a process of its own."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import psutil
import typer

from include.errors import SandboxError
from include.sandbox.family import is_alive
from include.sandbox.layout import Layout
from include.sandbox.lock import Lock
from include.sandbox.orphans import leave_if_last
from include.sandbox.process import last_lines
from include.sandbox.sandbox import Sandbox
from include.sandbox.signals import interrupts_on_any_end
from include.sandbox.state import State

Progress = Callable[[str], None]
_STOP_SECONDS = 90


@dataclass(frozen=True)
class ProcessStatus:
    """One process of a running sandbox."""

    name: str
    pid: int
    alive: bool


@dataclass(frozen=True)
class Status:
    """A running sandbox: what it is, and whether each of its processes lives."""

    state: State
    processes: tuple[ProcessStatus, ...]


def run_foreground(*, on_progress: Progress) -> None:
    """Run a sandbox until Ctrl-C (or SIGTERM). `on_progress` hears what is up, how to log in, and what has died.

    Raises:
        SandboxError: it did not start.
    """
    sandbox = Sandbox(on_progress=on_progress)
    with interrupts_on_any_end():
        try:
            with sandbox:
                for line in description(sandbox.state):
                    on_progress(line)
                on_progress("Ctrl-C ends it.")
                _watch(sandbox, on_progress=on_progress)
        except KeyboardInterrupt:
            on_progress("ended")


def start_in_background(*, on_progress: Progress) -> State:
    """Start a sandbox that goes on when this process ends, and return once it is ready.

    Raises:
        SandboxError: it did not start, or one is running already.
    """
    layout = Layout.of()
    Lock(layout.lock).require_free()  # before its log is overwritten
    layout.private.mkdir(mode=0o700, exist_ok=True)
    with layout.supervisor_log.open("wb") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "include.sandbox", "supervise"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(layout.clone)},
            start_new_session=True,
            text=True,
        )
    assert supervisor.stdout is not None
    try:
        for line in supervisor.stdout:  # ends when the sandbox is ready, or the supervisor dead
            on_progress(line.rstrip("\n"))
    except BaseException:
        supervisor.terminate()
        supervisor.wait()
        raise
    if supervisor.poll() is not None or not layout.state.exists():
        supervisor.wait()
        raise SandboxError(f"The sandbox did not start:\n{last_lines(layout.supervisor_log, count=60)}")
    supervisor.returncode = 0  # it outlives this process by design: no ResourceWarning about that
    return State.read(layout.state)


def supervise() -> int:
    """Own a sandbox until SIGTERM; what `start_in_background` starts. Returns the exit code."""
    sandbox = Sandbox(on_progress=typer.echo)
    with interrupts_on_any_end():
        try:
            with sandbox:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # tells the starter that all is ready
                _watch(sandbox, on_progress=partial(typer.echo, err=True))
        except KeyboardInterrupt:
            return 0
        except SandboxError as error:
            typer.echo(error, err=True)
            return 1
    return 0


def stop() -> None:
    """Stop the sandbox of this clone, wherever it runs, and return once it has ended.

    Raises:
        SandboxError: none is running, or it does not end.
    """
    lock = Lock(Layout.of().lock)
    if not lock.is_held():
        raise SandboxError("No sandbox is running from this clone.")
    owner = lock.owner()
    supervisor = psutil.Process(owner)
    supervisor.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while lock.is_held() or is_alive(supervisor):  # it gives the lock up a moment before it ends
        if time.monotonic() > deadline:
            raise SandboxError(f"The sandbox (process {owner}) has not ended after {_STOP_SECONDS} s: kill -9 {owner}.")
        time.sleep(0.1)


def status() -> Status:
    """Return what runs.

    Raises:
        SandboxError: no sandbox is running from this clone, or it is not ready.
    """
    layout = Layout.of()
    if not Lock(layout.lock).is_held():
        raise SandboxError("No sandbox is running from this clone: `make sandbox` starts one.")
    if not layout.state.exists():
        raise SandboxError("The sandbox of this clone is starting, or ending; ask again in a moment.")
    state = State.read(layout.state)
    pids = state.processes | {f"worker {host}": worker.pid for host, worker in state.workers.items()}
    return Status(
        state=state,
        processes=tuple(ProcessStatus(name, pid=pid, alive=_lives(pid)) for name, pid in pids.items()),
    )


def clean() -> None:
    """Remove all that sandboxes of this clone left, the house included."""
    layout = Layout.of()
    if Lock(layout.lock).is_held():
        stop()
    for folder in (layout.base, layout.private):
        shutil.rmtree(folder, ignore_errors=True)
    leave_if_last()


def description(state: State) -> list[str]:
    """Return what a person needs to know about a running sandbox, line by line."""
    width = max(len(user.name) for user in state.users)
    logins = [f"  {user.name:<{width}}  {user.password}  ({user.role})" for user in state.users]
    return [f"The sandbox is up: {state.url}", *logins]


def _watch(sandbox: Sandbox, *, on_progress: Progress) -> None:
    """Tell about processes that die, until this one is interrupted."""
    told: set[str] = set()
    never = threading.Event()
    while not never.wait(timeout=1):
        for name, daemon in sandbox.dead_processes().items():
            if name not in told:
                told.add(name)
                on_progress(f"{name} has died. Last lines of {daemon.command.log}:\n{daemon.last_lines()}")


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
