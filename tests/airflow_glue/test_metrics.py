"""The round of the metrics DAG in a process of Airflow's: its connection, its cost."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text

from include.sandbox.connections import ops_db_connection
from tests.lifecycle.archived import archived_package
from tests.metrics.done import attempts
from tests.metrics.victoria import victoria_running
from tests.observatory import SANDBOX, Observatory

ROOT = Path(__file__).parents[2]

ROUNDS = """
import json, resource, time
from include.airflow_glue import metrics
said, cpu = [], []
for _ in range(3):
    before = time.process_time()
    said.append(metrics.export_once.function())
    cpu.append(time.process_time() - before)
print(json.dumps({"said": said, "cpu": cpu, "all": time.process_time()}))
"""


def rounds(observatory: Observatory, home: Path, **environment: str) -> Any:
    url = make_url(observatory.engine.url).render_as_string(hide_password=False)
    known = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "NO_PROXY": "127.0.0.1",
        "DTS_TOPOLOGY": str(SANDBOX),
        **ops_db_connection(url),
        **environment,
    }
    run = subprocess.run(
        [sys.executable, "-c", ROUNDS], env=known, cwd=home, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert "s3cret" not in run.stdout + run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_round_writes_by_airflows_connection_and_costs_little(observatory: Observatory, tmp_path: Path) -> None:
    package = archived_package(observatory)
    attempts(package, 20)
    with victoria_running(tmp_path / "victoria") as victoria:
        host, _, port = victoria.url.removeprefix("http://").partition(":")
        connection = {
            "conn_type": "http",
            "host": host,
            "port": int(port),
            "schema": "http",
            "password": "s3cret",
            "extra": {"organization": "ccat", "bucket": "dts"},
        }
        answer = rounds(observatory, tmp_path, AIRFLOW_CONN_INFLUXDB=json.dumps(connection))
        assert answer["said"][0].startswith("20 attempts, ")
        assert victoria.count("dts_attempt_seconds") == 20
    assert max(answer["cpu"][1:]) < 0.5  # of every minute; the first imports the client
    assert answer["cpu"][0] < 2
    assert answer["all"] < 8  # with Airflow's own import


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_without_the_connection_nothing_is_done(observatory: Observatory, tmp_path: Path) -> None:
    answer = rounds(observatory, tmp_path)
    assert set(answer["said"]) == {"There is no Airflow connection influxdb: nothing is sent."}
    with observatory.engine.connect() as connection:
        assert connection.execute(text("select count(*) from metric_sample")).scalar() == 0
