"""A share of the histories, in a process of its own with an ops-db of its own."""

import signal
import traceback
from pathlib import Path

from sqlalchemy import create_engine

from include.ops_db import migrate
from include.ops_db.engine import CLIENT_OPTIONS
from include.sandbox.postgres import Postgres
from tests.lifecycle.machine.run import court, run
from tests.lifecycle.machine.tally import Tally


def prove(folder: Path, process: int, histories: int, number: int) -> Tally:
    """Run a share of the histories; a wrong one is printed, and ends the share."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the proof runs in the background
    own = folder / str(process)
    own.mkdir()
    with Postgres.running(own / "postgres") as postgres:
        url = postgres.create_database("proof")
        migrate.upgrade(url)
        engine = create_engine(url, pool_size=10, connect_args=CLIENT_OPTIONS)
        with court(engine, own / "observatory") as machine:
            tally = machine.judge.tally
            try:
                run(machine, histories=histories, number=number + (process << 40))
            except Exception:  # noqa: BLE001 - whatever it is, it is shown, and the proof has failed
                traceback.print_exc()
                tally.broken += 1
        engine.dispose()
    return tally
