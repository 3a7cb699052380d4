"""Deletion in bulk: `python -m tests.bench.lifecycle [--quick]`.

100,000 raw files in 2,000 packages at three sites go through planning, gate and bookkeeping, one lane after the other
in one process, as batches do. No byte moves: the storages say that every file is as recorded until it is deleted.
Writes a table, and REPORT=file.json for machines.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import create_engine, event, text

from include.ops_db import migrate
from include.ops_db.engine import CLIENT_OPTIONS
from include.sandbox.postgres import Postgres
from include.stages import deletion
from include.storage.interface import FileStat, Space
from tests.bench.many_packages import FILE_BYTES, TAR_BYTES, Many, fill
from tests.observatory import Observatory

LANES = ("ccat_source", "ccat_buffer", "cologne_buffer", "us_buffer")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Remembered:
    """A storage without bytes: each file that ops-db knows is there, as recorded, until it is deleted."""

    def __init__(self, *, files_each: int) -> None:
        self._tar_bytes = TAR_BYTES * files_each
        self.deleted = 0

    def stat(self, path: str) -> FileStat | None:
        size = self._tar_bytes if path.endswith(".tar") else FILE_BYTES
        return FileStat(path=path, size_bytes=size, modified_at=LONG_AGO)

    def delete(self, path: str) -> bool:
        self.deleted += path.endswith((".tar", ".g3"))
        return True

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        raise NotImplementedError

    def write(self, path: str, chunks: object, *, size_bytes: int | None = None) -> None:
        raise NotImplementedError

    def list(self, prefix: str = "") -> Iterator[FileStat]:
        return iter(())

    def space(self) -> Space | None:
        return None

    def close(self) -> None:
        return None


@dataclass(frozen=True)
class LaneResult:
    """What a lane took."""

    lane: str
    packages: int
    files: int
    seconds: float
    statements: int
    """Statements to ops-db for each package, planning included."""


def measure(observatory: Observatory, lane: str, *, many: Many) -> LaneResult:
    storage = Remembered(files_each=many.files_each)
    observatory.storages[lane] = storage
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    event.listen(observatory.engine, "before_cursor_execute", count)
    began, completed = time.monotonic(), 0
    while batches := observatory.plan(deletion, lane).batches:
        completed += sum(observatory.runner(deletion, lane).run(batch).completed for batch in batches)
    seconds = time.monotonic() - began
    event.remove(observatory.engine, "before_cursor_execute", count)
    assert completed == many.packages, f"{completed} of {many.packages} packages went from {lane}"
    return LaneResult(lane, completed, storage.deleted, round(seconds, 2), round(statements / completed, 1))


@contextmanager
def not_without(url: str) -> Iterator[None]:
    """End the process if its PostgreSQL does: workers would wait for it, each operation for minutes."""
    ended = threading.Event()

    def watch() -> None:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            while not ended.wait(1):
                try:
                    connection.execute("select 1")
                except psycopg.Error as error:
                    sys.stderr.write(f"PostgreSQL is gone, so nothing can be measured: {error}\n")
                    os._exit(1)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()


def left(observatory: Observatory) -> int:
    with observatory.engine.connect() as connection:
        return int(
            connection.execute(
                text(
                    "select count(*) from physical_copy c join data_location l on l.id = c.data_location_id"
                    " where l.location_type <> 'long_term_archive' and c.status <> 'deleted'"
                )
            ).scalar_one()
        )


def run(folder: Path, *, quick: bool) -> dict[str, Any]:
    many = Many(packages=200 if quick else 2000, files_each=50)
    with Postgres.running(folder / "postgres") as server:
        url = server.create_database("lifecycle")
        migrate.upgrade(url)
        engine = create_engine(url, pool_size=2, connect_args=CLIENT_OPTIONS)
        observatory = Observatory.build(engine, folder / "observatory")
        fill(engine, many)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with not_without(url):
            lanes = [measure(observatory, lane, many=many) for lane in LANES]
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert left(observatory) == 0
        engine.dispose()
    return {
        "raw_files": many.packages * many.files_each,
        "packages": many.packages,
        "sites": 3,
        "seconds": round(sum(lane.seconds for lane in lanes), 1),
        "memory_grown_mb": round(grown, 1),
        "lanes": [asdict(lane) for lane in lanes],
    }


def table(report: dict[str, Any]) -> str:
    lines = [f"{'lane':16} {'packages':>8} {'files':>8} {'seconds':>8} {'statements a package':>21}"]
    lines += [
        f"{lane['lane']:16} {lane['packages']:8} {lane['files']:8} {lane['seconds']:8} {lane['statements']:21}"
        for lane in report["lanes"]
    ]
    lines += [f"{report['seconds']} s in all (at most 300 are allowed); memory grew by {report['memory_grown_mb']} MB"]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-lifecycle", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of it")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="dts-bench-") as folder:
        report = run(Path(folder), quick=quick)
    sys.stdout.write(table(report) + "\n")
    if path := os.environ.get("REPORT"):
        Path(path).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
