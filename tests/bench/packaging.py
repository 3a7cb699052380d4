"""Packaging and what a user would pick instead: `python -m tests.bench.packaging [--quick]`.

The same files, interleaved, several rounds, medians in MB/s of file content. Every way ends with its package durable on
disk (fsync), as ours does. limit: read everything and write it into one file. gnu_tar hashes nothing; tarfile packs
with Python's own module and hashes members and package afterwards. Writes a table, and REPORT=file.json for machines.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from include.integrity.checksum import checksum_of
from include.integrity.package import SourceFile, write_package
from include.storage.disk import DiskStorage
from tests.bench.report import add_to_report

MB = 1_000_000
READ_BYTES = 256 * 1024


@dataclass(frozen=True)
class Case:
    """So many files of one size."""

    name: str
    count: int
    size_bytes: int


def cases(*, quick: bool) -> list[Case]:
    share = 10 if quick else 1
    return [
        Case("small_files", 1000 // share, MB),
        Case("large_files", 2, 1000 * MB // share),
    ]


def engine(source: Path, package: Path) -> None:
    disk = DiskStorage(source)
    files = [SourceFile(stat.path, stat.size_bytes, None, uuid4()) for stat in disk.list()]
    stream = write_package(files, open_file=disk.open, modified_at=0)
    DiskStorage(package.parent).write(package.name, stream, size_bytes=stream.size_bytes)
    stream.manifest(package.name)


def limit(source: Path, package: Path) -> None:
    buffer = memoryview(bytearray(READ_BYTES))
    with package.open("wb", buffering=0) as out:
        for path in files_of(source):
            with path.open("rb", buffering=0) as file:
                while count := file.readinto(buffer):
                    out.write(buffer[:count])
        os.fsync(out.fileno())


def gnu_tar(source: Path, package: Path) -> None:
    subprocess.run(["tar", "-cf", package, "-C", source, "."], check=True)
    make_durable(package)


def python_tarfile(source: Path, package: Path) -> None:
    with tarfile.open(package, "w") as tar:
        tar.add(source, arcname=".")
    make_durable(package)
    for path in (*files_of(source), package):
        checksum_of(chunks(path))


WAYS: dict[str, Callable[[Path, Path], None]] = {
    "limit": limit,
    "engine": engine,
    "gnu_tar": gnu_tar,
    "tarfile": python_tarfile,
}


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(READ_BYTES):
            yield chunk


def make_durable(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def measure(case: Case, *, rounds: int, folder: Path) -> dict[str, float]:
    source = folder / case.name
    for number in range(case.count):
        path = source / f"{number % 10}" / f"{number:04}.g3"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            some = random.Random(number)
            for begin in range(0, case.size_bytes, MB):
                file.write(some.randbytes(min(MB, case.size_bytes - begin)))
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, way in WAYS.items():
            package = folder / f"{name}.tar"
            began = time.perf_counter()
            way(source, package)
            seconds[name].append(time.perf_counter() - began)
            package.unlink()
    shutil.rmtree(source)
    size_bytes = case.count * case.size_bytes
    return {name: round(size_bytes / MB / statistics.median(taken), 1) for name, taken in seconds.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the bytes, one round")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    chosen = parser.parse_args()
    rounds = chosen.rounds or (1 if chosen.quick else 5)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        report = {case.name: measure(case, rounds=rounds, folder=Path(folder)) for case in cases(quick=chosen.quick)}
    lines = [
        "| MB/s | read+write | engine | GNU tar | tarfile, then hashes | engine/limit |",
        "|---|---|---|---|---|---|",
    ]
    for case, figures in report.items():
        words = " | ".join(f"{figures[way]:.0f}" for way in WAYS)
        lines.append(f"| {case} | {words} | {figures['engine'] / figures['limit']:.2f} |")
    sys.stdout.write("\n".join(lines) + "\n")
    add_to_report("packaging", report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
