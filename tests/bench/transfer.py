"""The transfer engine and what a user would pick instead, on the test link: `python -m tests.bench.transfer [--quick]`.

On the same bytes, interleaved, several rounds, medians. The engine moves everything, connects included; each rival
has a fixed time, and what it really wrote in it counts. Writes a table, and REPORT=file.json for machines. Needs root,
/dev/net/tun and openssh-server; iperf3 for the limit, rsync, bbcp and mscp where they are to be compared.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from include.link.long_link import LongLink, Tuning
from tests.bench.ending import end_on_sigterm
from tests.bench.places import Packages, Server, make_packages, serving
from tests.bench.pull_once import Order, Outcome
from tests.bench.report import add_to_report
from tests.bench.rivals import RIVALS, is_installed

MB = 1_000_000
IPERF_STREAMS = (1, 16, 32)

Figures = dict[str, list[float]]


@dataclass(frozen=True)
class Case:
    """`tuning` is None on loopback."""

    name: str
    tuning: Tuning | None
    count: int
    size_bytes: int


@dataclass(frozen=True)
class Options:
    rounds: int
    seconds: float
    """A rival's time, and that of each iperf3."""
    rivals: tuple[str, ...]
    folder: Path


def cases(*, quick: bool) -> list[Case]:
    large = (8, 64 * MB) if quick else (16, 512 * MB)
    small = (100, 4 * MB) if quick else (2000, 4 * MB)
    return [
        Case("tuned_large", Tuning.LONG, *large),
        Case("tuned_small", Tuning.LONG, *small),
        Case("stock_large", Tuning.STOCK, *large),
        Case("loopback", None, *large),
    ]


def measure(case: Case, options: Options) -> Figures:
    figures: Figures = defaultdict(list)
    packages = make_packages(options.folder / "data", count=case.count, size_bytes=case.size_bytes)
    with _link(case) as link, serving(options.folder / "ssh", link=link) as server:
        for number in range(options.rounds):
            _say(f"{case.name}, round {number + 1} of {options.rounds}")
            if shutil.which("iperf3"):
                figures["limit"].append(_limit(server, seconds=options.seconds / 2))
                _say(f"  iperf3 {figures['limit'][-1]:.1f} MB/s")
            _engine(server, packages, options, figures)
            for rival in options.rivals:
                figures[rival].append(_rival(rival, server, packages, options))
                _say(f"  {rival} {figures[rival][-1]:.1f} MB/s")
    return figures


@contextmanager
def _link(case: Case) -> Iterator[LongLink | None]:
    if case.tuning is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder, LongLink.up(folder=Path(folder), name="bench") as link:
        link.tune(case.tuning)
        yield link


def _limit(server: Server, *, seconds: float) -> float:
    listening = subprocess.Popen(server.there("iperf3", "-s"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)  # it says nothing when it is ready
        return max(_iperf(server, streams=streams, seconds=seconds) for streams in IPERF_STREAMS)
    finally:
        listening.terminate()
        listening.wait()


def _iperf(server: Server, *, streams: int, seconds: float) -> float:
    words = server.here("iperf3", "-c", server.address, "-R", "-J", "-t", str(int(seconds)), "-P", str(streams))
    said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=seconds + 60).stdout
    end = json.loads(said).get("end", {})
    return float(end.get("sum_received", {}).get("bits_per_second", 0)) / 8 / MB


def _engine(server: Server, packages: Packages, options: Options, figures: Figures) -> None:
    with _empty(options.folder / "arrived") as destination:
        order = Order(
            host=server.address, port=server.port, user=server.user, key=str(server.key), host_key=server.host_key,
            root=str(packages.root), destination=str(destination), manifests=str(packages.manifests),
        )  # fmt: skip
        path = options.folder / "order.json"
        path.write_text(order.model_dump_json())
        before = server.cpu_seconds()
        words = server.here(sys.executable, "-m", "tests.bench.pull_once", path)
        said = subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout
        outcome = Outcome.model_validate_json(said)
    time.sleep(1)  # sshd's children end, and are counted
    cpu = outcome.cpu_seconds + server.cpu_seconds() - before
    rate = outcome.bytes / MB / outcome.seconds
    figures["engine"].append(rate)
    figures["engine_cpu_seconds_per_gb"].append(cpu / (outcome.bytes / 1e9))
    figures["engine_peak_mb"].append(outcome.peak_mb)
    figures["engine_last_twentieth"].append(outcome.last_twentieth)
    _say(
        f"  engine {rate:.1f} MB/s, {figures['engine_cpu_seconds_per_gb'][-1]:.1f} CPU s/GB, {outcome.peak_mb:.0f} MB,"
        f" last 5 % in {outcome.last_twentieth:.1%} of the time"
    )


