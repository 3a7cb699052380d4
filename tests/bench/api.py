"""The API in a real api-server: `python -m tests.bench.api [--packages N] [--files N] [--instruments N] [--seconds N]`.

Three questions: how long does it take to file 10,000 files of one observation, until it is received and until it is
decided; do a hundred instruments that file at once for a minute get an error; how fast are reads with a million
packages and fifty million files. Rows are made in ops-db by itself; a worker decides filings in this process, with a
storage that says that every file is there. Writes a table, and REPORT=file.json for machines.
"""

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from include.access.roles import Role
from include.access.tokens import make_token
from include.ops_db import migrate
from include.ops_db.engine import CLIENT_OPTIONS
from include.sandbox.postgres import Postgres
from include.stages import registration
from include.storage.disk import DiskStorage
from include.storage.interface import FileStat
from tests.api.airflow_server import AirflowServer, environment_of, running
from tests.bench.many_packages import Many, fill
from tests.bench.report import add_to_report
from tests.observatory import Observatory

HEAD = {
    "instrument": "primecam",
    "instrument_module": "mod280",
    "data_location": "ccat_source",
    "started_at": "2026-04-01T03:20:00Z",
}
IN_ONE_OBSERVATION = 10_000
FILES_PER_FILING = 10
READS = 200
"""Of each kind."""


class AllThere(DiskStorage):
    """A source on which every file has its size: how fast a disk says so is not what is measured."""

    def stat(self, path: str) -> FileStat | None:
        return FileStat(path=path, size_bytes=1, modified_at=datetime.now(UTC))


