"""What an operator meets: a lane without a worker, cleared tasks, a worker killed in the middle."""

import os
from pathlib import Path

import pytest

from include.sandbox.demo.instrument import Observation
from tests.end_to_end.observatory_up import Running

pytestmark = pytest.mark.timeout(600)  # the first test also starts the sandbox

OBSERVATIONS = 4
TICKS = 20
FILES, FILE_BYTES = 4, 64_000_000


def noise(size: int) -> bytes:
    return os.urandom(size)


@pytest.fixture(scope="module")
def on_their_way() -> dict[str, Observation]:
    """What met trouble that is over, by what it was: a later test waits for all of it at once."""
    return {}


def test_a_lane_without_a_worker_holds_nobody_up(running: Running, on_their_way: dict[str, Observation]) -> None:
    running.sandbox.stop_worker("us")
    try:
        observations = [running.observe({f"{number}.g3": noise(1000)}) for number in range(OBSERVATIONS)]
        for observation in observations:
            running.file(observation)
        # Round robin: of every two bundles one is for us, whose lane is dead; the other must get through.
        ticks = [running.trigger("transfer", {}) for _ in range(TICKS)]
        assert [running.await_run("transfer", run_id) for run_id in ticks] == ["success"] * TICKS
        running.until(
            lambda: any(running.archived_copies(observation) for observation in observations),
            what="an archive copy in the lanes that live",
        )
        running.until(
            lambda: running.scalar(
                """
                select count(*) from operation o join data_location l on l.id = o.data_location_id
                where l.site = 'us' and o.explanation like '%no worker listens%' and o.status = 'pending'
                """
            ),
            what="an explanation that no worker listens",
        )
        later = running.observe({"later.g3": noise(1000)})
        state, verdict = running.file_and_await(running.conf(later))
        assert (state, verdict.split(":")[0]) == ("success", "Accepted")
    finally:
        running.sandbox.start_worker("us")
    on_their_way |= {f"the return of a worker, {number}": each for number, each in enumerate((*observations, later))}


def test_clearing_a_finished_task_repeats_nothing(running: Running) -> None:
    run_id = running.scalar(
        """
        select run_id from operation_attempt where dag_id = 'archiving' and outcome = 'completed'
        order by started_at limit 1
        """
    )
    running.await_run("archiving", run_id)
    attempts = "select count(*) from operation_attempt where run_id = :run_id"
    before = running.scalar(attempts, run_id=run_id)
    tasks = [
        instance["task_id"]
        for instance in running.instances("archiving", run_id)
        if instance["task_id"].endswith(".run")
    ]
    running.clear("archiving", {"dag_run_id": run_id, "task_ids": sorted(set(tasks)), "include_downstream": True})
    assert running.await_run("archiving", run_id) == "success"
    assert running.scalar(attempts, run_id=run_id) == before


@pytest.mark.parametrize("whole_run", [False, True], ids=["its task", "its whole run"])
def test_clearing_a_failed_operation_repairs_it(
    running: Running, on_their_way: dict[str, Observation], whole_run: bool
) -> None:
    observation = running.observe({"gone.g3": b"here", "stays.g3": b"there"})
    file = running.source / observation.files[0].path
    conf = running.conf(observation)
    with running.client("operator") as client:  # packaging must meet a file that vanished after it was registered
        assert client.patch("/api/v2/dags/packaging", json={"is_paused": True}).is_success
    try:
        state, _ = running.file_and_await(conf)
        assert state == "success"
        hidden = file.rename(file.with_name("hidden"))
    finally:
        with running.client("operator") as client:
            assert client.patch("/api/v2/dags/packaging", json={"is_paused": False}).is_success
    running.trigger("packaging", {})
    failed = """
        select o.id, o.planned_run_id, o.explanation
        from operation o join raw_data_package p on p.id = o.raw_data_package_id
        where o.kind = 'packaging' and o.status = 'failed' and p.executed_obs_unit_id = :id
        """
    running.until(lambda: running.query(failed, id=observation.id), what="a failed packaging")
    operation = running.query(failed, id=observation.id)[0]
    assert observation.files[0].path in operation.explanation
    assert running.await_run("packaging", operation.planned_run_id) == "failed"
    hidden.rename(file)
    tasks = {instance["task_id"] for instance in running.instances("packaging", operation.planned_run_id)}
    chosen = sorted(tasks if whole_run else {task for task in tasks if task.endswith(".run")})
    running.clear("packaging", {"dag_run_id": operation.planned_run_id, "task_ids": chosen, "include_downstream": True})
    assert running.await_run("packaging", operation.planned_run_id) == "success"
    on_their_way["the repair by its whole run" if whole_run else "the repair by its task"] = observation


def test_what_met_trouble_reaches_both_archives(running: Running, on_their_way: dict[str, Observation]) -> None:
    """The lane has drained, what was cleared has gone on."""
    assert len(on_their_way) == OBSERVATIONS + 1 + 2
    for trouble, observation in on_their_way.items():
        running.until(
            lambda observation=observation: running.archived_copies(observation) == 2,
            what=f"both archives after {trouble}",
        )


def test_a_worker_killed_in_a_transfer_loses_nothing(running: Running) -> None:
    """Noticed after 10 s and leased for 10 s: see OVERRIDES and LEASE_SECONDS in conftest.py."""
    observation = running.observe({f"{number}.g3": noise(FILE_BYTES) for number in range(FILES)})
    running.file(observation)
    buffers = {"cologne": running.folder("cologne_buffer"), "us": running.folder("us_buffer")}

    def receiving() -> str | None:
        return next((host for host, folder in buffers.items() if journals(folder)), None)

    running.until(receiving, what="a transfer with verified blocks in its journal")
    host = receiving()
    assert host is not None
    running.sandbox.kill_worker(host)
    blocks = [verified_blocks(path) for path in journals(buffers[host])]
    running.sandbox.start_worker(host)
    assert any(blocks)
    running.until(lambda: running.archived_copies(observation) == 2, what="both archives after the kill", seconds=240)
    outcomes = running.query(
        """
        select distinct a.operation_id, a.outcome, a.size_bytes, o.size_bytes as whole
        from operation_attempt a join operation o on o.id = a.operation_id
        join data_transfer t on t.id = o.data_transfer_id
        join data_transfer_package_member m on m.data_transfer_package_id = t.data_transfer_package_id
        join raw_data_package p on p.id = m.raw_data_package_id
        where o.kind = 'transfer' and p.executed_obs_unit_id = :id
        """,
        id=observation.id,
    )
    assert {row.outcome for row in outcomes} == {"lost", "completed"}
    repaired = {row.operation_id for row in outcomes if row.outcome == "lost"}
    sent_again = sum(row.size_bytes for row in outcomes if row.operation_id in repaired and row.outcome == "completed")
    whole = sum(row.whole for row in outcomes if row.operation_id in repaired and row.outcome == "completed")
    assert sent_again <= whole - sum(blocks), "what the journal of a dead worker vouches for is not sent again"


def journals(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.journal") if path.stat().st_size > 0]


def verified_blocks(journal: Path) -> int:
    """Return how many bytes a journal vouches for: whole lines of whole blocks (the last of a file may be smaller)."""
    lines = [line.split() for line in journal.read_text().split("\n")[:-1]]
    size = journal.with_suffix(".part").stat().st_size
    return sum(
        max(0, min(int(block_bytes), size - int(block_bytes) * int(number))) for _, block_bytes, number, _ in lines
    )
