"""`make proof [HISTORIES=n] [SEED=n]`: in two processes, each with an ops-db of its own."""

import argparse
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import NoReturn

from tests.lifecycle.machine.share import prove
from tests.lifecycle.machine.tally import Tally

HISTORIES = 10_000
PROCESSES = 2
MEMORY = Path("/dev/shm")  # where there is one, files and database are made in memory


def main() -> int:
    """Run them all, print what happened, return 0 if nothing was wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--histories", type=int, default=HISTORIES)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    chosen = parser.parse_args()
    histories, number = chosen.histories, chosen.seed
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"proof-{os.getpid()}-", dir=MEMORY if MEMORY.is_dir() else None))
    folder.chmod(0o755)  # PostgreSQL refuses root; an account that cannot come here would have its database on a disk
    signal.signal(signal.SIGTERM, _end_all)
    shares = [histories // PROCESSES + (process < histories % PROCESSES) for process in range(PROCESSES)]
    try:
        with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as processes:
            tallies = list(processes.map(partial(prove, folder), range(PROCESSES), shares, [number] * PROCESSES))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    total = sum(tallies, Tally())
    sys.stdout.write(report(total, seconds=time.monotonic() - began, number=number) + "\n")
    return 1 if total.wrong_deletions or total.wrong_refusals or total.broken else 0


def _end_all(number: int, _: object) -> NoReturn:
    """Else the shares would go on for half an hour, for nobody."""
    for process in active_children():
        if process.pid is not None:
            os.kill(process.pid, signal.SIGINT)
    sys.exit(128 + number)


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
        json.dumps(vars(tally) | {"seconds": round(seconds), "seed": number}),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