def main() -> None:
    """Measure, print, report."""
    chosen = _arguments()
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="dts-bench-") as folder, _server(Path(folder)) as (observatory, server):
        client = {"base_url": f"{server.url}/dts", "timeout": 120, "trust_env": False}
        instrument = _token(observatory, "primecam", Role.INSTRUMENT)
        with httpx.Client(**client, headers=instrument) as one, _worker(observatory):
            one.get("/api/v1/filings")  # the first request imports
            figures["one observation"] = _one_observation(one)
            figures["many instruments"] = asyncio.run(_many_instruments(client, instrument, chosen))
        _say(figures)
        filled = _fill(observatory, Many(packages=chosen.packages, files_each=chosen.files))
        with httpx.Client(**client, headers=_token(observatory, "guest", Role.VIEWER)) as reader:
            reads = _reads(reader, packages=chosen.packages)
        made = f"{chosen.packages:,} packages, {chosen.packages * chosen.files:,} files"
        sys.stdout.write(f"\nReads with {made} (made in {filled:.0f} s):\n")
    _say(reads)
    add_to_report("api", figures | reads)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=100_000, help="for the reads; 1000000 is the goal")
    parser.add_argument("--files", type=int, default=10, help="in each; 50 is the goal (40 GB, an hour)")
    parser.add_argument("--instruments", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    return parser.parse_args()


@contextmanager
def _server(folder: Path) -> Iterator[tuple[Observatory, AirflowServer]]:
    with Postgres.running(folder / "postgres") as postgres:
        url = postgres.create_database("ops_db")
        migrate.upgrade(url)
        engine = create_engine(url, pool_size=5, connect_args=CLIENT_OPTIONS)
        observatory = Observatory.build(engine, folder / "observatory")
        observatory.storages["ccat_source"] = AllThere(observatory.folder("ccat_source"))
        home = folder / "airflow"
        home.mkdir()
        environment = environment_of(postgres, observatory, home, users=(), more={})
        AirflowServer("", environment).airflow("db", "migrate")
        with running(environment, home) as server:
            yield observatory, server
        engine.dispose()


@contextmanager
def _worker(observatory: Observatory) -> Iterator[None]:
    """Decide filings as they come."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.02):
            observatory.run(registration, "ccat_source")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _token(observatory: Observatory, account: str, role: Role) -> dict[str, str]:
    with Session(observatory.engine) as session, session.begin():
        made = make_token(
            session,
            account=account,
            role=role,
            instruments=("primecam",) if role is Role.INSTRUMENT else (),
            expires_at=datetime.now(UTC) + timedelta(days=1),
            made_by="bench",
        )
    return {"Authorization": f"Bearer {made.secret}"}


def _stream(count: int) -> bytes:
    """A filing of `count` files whose paths nobody filed before."""
    folder = uuid4().hex
    files = ({"path": f"{folder}/rfsoc01_drone1/{number:09}_000.g3", "size_bytes": 1} for number in range(count))
    return "".join(json.dumps(line) + "\n" for line in (HEAD, *files)).encode()


def _one_observation(client: httpx.Client) -> dict[str, float]:
    body, headers = _stream(IN_ONE_OBSERVATION), {"Content-Type": "application/x-ndjson"}
    began = time.monotonic()
    answer = client.post(f"/api/v1/observations/{uuid4()}/files", content=body, headers=headers)
    received = time.monotonic()
    assert answer.status_code == 202, answer.text
    filing = client.get(f"/api/v1/filings/{answer.json()['id']}?wait=30").json()
    assert filing["state"] == "accepted", filing
    return {"received_seconds": received - began, "decided_seconds": time.monotonic() - began}


async def _many_instruments(
    options: dict[str, object], headers: dict[str, str], chosen: argparse.Namespace
) -> dict[str, float]:
    seconds: list[float] = []
    errors: list[str] = []
    ends_at = time.monotonic() + chosen.seconds

    async def instrument() -> None:
        async with httpx.AsyncClient(**options, headers=headers) as client:  # type: ignore[arg-type]
            while time.monotonic() < ends_at:
                observation = f"/api/v1/observations/{uuid4()}"
                start = {"instrument": "primecam", "started_at": HEAD["started_at"]}
                body = {"content": _stream(FILES_PER_FILING), "headers": {"Content-Type": "application/x-ndjson"}}
                finish = {"finished_at": "2026-04-01T04:00:00Z"}
                await _timed(client.put(observation, json=start), 201)
                await _timed(client.post(f"{observation}/files", **body), 202)
                await _timed(client.post(f"{observation}/finish", json=finish), 200)

    async def _timed(asked: Awaitable[httpx.Response], wanted: int) -> None:
        began = time.monotonic()
        try:
            answer = await asked
            if answer.status_code != wanted:
                errors.append(f"{answer.status_code}: {answer.text[:200]}")
        except httpx.HTTPError as error:
            errors.append(repr(error))
        seconds.append(time.monotonic() - began)

    await asyncio.gather(*(instrument() for _ in range(chosen.instruments)))
    for error in errors[:5]:
        sys.stdout.write(f"error: {error}\n")
    return {
        "requests": len(seconds),
        "errors": len(errors),
        "requests_per_second": len(seconds) / chosen.seconds,
        **_quantiles(seconds),
    }


def _fill(observatory: Observatory, many: Many) -> float:
    began = time.monotonic()
    with observatory.engine.begin() as connection:
        connection.execute(text("set local session_replication_role = replica"))
        for table in ("operation", "physical_copy", "raw_data_file", "filing", "executed_obs_unit"):
            connection.execute(text(f"delete from {table}"))
    fill(observatory.engine, many)
    return time.monotonic() - began


def _reads(client: httpx.Client, *, packages: int) -> dict[str, dict[str, float]]:
    """The quantiles of each kind of read, over things all over the place."""
    spread = itertools.cycle(range(1, packages, max(packages // 97, 1)))
    observation = client.get(f"/api/v1/packages/bench_{packages // 2}").json()["observation"]
    kinds: dict[str, Callable[[], str]] = {
        "package": lambda: f"packages/bench_{next(spread)}",
        "packages": lambda: "packages",
        "packages, next page": _pages(client, "packages"),
        "packages of an observation": lambda: f"packages?observation={observation}",
        "packages that failed": lambda: "packages?state=failed",
        "files of a package": lambda: f"packages/bench_{next(spread)}/files",
        "files of an observation": lambda: f"observations/{observation}/files",
        "observations": lambda: "observations?instrument=primecam",
        "copies at a location": lambda: "copies?location=us_archive",
        "copies at a location, next page": _pages(client, "copies?location=us_archive"),
        "transfers": lambda: "transfers",
        "explain": lambda: f"explain/bench_{next(spread)}",
        "history": lambda: f"history/bench_{next(spread)}",
    }
    return {f"read: {kind}": _read(client, address) for kind, address in kinds.items()}


def _pages(client: httpx.Client, address: str) -> Callable[[], str]:
    """Addresses of one page after the other."""
    after = ""

    def following() -> str:
        nonlocal after
        joined = f"{address}{'&' if '?' in address else '?'}limit=1000"
        page = client.get(f"/api/v1/{joined}{after}").json()
        after = f"&after={page['next']}" if page["next"] else ""
        return f"{joined.replace('limit=1000', 'limit=100')}{after}"

    return following


def _read(client: httpx.Client, address: Callable[[], str]) -> dict[str, float]:
    seconds = []
    for _ in range(READS):
        asked = f"/api/v1/{address()}"
        began = time.monotonic()
        answer = client.get(asked)
        seconds.append(time.monotonic() - began)
        assert answer.status_code == 200, f"{asked}: {answer.text}"
    return _quantiles(seconds)


def _quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "p50_seconds": ordered[len(ordered) // 2],
        "p99_seconds": ordered[int(len(ordered) * 0.99)],
        "most_seconds": ordered[-1],
    }


def _say(figures: dict[str, dict[str, float]]) -> None:
    for name, values in figures.items():
        sys.stdout.write(f"{name:40}" + "  ".join(f"{key} {value:.3f}" for key, value in values.items()) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
