"""`make proof` as it is run: processes of its own, a count that machines read."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_it_runs_as_many_histories_as_asked_and_tells_what_was_wrong() -> None:
    command = [sys.executable, "-m", "tests.lifecycle.machine", "--histories", "3", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["histories"], told["wrong_deletions"], told["wrong_refusals"], told["broken"]) == (3, 0, 0, 0)
