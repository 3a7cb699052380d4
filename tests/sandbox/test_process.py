"""Daemons: nothing that was started survives its end, however that comes about."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from include.errors import SandboxError
from include.sandbox.family import is_alive
from include.sandbox.process import Command, Daemon

ROOT = Path(__file__).resolve().parents[2]
FAMILY = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
loner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open(sys.argv[1] + ".new", "w").write(f"{child.pid} {loner.pid}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
signal.pause()
"""


@pytest.fixture
def family(tmp_path: Path) -> Daemon:
    """A daemon that ignores SIGTERM, with a child and a grandchild-to-be that began a session of its own."""
    pids = tmp_path / "pids"
    command = Command(name="family", arguments=(sys.executable, "-c", FAMILY, str(pids)), log=tmp_path / "log")
    return Daemon.start(command, ready=pids.exists)


def test_stop_leaves_nobody(family: Daemon, tmp_path: Path) -> None:
    members = [psutil.Process(pid) for pid in (family.pid, *map(int, (tmp_path / "pids").read_text().split()))]
    assert all(map(is_alive, members))
    family.stop(grace_seconds=0.1)
    assert not any(map(is_alive, members))


def test_stop_finds_orphans(family: Daemon, tmp_path: Path) -> None:
    child, loner = (psutil.Process(int(pid)) for pid in (tmp_path / "pids").read_text().split())
    os.kill(family.pid, signal.SIGKILL)
    family.stop(grace_seconds=0.1)
    assert not is_alive(child)
    loner.kill()


def test_the_guard_ends_what_a_killed_starter_left(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    starter = f"""
import sys, signal
from pathlib import Path
from include.sandbox.process import Command, Daemon
log = Path({str(tmp_path)!r}) / "log"
command = Command(name="family", arguments=(sys.executable, "-c", {FAMILY!r}, {str(pids)!r}), log=log)
print(Daemon.start(command, ready=Path({str(pids)!r}).exists).pid, flush=True)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", starter], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        daemon = int(process.stdout.readline())
        family = [psutil.Process(pid) for pid in (daemon, *map(int, pids.read_text().split()))]
        process.kill()
    deadline = time.monotonic() + 20
    while any(map(is_alive, family)):
        assert time.monotonic() < deadline, "the guard left somebody alive"
        time.sleep(0.05)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="ghost cannot be run .*/no/such/program"):
        Daemon.launch(Command(name="ghost", arguments=("/no/such/program",), log=tmp_path / "log"))


def test_a_program_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    command = Command(name="sleeper", arguments=("/bin/sleep", "600"), log=tmp_path / "log")
    daemon = Daemon.launch(command)
    with pytest.raises(SandboxError, match=r"sleeper was not ready after 0\.2 s"):
        daemon.await_ready(lambda: False, timeout_seconds=0.2)
    assert not psutil.pid_exists(daemon.pid)


def test_variables_of_the_caller_do_not_leak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mine")
    daemon = Daemon.launch(Command(name="env", arguments=("/usr/bin/env",), log=tmp_path / "log"))
    psutil.wait_procs([psutil.Process(daemon.pid)], timeout=5)
    daemon.stop()
    assert "PATH=" in daemon.last_lines()
    assert "AWS_SECRET_ACCESS_KEY" not in daemon.last_lines()
