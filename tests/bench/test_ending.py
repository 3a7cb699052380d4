"""A benchmark that is ended from outside leaves no link behind."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from include.link.long_link import LongLink

ROOT = Path(__file__).parents[2]


def namespaces() -> set[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in listed.splitlines()}


def links() -> int:
    """How many programs carry a link called `bench`."""
    return sum(b"/wan\0bench-a\0" in file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline"))


@pytest.mark.slow
@pytest.mark.skipif(LongLink.why_not() is not None, reason=str(LongLink.why_not()))
def test_its_link_goes_with_it(tmp_path: Path) -> None:
    words = ["--quick", "--cases", "tuned_small", "--rivals", "--folder", tmp_path]
    running = subprocess.Popen([sys.executable, "-m", "tests.bench.transfer", *words], cwd=ROOT)
    try:
        until = time.monotonic() + 60
        while not ({"bench-a", "bench-b"} <= namespaces() and links()):
            assert running.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 128 + signal.SIGTERM
    finally:
        running.kill()
    assert not {"bench-a", "bench-b"} & namespaces()
    assert links() == 0
