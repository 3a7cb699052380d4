"""The rules that every DAG keeps, checked on what Airflow itself makes of the bundle."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from include.lanes import CONTROL_QUEUE, PLACES, Lane, lanes_of_host, lanes_of_kind
from include.operations.planning import RUNS_PER_LANE
from include.topology import OperationKind, load_topology
from tests.observatory import SANDBOX

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "dags"
TOPOLOGY = load_topology(SANDBOX)
LANES = [lane for kind in PLACES for lane in lanes_of_kind(TOPOLOGY, kind)]
STAGES = [str(kind) for kind in PLACES]
BESIDE = ["deletion_brake", "housekeeping", "metrics", "monitoring"]
"""DAGs that are no stage."""

every_lane = pytest.mark.parametrize("lane", LANES, ids=[lane.name for lane in LANES])
every_stage = pytest.mark.parametrize("stage", STAGES)
every_dag = pytest.mark.parametrize("dag_id", [*STAGES, *BESIDE])


def parse(home: Path, *, hash_seed: int) -> Any:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": str(hash_seed),
        "DTS_TOPOLOGY": str(SANDBOX),
        "AIRFLOW__CORE__DAGS_FOLDER": str(BUNDLE),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/unused.db",
    }
    command = [sys.executable, "-m", "tests.dags.describe", str(BUNDLE)]
    run = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return parse(tmp_path_factory.mktemp("airflow"), hash_seed=0)


def lane_task(parsed: Any, lane: Lane, name: str) -> Any:
    return parsed["dags"][str(lane.kind)]["tasks"][f"{lane.group_id}.{name}"]


def test_every_file_of_the_bundle_parses(parsed: Any) -> None:
    assert parsed["import_errors"] == {}


def test_the_candidates_are_exactly_the_files_of_the_dags_folder(parsed: Any) -> None:
    assert parsed["candidates"] == sorted(path.name for path in BUNDLE.glob("*.py"))


def test_there_is_one_dag_for_each_stage_in_a_file_of_its_name(parsed: Any) -> None:
    files = {dag_id: dag["file"] for dag_id, dag in parsed["dags"].items()}
    assert files == {dag_id: f"{dag_id}.py" for dag_id in (*STAGES, *BESIDE)}


def test_the_bundles_code_comes_from_the_checkout(parsed: Any) -> None:
    assert Path(parsed["include"]) == ROOT / "include" / "__init__.py"


def test_parsing_again_with_other_hash_seeds_gives_the_same_dags(parsed: Any, tmp_path: Path) -> None:
    again = parse(tmp_path, hash_seed=4711)
    for dag_id in (*STAGES, *BESIDE):
        assert again["dags"][dag_id]["serialized"] == parsed["dags"][dag_id]["serialized"]


@every_dag
def test_a_dag_has_a_runbook(parsed: Any, dag_id: str) -> None:
    for heading in ("**What it does.**", "**Safe to repeat?**", "**When it fails.**", "**To stop it.**"):
        assert heading in parsed["dags"][dag_id]["doc_md"]
    assert "data transfer" in parsed["dags"][dag_id]["tags"]


@every_stage
def test_a_dag_has_tags_and_a_name_for_people(parsed: Any, stage: str) -> None:
    dag = parsed["dags"][stage]
    assert stage in dag["tags"]
    assert dag["display_name"] == f"{STAGES.index(stage)} {stage}"


@every_stage
def test_a_slow_lane_cannot_use_up_the_runs_of_its_dag(parsed: Any, stage: str) -> None:
    dag = parsed["dags"][stage]
    assert dag["max_active_runs"] >= len(lanes_of_kind(TOPOLOGY, OperationKind(stage))) * RUNS_PER_LANE + 2
    assert not dag["catchup"]
    assert not dag["dagrun_timeout"]


@every_stage
def test_a_dag_has_one_task_group_for_each_lane(parsed: Any, stage: str) -> None:
    lanes = lanes_of_kind(TOPOLOGY, OperationKind(stage))
    assert parsed["dags"][stage]["groups"] == sorted(lane.group_id for lane in lanes)


@every_stage
def test_only_handovers_have_outlets(parsed: Any, stage: str) -> None:
    for task_id, task in parsed["dags"][stage]["tasks"].items():
        expected = [f"dts://ops-db/{stage}"] if task_id.endswith(".handover") else []
        assert task["outlets"] == expected, task_id


@every_dag
def test_every_task_has_an_owner_and_is_retried_when_its_process_dies(parsed: Any, dag_id: str) -> None:
    for task_id, task in parsed["dags"][dag_id]["tasks"].items():
        assert (task["owner"], task["retries"]) == ("data-transfer", 2), task_id


@every_lane
def test_run_is_mapped_and_bound_to_queue_and_pool_of_its_lane(parsed: Any, lane: Lane) -> None:
    run = lane_task(parsed, lane, "run")
    assert run["mapped"]
    assert (run["queue"], run["pool"]) == (lane.name, lane.name)
    assert run["map_index_template"]


@every_lane
def test_only_run_leaves_the_control_queue(parsed: Any, lane: Lane) -> None:
    for name in ("plan", "handover"):
        assert lane_task(parsed, lane, name)["queue"] == CONTROL_QUEUE


@every_lane
def test_a_lane_goes_from_plan_over_run_to_handover_and_clean(parsed: Any, lane: Lane) -> None:
    inside = f"{lane.group_id}."
    after_plan = {name for name in lane_task(parsed, lane, "plan")["downstream"] if name.startswith(inside)}
    after_run = {name for name in lane_task(parsed, lane, "run")["downstream"] if name.startswith(inside)}
    assert after_plan == {f"{inside}run", f"{inside}handover"}
    assert after_run == {f"{inside}handover", f"{inside}clean"}


@every_lane
def test_a_failed_item_does_not_silence_the_bell_but_stays_visible(parsed: Any, lane: Lane) -> None:
    assert lane_task(parsed, lane, "handover")["trigger_rule"] == "none_skipped"
    assert lane_task(parsed, lane, "clean")["trigger_rule"] == "none_failed"


def test_the_form_of_each_stage_restricts_it_to_packages_and_a_location(parsed: Any) -> None:
    for stage in STAGES[1:]:
        assert {"packages", "only_location"} <= set(parsed["dags"][stage]["params"])
    assert "dry_run" in parsed["dags"]["deletion"]["params"]
    staging = {"subjects", "until", "reason", "wait", "extend", "release"}
    assert staging <= set(parsed["dags"]["staging"]["params"])


def test_a_question_of_the_brake_that_waits_for_days_holds_nobody_up(parsed: Any) -> None:
    """It is asked in a DAG of its own, with a run for every location; deletion's own lanes keep their shape."""
    brake = parsed["dags"]["deletion_brake"]
    assert brake["tasks"]["find"]["downstream"] == ["ask"]
    assert brake["tasks"]["ask"]["mapped"]
    assert {task["queue"] for task in brake["tasks"].values()} == {CONTROL_QUEUE}
    assert brake["max_active_runs"] > len(lanes_of_kind(TOPOLOGY, OperationKind.DELETION))
    assert not brake["dagrun_timeout"]


