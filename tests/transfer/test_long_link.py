"""On the test link: what no loopback shows. Skipped where there is no link to be had."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.link.long_link import LongLink, Shape, Tuning
from include.sandbox import programs
from tests.bench.places import make_packages, serving
from tests.bench.pull_once import Order, Outcome

MB = 1_000_000
SMALL = Shape(delay_ms=40, rate_mbit=100, loss=0.0001, queue_ms=100)
"""Enough to tell, and little enough for a machine that does other things too."""


@pytest.fixture
def link(tmp_path: Path) -> Iterator[LongLink]:
    missing = LongLink.why_not() or (None if programs.sshd() else "no sshd is installed")
    if missing:
        pytest.skip(missing)
    with LongLink.up(folder=tmp_path / "link", name="dtstest", shape=SMALL) as link:
        link.tune(Tuning.STOCK)
        yield link


@pytest.mark.slow
@pytest.mark.timeout(110)
def test_it_moves_again_within_10_seconds_of_the_mend(link, tmp_path):
    packages = make_packages(tmp_path / "data", count=40, size_bytes=4 * MB)
    arrived = tmp_path / "arrived"
    arrived.mkdir()
    with serving(tmp_path / "ssh", link=link) as server:
        order = Order(
            host=server.address,
            port=server.port,
            user=server.user,
            key=str(server.key),
            host_key=server.host_key,
            root=str(packages.root),
            destination=str(arrived),
            manifests=str(packages.manifests),
            watch=True,
        )
        (tmp_path / "order.json").write_text(order.model_dump_json())
        process = subprocess.Popen(
            server.here(sys.executable, "-m", "tests.bench.pull_once", tmp_path / "order.json"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert process.stdout is not None
        assert process.stderr is not None
        arrivals: list[float] = []
        cut = threading.Event()

        def listen() -> None:
            for line in process.stderr:
                if " kept," in line:
                    arrivals.append(time.monotonic())
                    cut.set()

        listening = threading.Thread(target=listen)
        listening.start()
        assert cut.wait(60)
        link.cut()
        time.sleep(12)  # a cut is a length of time
        link.mend()
        mended = time.monotonic()
        outcome = Outcome.model_validate_json(process.stdout.read())
        listening.join()
        process.stdout.close()
        process.stderr.close()
        process.wait()
    assert outcome.finished
    assert min(at for at in arrivals if at > mended) - mended < 10
    assert {path.stat().st_size for path in arrived.rglob("*.tar")} == {4 * MB}
