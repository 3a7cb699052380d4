"""Ctrl-C in `make demo` and `make sandbox`, at any moment of their start: no traceback, and nothing stays behind."""

import os
import signal
import subprocess
import time

import pytest

from include.sandbox.layout import CLONE, Layout
from include.sandbox.lock import Lock
from include.sandbox.ports import free_port
from tests.commands.survivors import started_below

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

# While bash looks at the environment, Python starts, heavy modules are imported, the house is built, servers start,
# Airflow starts.
MOMENTS = (0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 4, 9)


@pytest.mark.parametrize("seconds", MOMENTS)
@pytest.mark.parametrize("word", ["demo", "sandbox"])
def test_it_ends_without_a_traceback_and_leaves_nothing(word: str, seconds: float) -> None:
    environment = {**os.environ, "DTS_SANDBOX_PORT_UI": str(free_port())}
    process = subprocess.Popen(
        # As in a terminal: whoever runs the tests in the background has it ignored.
        ["env", "--default-signal=INT", "make", "-C", str(CLONE), word],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # a process group, as a terminal has one in front
        text=True,
    )
    time.sleep(seconds)  # the moment is what is tested
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=90)
    assert process.returncode != 0 or word == "sandbox", output
    assert "Traceback" not in output
    assert "KeyboardInterrupt" not in output
    assert started_below(Layout.of().run) == []
    assert not Lock(Layout.of().lock).is_held()
    assert not Layout.of().state.exists()