def test_monitoring_is_one_light_task_that_never_piles_up(parsed: Any) -> None:
    monitoring = parsed["dags"]["monitoring"]
    assert {name: task["queue"] for name, task in monitoring["tasks"].items()} == {"watch": CONTROL_QUEUE}
    assert monitoring["max_active_runs"] == 1


def test_metrics_is_one_light_task_that_never_piles_up(parsed: Any) -> None:
    metrics = parsed["dags"]["metrics"]
    assert {name: task["queue"] for name, task in metrics["tasks"].items()} == {"export": CONTROL_QUEUE}
    assert metrics["max_active_runs"] == 1


def test_housekeeping_removes_logs_on_every_host_by_a_queue_of_its_own(parsed: Any) -> None:
    tasks = parsed["dags"]["housekeeping"]["tasks"]
    assert {tasks[name]["queue"] for name in ("ops_db", "airflow_db")} == {CONTROL_QUEUE}
    for host in TOPOLOGY.hosts:
        assert tasks[f"logs_on_{host.name}"]["queue"] in {lane.name for lane in lanes_of_host(TOPOLOGY, host.name)}


@every_stage
def test_a_task_that_fails_raises_an_alarm_but_for_a_verdict_which_is_one(parsed: Any, stage: str) -> None:
    for task_id, task in parsed["dags"][stage]["tasks"].items():
        expected = [] if task_id == "verdict" else ["AlarmNotifier"]
        assert task["called_on_failure"] == expected, task_id
