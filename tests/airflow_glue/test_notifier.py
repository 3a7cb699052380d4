"""A task that fails raises the alarm of its lane, which monitoring clears; that it cannot is nobody's trouble."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url

from include.airflow_glue.notifier import of_task
from include.notifications import ledger
from include.notifications.alarm import Alarm
from include.sandbox.connections import ops_db_connection
from include.topology import load_topology
from tests.observatory import SANDBOX, Observatory

ROOT = Path(__file__).parents[2]
TOPOLOGY = load_topology(SANDBOX)

FAIL = """
import sys, types
from airflow.sdk.exceptions import AirflowFailException
from include.airflow_glue.notifier import AlarmNotifier
task = types.SimpleNamespace(dag_id="archiving", task_id="at_us_archive.run", run_id="r", map_index=0)
for _ in range(3):
    AlarmNotifier()({"ti": task, "exception": AirflowFailException("The bucket is gone")})
"""


@dataclass(frozen=True)
class Task:
    dag_id: str
    task_id: str
    run_id: str = "manual__1"


def test_a_task_of_a_lane_is_that_lanes_alarm() -> None:
    found = of_task(TOPOLOGY, Task("archiving", "at_us_archive.run"), ValueError("The bucket is gone"))
    assert found.key == "work_failed:us_archive_archiving"
    assert found.sentence == (
        "archiving at us_archive: task at_us_archive.run of run manual__1 failed. The bucket is gone."
    )
    assert (found.site, found.location, found.outage) == ("us", "us_archive", "failed work at us")


@pytest.mark.parametrize(("dag", "task"), [("registration", "receive"), ("monitoring", "watch")])
def test_another_task_is_an_alarm_of_its_own(dag: str, task: str) -> None:
    found = of_task(TOPOLOGY, Task(dag, task), None)
    assert (found.key, found.site) == (f"work_failed:{dag}.{task}", None)
    assert found.sentence.endswith("Its process died, or was killed.")


def notify(engine: Engine, home: Path, **changes: str) -> str:
    """Fail three times in a process of Airflow's; return what it logged."""
    url = make_url(engine.url).render_as_string(hide_password=False)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "DTS_TOPOLOGY": str(SANDBOX),
        **ops_db_connection(url),
        **changes,
    }
    command = [sys.executable, "-c", FAIL]
    run = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout + run.stderr


def alarms(engine: Engine) -> list[Alarm]:
    with engine.connect() as connection:
        return ledger.open_alarms(connection)


@pytest.mark.timeout(180)
def test_failures_of_a_lane_are_one_alarm_at_once(observatory: Observatory, tmp_path: Path) -> None:
    notify(observatory.engine, tmp_path)
    (found,) = alarms(observatory.engine)
    assert found.key == "work_failed:us_archive_archiving"
    assert found.sentence.endswith("failed. The bucket is gone.")


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_without_ops_db_a_failure_is_only_logged(observatory: Observatory, tmp_path: Path) -> None:
    away = json.dumps({"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "login": "x", "schema": "x"})
    logged = notify(observatory.engine, tmp_path, AIRFLOW_CONN_OPS_DB=away)
    assert "No alarm could be raised for this failure." in logged
    assert alarms(observatory.engine) == []