def _rival(rival: str, server: Server, packages: Packages, options: Options) -> float:
    with _empty(options.folder / "arrived") as destination:
        words = server.here(*RIVALS[rival](server, packages, destination))
        began = time.perf_counter()
        with (options.folder / f"{rival}.log").open("wb") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
            try:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=options.seconds)
                seconds = time.perf_counter() - began
                written = sum(written_bytes(file) for file in destination.rglob("*") if file.is_file())
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        return written / MB / seconds


def written_bytes(path: Path) -> int:
    """Without holes, and without what was only set aside for the file: rclone does that, and writes in many places."""
    found = position = 0
    with path.open("rb") as file, suppress(OSError):  # ENXIO: no more data
        while True:
            position = os.lseek(file.fileno(), position, os.SEEK_DATA)
            end = os.lseek(file.fileno(), position, os.SEEK_HOLE)
            found, position = found + end - position, end
    return found


@contextmanager
def _empty(folder: Path) -> Iterator[Path]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _table(report: dict[str, dict[str, float]], rivals: tuple[str, ...]) -> str:
    columns = ("limit", "engine", *rivals, "engine_cpu_seconds_per_gb", "engine_peak_mb")
    titles = ("iperf3", "engine", *rivals, "CPU s/GB", "peak MB")
    lines = [f"| MB/s | {' | '.join(titles)} | engine/limit | last 5 % |", "|---" * (len(titles) + 3) + "|"]
    for case, figures in report.items():
        words = [f"{figures[column]:.1f}" if column in figures else "-" for column in columns]
        ratio = f"{figures['engine'] / figures['limit']:.2f}" if figures.get("limit") else "-"
        lines.append(f"| {case} | {' | '.join(words)} | {ratio} | {figures['engine_last_twentieth']:.1%} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round, no rivals but rclone: minutes")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="a rival's time in each round; iperf3 has half of it")
    parser.add_argument("--cases", nargs="+")
    parser.add_argument("--rivals", nargs="*")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "bench-transfer")
    chosen = parser.parse_args()
    end_on_sigterm()
    wanted = tuple(chosen.rivals if chosen.rivals is not None else (["rclone"] if chosen.quick else RIVALS))
    there = tuple(rival for rival in wanted if is_installed(rival))
    options = Options(
        rounds=chosen.rounds or (1 if chosen.quick else 3),
        seconds=chosen.seconds or (20 if chosen.quick else 60),
        rivals=there,
        folder=chosen.folder,
    )
    why_not = LongLink.why_not()
    missing = [*(set(wanted) - set(there)), *([] if shutil.which("iperf3") else ["iperf3"])]
    if missing:
        _say(f"Not installed, and left out: {', '.join(sorted(missing))}.")
    if shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        _say("No sshd: install openssh-server.")
        return 1
    report: dict[str, dict[str, float]] = {}
    for case in cases(quick=chosen.quick):
        if chosen.cases and case.name not in chosen.cases:
            continue
        if case.tuning is not None and why_not:
            _say(f"{case.name} is left out: {why_not}.")
            continue
        found = measure(case, options)
        report[case.name] = {name: round(statistics.median(values), 3) for name, values in found.items()}
    load = os.getloadavg()[0]
    print(f"{platform.node()}, {os.cpu_count()} cores, Linux {platform.release()}, load at the end {load:.1f}\n")  # noqa: T201
    print(_table(report, there))  # noqa: T201
    add_to_report("transfer", report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
