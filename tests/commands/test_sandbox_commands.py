"""`dts sandbox start`, `status` and `stop`, as a user types them."""

import os
import subprocess
import sys

import psutil
import pytest

from include.sandbox.layout import CLONE, Layout
from include.sandbox.ports import free_port
from include.sandbox.state import State
from tests.commands.survivors import daemons_of, survivors

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]


def dts_sandbox(word: str, *, port: int) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DTS_SANDBOX_PORT_UI": str(port)}
    command = [sys.executable, "-m", "include.cli", "sandbox", word]
    return subprocess.run(command, cwd=CLONE, env=environment, capture_output=True, text=True, check=False)


def test_it_starts_in_the_background_says_how_it_is_and_stops_without_a_trace() -> None:
    port = free_port()
    before = dts_sandbox("status", port=port)
    assert before.returncode == 1
    assert "No sandbox is running" in before.stderr + before.stdout
    started = dts_sandbox("start", port=port)
    try:
        assert started.returncode == 0, started.stderr
        state = State.read(Layout.of().state)
        assert Layout.of().state.stat().st_mode & 0o777 == 0o600
        assert f"http://localhost:{port}" == state.url
        assert all(psutil.pid_exists(pid) for pid in daemons_of(state))
        status = dts_sandbox("status", port=port)
        assert status.returncode == 0
        assert state.url in status.stdout
        again = dts_sandbox("start", port=port)
        assert again.returncode == 1
        assert "running" in again.stderr
    finally:
        stopped = dts_sandbox("stop", port=port)
    assert stopped.returncode == 0, stopped.stderr
    assert survivors({*daemons_of(state), state.supervisor_pid}) == []
    assert not Layout.of().state.exists()
