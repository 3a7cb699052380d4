"""Whether compression is worth it, on the test link: `python -m tests.bench.compression [--links tuned stock]`.

Three kinds of bytes: the sample observation's files (spt3g timestreams, which FLAC has compressed already, and FITS
spectra), timestreams as plain 32-bit integers, and noise. Each goes over the link as it is and from its twins. Needs
root, /dev/net/tun and openssh-server. `--prepare` only makes the data.
"""

import argparse
import itertools
import json
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import PIPE, run

import zstandard

from include.integrity.checksum import BlockHasher
from include.integrity.manifest import PackageManifest
from include.link.long_link import LongLink, Tuning
from include.storage.disk import DiskStorage
from include.transfer.blocks import Item
from include.transfer.compressed_twin import FOLDER, LEVEL, NoTwinError, make_twin
from tests.bench.ending import end_on_sigterm
from tests.bench.places import Packages, Server, serving
from tests.bench.pull_once import Listed, Order, Outcome

MB = 1_000_000
COUNT = 12
SIZE = 128 * MB
SAMPLE = Path(__file__).parents[2] / "include" / "sandbox" / "demo" / "observation"
LINKS = {"tuned": Tuning.LONG, "stock": Tuning.STOCK}


@dataclass(frozen=True)
class Twins:
    """What became of a kind's packages, and what it took. Frames by path."""

    frames: dict[str, tuple[int, ...]]
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Row:
    """One kind of bytes over one link."""

    link: str
    kind: str
    shrinks_to: float
    twin_mb_a_second: float
    """Of the original bytes, while twins are made."""
    twin_cpu_seconds_per_gb: float
    plain: float
    """MB/s over the whole wall time, connects included."""
    compressed: float
    plain_cpu_seconds_per_gb: float
    compressed_cpu_seconds_per_gb: float
    plain_link_mb: float
    compressed_link_mb: float
    compressed_peak_mb: float


# ----- the bytes


def sample_files(pattern: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(SAMPLE.rglob(pattern)) if path.is_file()]


def repeated(files: list[bytes], *, seed: int) -> Iterator[bytes]:
    """The files in a ring that is longer than 512 KiB: as far as zstd looks back here, no file comes again."""
    first = seed % len(files)
    return itertools.cycle(files[first:] + files[:first])


def flac(seed: int) -> Iterator[bytes]:
    return repeated(sample_files("*.g3"), seed=seed)


def spectra(seed: int) -> Iterator[bytes]:
    return repeated(sample_files("*.fits"), seed=seed)


def timestreams(seed: int) -> Iterator[bytes]:
    """Detectors one after the other, 30 s at 200 Hz each: a level of their own that drifts, and white noise of 200."""
    noise = random.Random(seed)
    white = [round(noise.gauss(0, 200)) for _ in range(400_000)]
    drift = list(itertools.accumulate(round(noise.gauss(0, 20)) for _ in range(6000)))
    while True:
        level = noise.randrange(-(2**22), 2**22)
        first = noise.randrange(len(white) - 6000)
        yield array("i", (level + d + w for d, w in zip(drift, white[first : first + 6000], strict=True))).tobytes()


def incompressible(seed: int) -> Iterator[bytes]:
    some = random.Random(seed)
    while True:
        yield some.randbytes(MB)


KINDS: dict[str, Callable[[int], Iterator[bytes]]] = {
    "g3 with FLAC": flac,
    "FITS spectra": spectra,
    "int32 timestreams": timestreams,
    "noise": incompressible,
}


def packages_of(kind: str, folder: Path) -> Packages:
    root = folder / kind.replace(" ", "_")
    manifests = root.with_suffix(".json")
    names = tuple(f"package_{number}.tar" for number in range(COUNT))
    if not manifests.exists():
        listed = [(name, _made(root / name, KINDS[kind](number))) for number, name in enumerate(names)]
        manifests.write_text(Listed(packages=listed).model_dump_json())
    return Packages(root, manifests, names, SIZE)


def _made(path: Path, chunks: Iterator[bytes]) -> PackageManifest:
    path.parent.mkdir(parents=True, exist_ok=True)
    hasher = BlockHasher()
    with path.open("wb") as file:
        left = SIZE
        while left:
            chunk = next(chunks)[:left]
            file.write(chunk)
            hasher.update(chunk)
            left -= len(chunk)
    found = hasher.value()
    return PackageManifest(
        name=path.stem, size_bytes=found.size_bytes, checksum=found.checksum, block_bytes=found.block_bytes,
        block_checksums=found.block_checksums, members=(),
    )  # fmt: skip


def twins_of(packages: Packages) -> Twins:
    """Made anew each time."""
    shutil.rmtree(packages.root / FOLDER, ignore_errors=True)
    storage = DiskStorage(packages.root)
    listed = Listed.model_validate_json(packages.manifests.read_text())
    frames: dict[str, tuple[int, ...]] = {}
    began, used = time.perf_counter(), time.process_time()
    for path, manifest in listed.packages:
        try:
            frames[path] = make_twin(Item(path, manifest), storage=storage, check=lambda: None).frame_bytes
        except NoTwinError as error:
            _say(f"  {error}")
    return Twins(frames, time.perf_counter() - began, time.process_time() - used)


# ----- over the link


