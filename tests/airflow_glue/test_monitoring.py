"""The round of the monitoring DAG in a process of Airflow's: its connections, its broker, its cost."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text

from include.sandbox.connections import ops_db_connection
from include.sandbox.ports import free_port
from include.sandbox.redis import Redis
from tests.notifications.receivers import Web, web
from tests.observatory import SANDBOX, Observatory

ROOT = Path(__file__).parents[2]

ROUND = """
import json, time
from include.airflow_glue import monitoring
wall, cpu = time.monotonic(), time.process_time()
said = monitoring.watch_once.function()
print(json.dumps({"said": said, "wall": time.monotonic() - wall, "cpu": time.process_time() - cpu}))
"""

CHANNEL = """
notifications:
  channels:
    - {name: hook, type: webhook, connection: hook, grouping_seconds: 0}
    - {name: nowhere, type: slack, connection: nowhere, grouping_seconds: 0}
"""


def round_of(observatory: Observatory, home: Path, hook: Web, *, broker: str) -> Any:
    topology = home / "topology.yaml"
    topology.write_text(SANDBOX.read_text() + CHANNEL)
    url = make_url(observatory.engine.url).render_as_string(hide_password=False)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "NO_PROXY": "127.0.0.1",
        "DTS_TOPOLOGY": str(topology),
        "AIRFLOW__CELERY__BROKER_URL": broker,
        "AIRFLOW_CONN_HOOK": json.dumps({"conn_type": "http", "password": hook.url, "extra": {"signing_key": "k"}}),
        **ops_db_connection(url),
    }
    command = [sys.executable, "-c", ROUND]
    run = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    assert "s3cret" not in run.stdout + run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_with_the_broker_away_a_round_goes_on_and_sends_by_airflows_connections(
    observatory: Observatory, tmp_path: Path
) -> None:
    with observatory.engine.begin() as connection:
        connection.execute(
            text(
                "insert into filing (dag_run_id, received_from, state, verdict) values ('r', 'chai', 'refused', 'So.')"
            )
        )
    with web() as hook:
        answer = round_of(observatory, tmp_path, hook, broker=f"redis://127.0.0.1:{free_port()}/0")
    assert answer["said"] == (
        "1 alarm holds; 2 new messages, 1 sent. nowhere: There is no Airflow connection nowhere: add it."
    )
    ((headers, _),) = hook.requests
    assert headers["x-dts-signature-256"].startswith("sha256=")
    assert answer["wall"] < 20
    assert answer["cpu"] < 3


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_workers_that_do_not_answer_are_alarms_a_minute_and_a_half_later(
    observatory: Observatory, tmp_path: Path
) -> None:
    with Redis.running(tmp_path / "redis") as broker, web() as hook:
        answer = round_of(observatory, tmp_path, hook, broker=broker.url(0))
        assert answer["said"] == "4 alarms hold; 0 new messages, 0 sent."
        with observatory.engine.begin() as connection:
            connection.execute(text("set local session_replication_role = replica"))
            connection.execute(text("update alarm set since = since - interval '91 seconds'"))
        round_of(observatory, tmp_path, hook, broker=broker.url(0))
    assert sorted(body["outage"] for body in hook.bodies) == ["ccat", "cologne", "us"]
    assert answer["wall"] < 10
    assert answer["cpu"] < 2
