"""`make proof [HISTORIES=n] [SEED=n]`: in two processes, each with an ops-db of its own."""

import argparse
import json
import secrets
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from sqlalchemy import create_engine

from include.ops_db import migrate
from include.ops_db.engine import CLIENT_OPTIONS
from include.sandbox.postgres import Postgres
from tests.lifecycle.machine.run import court, run
from tests.lifecycle.machine.tally import Tally

HISTORIES = 10_000
PROCESSES = 2
AT_A_TIME = 500
"""Hypothesis remembers each history of a run, and grows slower with them."""
MEMORY = Path("/dev/shm")  # where there is one, files and database are made in memory


def main() -> int:
    """Run them all, print what happened, return 0 if nothing was wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--histories", type=int, default=HISTORIES)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    chosen = parser.parse_args()
    histories, number = chosen.histories, chosen.seed
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="proof-", dir=MEMORY if MEMORY.is_dir() else None))
    shares = [histories // PROCESSES + (process < histories % PROCESSES) for process in range(PROCESSES)]
    try:
        with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as processes:
            tallies = list(processes.map(partial(prove, folder), range(PROCESSES), shares, [number] * PROCESSES))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    total = sum(tallies, Tally())
    sys.stdout.write(report(total, seconds=time.monotonic() - began, number=number) + "\n")
    return 1 if total.wrong_deletions or total.wrong_refusals or total.broken else 0


def prove(folder: Path, process: int, histories: int, number: int) -> Tally:
    """Run a share of the histories; a wrong one is printed, and ends the share."""
    own = folder / str(process)
    own.mkdir()
    with Postgres.running(own / "postgres") as postgres:
        url = postgres.create_database("proof")
        migrate.upgrade(url)
        engine = create_engine(url, pool_size=10, connect_args=CLIENT_OPTIONS)
        with court(engine, own / "observatory") as machine:
            tally = machine.judge.tally
            for begin in range(0, histories, AT_A_TIME):
                try:
                    some = min(AT_A_TIME, histories - begin)
                    run(machine, histories=some, number=number + (process << 40) + (begin << 20))
                except Exception:  # noqa: BLE001 - whatever it is, it is shown, and the proof has failed
                    traceback.print_exc()
                    tally.broken += 1
                    break
        engine.dispose()
    return tally


def report(tally: Tally, *, seconds: float, number: int) -> str:
    """What people want to read, with the same numbers as JSON in the last line."""
    questions = Counter(tally.refused).most_common()
    width = max([len(name) for name, _ in questions], default=0)
    lines = [
        f"{tally.histories:,} histories in {seconds:,.0f} seconds, seed {number}:",
        f"  deletions allowed  {tally.allowed:,} ({tally.files_deleted:,} files)",
        f"  deletions refused  {sum(tally.refused.values()):,}",
        *(f"    {name.replace('_', ' '):{width}}  {count:,}" for name, count in questions),
        f"  workers killed     {tally.killed:,}",
        f"  two at once        {tally.races:,}",
        f"  copies read again  {tally.scrubs:,}",
        f"  wrong deletions    {tally.wrong_deletions}",
        f"  wrong refusals     {tally.wrong_refusals}",
        json.dumps(asdict(tally) | {"seconds": round(seconds), "seed": number}),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