def compare(server: Server, kind: str, *, link: str, folder: Path, rounds: int) -> Row:
    packages = packages_of(kind, folder)
    twins = twins_of(packages)
    gb = packages.total_bytes / 1e9
    plain: list[tuple[Outcome, float]] = []
    compressed: list[tuple[Outcome, float]] = []
    for _ in range(rounds):
        for found, frames in ((plain, {}), (compressed, twins.frames)):
            if found is compressed and not frames:
                found.append(plain[-1])
                continue
            found.append(_pull(server, packages, frames, folder))
            outcome, cpu = found[-1]
            _say(
                f"  {link}, {kind}, {'from twins' if frames else 'as it is'}: {outcome.seconds:.1f} s,"
                f" {outcome.received_bytes / MB:.0f} MB over the link, {cpu / gb:.1f} CPU s/GB"
            )

    def rate(found: list[tuple[Outcome, float]]) -> float:
        return statistics.median(outcome.bytes / MB / outcome.seconds for outcome, _ in found)

    def cpu_of(found: list[tuple[Outcome, float]]) -> float:
        return statistics.median(cpu for _, cpu in found) / gb

    sizes = [sum(twins.frames.get(name, (packages.size_bytes,))) for name in packages.names]
    return Row(
        link=link,
        kind=kind,
        shrinks_to=sum(sizes) / packages.total_bytes,
        twin_mb_a_second=packages.total_bytes / MB / twins.seconds,
        twin_cpu_seconds_per_gb=twins.cpu_seconds / gb,
        plain=rate(plain),
        compressed=rate(compressed),
        plain_cpu_seconds_per_gb=cpu_of(plain),
        compressed_cpu_seconds_per_gb=cpu_of(compressed),
        plain_link_mb=statistics.median(outcome.received_bytes / MB for outcome, _ in plain),
        compressed_link_mb=statistics.median(outcome.received_bytes / MB for outcome, _ in compressed),
        compressed_peak_mb=max(outcome.peak_mb for outcome, _ in compressed),
    )


def _pull(
    server: Server, packages: Packages, frames: dict[str, tuple[int, ...]], folder: Path
) -> tuple[Outcome, float]:
    """The outcome, and the CPU seconds of both ends."""
    destination = folder / "arrived"
    shutil.rmtree(destination, ignore_errors=True)
    destination.mkdir(parents=True)
    order = Order(
        host=server.address, port=server.port, user=server.user, key=str(server.key), host_key=server.host_key,
        root=str(packages.root), destination=str(destination), manifests=str(packages.manifests), twins=frames,
    )  # fmt: skip
    path = folder / "order.json"
    path.write_text(order.model_dump_json())
    before = server.cpu_seconds()
    said = run(server.here(sys.executable, "-m", "tests.bench.pull_once", path), stdout=PIPE, check=True).stdout
    outcome = Outcome.model_validate_json(said)
    shutil.rmtree(destination)
    time.sleep(1)  # sshd's children end, and are counted
    return outcome, outcome.cpu_seconds + server.cpu_seconds() - before


# ----- telling


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _table(rows: list[Row]) -> str:
    titles = (
        "link", "bytes", "shrink to", "MB/s as it is", "MB/s from twins", "gain", "MB over the link",
        "CPU s/GB both ends", "making twins, MB/s", "CPU s/GB", "peak MB",
    )  # fmt: skip
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    lines += [
        f"| {row.link} | {row.kind} | {row.shrinks_to:.0%} | {row.plain:.1f} | {row.compressed:.1f}"
        f" | {row.compressed / row.plain:.2f} | {row.plain_link_mb:.0f} -> {row.compressed_link_mb:.0f}"
        f" | {row.plain_cpu_seconds_per_gb:.1f} -> {row.compressed_cpu_seconds_per_gb:.1f}"
        f" | {row.twin_mb_a_second:.0f} | {row.twin_cpu_seconds_per_gb:.1f} | {row.compressed_peak_mb:.0f} |"
        for row in rows
    ]
    return "\n".join(lines)


def _prepare(folder: Path) -> None:
    for kind in KINDS:
        packages = packages_of(kind, folder)
        first = (packages.root / packages.names[0]).read_bytes()[: 64 * MB]
        _say(f"{kind}: level {LEVEL} shrinks it to {len(zstandard.compress(first, LEVEL)) / len(first):.1%}")
    for pattern in ("*.g3", "*.fits"):
        alone = b"".join(sample_files(pattern))
        part = len(zstandard.compress(alone, LEVEL)) / len(alone)
        _say(f"The sample's {pattern}, each once: {part:.1%} of {len(alone):,} bytes")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--links", nargs="+", choices=LINKS, default=list(LINKS))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "bench-compression")
    chosen = parser.parse_args()
    end_on_sigterm()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    if chosen.prepare:
        _prepare(chosen.folder)
        return 0
    why_not = LongLink.why_not()
    if why_not:
        _say(f"Nothing can be measured: {why_not}.")
        return 1
    rows: list[Row] = []
    for name in chosen.links:
        with LongLink.up(folder=chosen.folder, name="bench") as link:
            link.tune(LINKS[name])
            with serving(chosen.folder / "ssh", link=link) as server:
                rows += [
                    compare(server, kind, link=name, folder=chosen.folder, rounds=chosen.rounds)
                    for kind in chosen.kinds
                ]
    print(f"{platform.node()}, {os.cpu_count()} cores, Linux {platform.release()}\n")  # noqa: T201
    print(_table(rows))  # noqa: T201
    if os.environ.get("REPORT"):
        told = {"compression": [asdict(row) for row in rows]}
        Path(os.environ["REPORT"]).write_text(json.dumps(told, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
