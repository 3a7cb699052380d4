"""The heartbeat of a real worker of Airflow's, on a real broker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url

from include.health.heartbeat import Heartbeat, heartbeats
from include.sandbox.connections import ops_db_connection
from include.sandbox.redis import Redis
from tests.observatory import SANDBOX, Observatory

ROOT = Path(__file__).parents[2]
HOST = "ccat-buffer"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_worker_beats_from_its_start_to_its_end(observatory: Observatory, tmp_path: Path) -> None:
    def known() -> Heartbeat | None:
        with observatory.engine.connect() as connection:
            return heartbeats(connection).get(HOST)

    def awaited(what: Callable[[Heartbeat], bool]) -> Heartbeat:
        deadline = time.monotonic() + 120
        while True:
            found = known()
            if found is not None and what(found):
                return found
            assert worker.poll() is None or what is ended, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.1)

    def ended(found: Heartbeat) -> bool:
        return found.stopped_at is not None

    log = tmp_path / "worker.log"
    with Redis.running(tmp_path / "redis") as broker:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "AIRFLOW_HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "DTS_TOPOLOGY": str(SANDBOX),
            "DTS_HOST": HOST,
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CELERY__BROKER_URL": broker.url(0),
            "AIRFLOW__CELERY__RESULT_BACKEND": broker.url(1),
            "AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS": "include.airflow_glue.celery_worker.CONFIG",
            **ops_db_connection(make_url(observatory.engine.url).render_as_string(hide_password=False)),
        }
        names = ("--celery-hostname", HOST, "--queues", "ccat_buffer_bundling,ccat_buffer_deletion")
        quiet = ("--concurrency", "1", "--skip-serve-logs", "--without-mingle", "--without-gossip")
        command = [sys.executable, "-m", "airflow", "celery", "worker", *names, *quiet]
        with log.open("w") as out:
            worker = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=out, stderr=out)
        try:
            found = awaited(lambda _: True)
            assert found.queues == {"ccat_buffer_bundling", "ccat_buffer_deletion"}
            assert found.is_fresh
            assert found.stopped_at is None
            worker.send_signal(signal.SIGTERM)
            awaited(ended)
            worker.wait(30)
        finally:
            worker.kill()
            worker.wait()
