"""`make proof` as it is run: processes of its own, a count that machines read."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import pytest

from tests.lifecycle.machine.__main__ import MEMORY, report
from tests.lifecycle.machine.tally import Tally

Found = TypeVar("Found")


@pytest.mark.slow
def test_it_runs_as_many_histories_as_asked_and_tells_what_was_wrong() -> None:
    command = [sys.executable, "-m", "tests.lifecycle.machine", "--histories", "3", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["histories"], told["wrong_deletions"], told["wrong_refusals"], told["broken"]) == (3, 0, 0, 0)


def test_its_report_says_for_people_and_machines_what_was_refused() -> None:
    told = report(Tally(histories=2, refused=Counter(is_it_pinned=3)), seconds=9, number=1)
    assert "is it pinned  3" in told
    assert json.loads(told.splitlines()[-1])["refused"] == {"is_it_pinned": 3}


@pytest.mark.slow
@pytest.mark.skipif(not MEMORY.is_dir(), reason="there is no /dev/shm")
def test_when_it_is_ended_its_processes_end_and_its_folder_goes() -> None:
    command = [sys.executable, "-m", "tests.lifecycle.machine", "--histories", "100000"]
    proof = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    (folder,) = _eventually(lambda: list(MEMORY.glob(f"proof-{proof.pid}-*")))
    # In memory, not on a disk to which PostgreSQL's account would have to turn.
    _eventually(lambda: len(list(folder.glob("*/postgres/data/postmaster.pid"))) == 2)
    proof.send_signal(signal.SIGTERM)
    proof.communicate(timeout=60)  # its output ends when the last of its processes does
    assert proof.returncode == 128 + signal.SIGTERM
    assert not folder.exists()


def _eventually(found: Callable[[], Found]) -> Found:
    deadline = time.monotonic() + 60
    while not (some := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return some
