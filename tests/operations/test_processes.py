"""Worker processes that die at once, as by a power cut: what they had goes on elsewhere, and nothing is done twice."""

import multiprocessing
import signal
import time
from pathlib import Path

from sqlalchemy import create_engine, text

from include.operations.batch import BatchRunner
from include.operations.stage import Done, Work
from include.ops_db.engine import CLIENT_OPTIONS
from tests.observatory import Observatory, sandbox_topology
from tests.operations.laboratory import PLACE, FakeStage, Laboratory, worker

OPERATIONS = 30


def work_for_ever(url: str, root: str, number: int) -> None:
    """Plan and run until killed. A run of each process's own, as if Airflow had made it."""
    engine = create_engine(url, connect_args=CLIENT_OPTIONS)
    observatory = Observatory(engine, Path(root), sandbox_topology(Path(root), batch_operations=5))

    def slowly(_: Work) -> Done:
        time.sleep(0.02)  # the work itself; somebody is killed in the middle of it
        return Done(explanation="Done.")

    lab = Laboratory(observatory, FakeStage(work=slowly))
    for turn in range(10**6):
        run_id = f"run {turn} of process {number}"
        for index, batch in enumerate(lab.plan(run_id=run_id, has_ended=lambda _: False).batches):
            runner = observatory.runner(lab.stage, PLACE)
            BatchRunner(**(vars(runner) | {"worker": worker(run_id=run_id, map_index=index)})).run(batch)


def test_killed_processes_lose_nothing(engine, ops_db_url: str, tmp_path: Path) -> None:
    lab = Laboratory(Observatory.build(engine, tmp_path / "observatory", batch_operations=5))
    lab.packages(OPERATIONS)
    spawn = multiprocessing.get_context("spawn")
    processes = [
        spawn.Process(target=work_for_ever, args=(ops_db_url, str(tmp_path / "observatory"), number))
        for number in range(3)
    ]
    try:
        for process in processes:
            process.start()
        wait_for(lab, "exists (select from operation where status = 'completed')")
        for process in processes[:2]:
            wait_for(lab, "exists (select from operation where status = 'in_progress')")
            assert process.pid is not None
            process.kill()
            process.join()
            assert process.exitcode == -signal.SIGKILL
        # As if the day and the lease had gone by: what the dead ones had is taken back by the living one's plans.
        deadline = time.monotonic() + 90
        while not is_true(lab, f"(select count(*) from operation where status = 'completed') = {OPERATIONS}"):
            assert time.monotonic() < deadline, lab.statuses()
            with engine.begin() as connection:
                connection.execute(
                    text("update operation set scheduled_at = now() - interval '2 days' where status = 'scheduled'")
                )
            time.sleep(0.2)
            for operation in lab.all():
                if operation.status == "in_progress" and "process 2/" not in (operation.lease_owner or ""):
                    lab.expire(operation.id)
    finally:
        for process in processes:
            process.kill()
            process.join()
    for operation in lab.all():
        outcomes = lab.attempts(operation.id)
        assert outcomes[-1] == "completed"
        assert set(outcomes[:-1]) <= {"lost"}
        assert operation.failure_count == 0, "completing clears it"


def is_true(lab: Laboratory, condition: str) -> bool:
    with lab.engine.connect() as connection:
        return bool(connection.execute(text(f"select {condition}")).scalar_one())


def wait_for(lab: Laboratory, condition: str) -> None:
    deadline = time.monotonic() + 60
    while not is_true(lab, condition):
        assert time.monotonic() < deadline, condition
        time.sleep(0.005)
