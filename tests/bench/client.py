"""How long an instrument waits for the client's calls: `python -m tests.bench.client [--calls 3000] [--folder DIR]`.

With the server up, slow (2 s an answer), hanging (it takes the request and never answers), gone (nobody listens), and
gone for so long that 2,000 observations wait. The server is a process of its own; the client sends in a thread beside
the calls, as in an instrument. Half of the calls come one every 2 ms, half as fast as they can. Ends with 1 if a p99 is
more than 5 ms.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from include.instrument_client import Client, Settings
from tests.instrument_client.contract_server import TOKEN, Handler, contract_server

LIMIT_MS = 5.0
WAITING = 2000
FILES_PER_OBSERVATION = 10


def main() -> int:
    """Measure, print a table, and tell whether the limit holds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--folder", type=Path, help="on the disk to measure (default: the temporary folder)")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return 0
    worst = 0.0
    sys.stdout.write(f"{'server':28}{'call':14}{'calls':>7}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}\n")
    for state in ("up", "slow", "hanging", "gone", "gone, 2,000 waiting"):
        with tempfile.TemporaryDirectory(dir=given.folder, ignore_cleanup_errors=True) as folder, served(state) as url:
            for call, seconds in measured(Path(folder), url, state, calls=given.calls).items():
                p99 = statistics.quantiles(seconds, n=100)[98] * 1e3
                worst = max(worst, p99)
                p50, most = statistics.median(seconds) * 1e3, max(seconds) * 1e3
                sys.stdout.write(f"{state:28}{call:14}{len(seconds):7,}{p50:9.2f}{p99:9.2f}{most:9.2f}\n")
    sys.stdout.write(f"worst p99 {worst:.2f} ms, limit {LIMIT_MS} ms\n")
    return int(worst > LIMIT_MS)


def measured(folder: Path, url: str, state: str, *, calls: int) -> dict[str, list[float]]:
    """Return the seconds of each call."""
    root = folder / "data"
    root.mkdir()
    (folder / "token").write_text(TOKEN)
    settings = Settings(
        spool=folder / "spool", root=root, instrument="primecam", data_location="ccat_primecam", module="mod280",
        server=url, token_file=folder / "token",
    )  # fmt: skip
    path = root / "a.g3"
    path.write_bytes(b"data")
    if "waiting" in state:
        filled = Client(settings, sends=False)
        for _ in range(WAITING):
            with filled.observation() as observation:
                observation.add(path)
    seconds: dict[str, list[float]] = {"observation": [], "add": [], "finish": []}

    def timed(call: str, work: Callable[[], object]) -> object:
        began = time.perf_counter()
        result = work()
        seconds[call].append(time.perf_counter() - began)
        return result

    with Client(settings) as client:
        for number in range(calls // FILES_PER_OBSERVATION):
            observation = timed("observation", client.observation)
            for _ in range(FILES_PER_OBSERVATION):
                timed("add", lambda: observation.add(path))  # noqa: B023 - at once
                time.sleep(0.002 * (number % 2))
            timed("finish", observation.finish)
    return seconds


@contextmanager
def served(state: str) -> Iterator[str]:
    """Yield the address of a server in that state."""
    arguments = [sys.executable, "-m", "tests.bench.client", "--serve", state]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())
        if state.startswith("gone"):
            process.kill()
        try:
            yield url
        finally:
            process.kill()


def serve(state: str) -> None:
    """Serve until killed."""

    def wait(_: Handler) -> bool:
        time.sleep({"up": 0.0, "slow": 2.0}.get(state, 3600.0))
        return False

    with contract_server() as contract:
        contract.faults = [wait] * 1_000_000
        sys.stdout.write(json.dumps(contract.url) + "\n")
        sys.stdout.flush()
        os.read(0, 1)


if __name__ == "__main__":
    sys.exit(main())
