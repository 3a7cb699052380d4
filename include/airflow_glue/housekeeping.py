"""What the housekeeping DAG does: in ops-db, in Airflow's own database, and in the logs of each host."""

import logging
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import BaseHook, conf, task
from airflow.sdk.exceptions import AirflowNotFoundException
from sqlalchemy import make_url

from include.airflow_glue.connections import engine, topology
from include.errors import TransientError
from include.housekeeping.logs import sweep_logs
from include.housekeeping.ops_db import keep_house
from include.lanes import CONTROL_QUEUE, lanes_of_host
from include.topology import Host

logger = logging.getLogger(__name__)

CONNECTION = "airflow_db"


@task(task_id="ops_db", queue=CONTROL_QUEUE)
def ops_db_once() -> str:
    """Keep house in ops-db."""
    return _told(keep_house(engine(), rules=topology().housekeeping).sentence())


@task(task_id="airflow_db", queue=CONTROL_QUEUE)
def airflow_db_once() -> str:
    """Have `airflow db clean` forget old runs, where the connection says: tasks do not know Airflow's database."""
    days = topology().housekeeping.airflow_days
    try:
        connection = BaseHook.get_connection(CONNECTION)
    except AirflowNotFoundException:
        return _told(
            f"There is no Airflow connection {CONNECTION}: run `{' '.join(clean_command(days, now=datetime.now(UTC)))}`"
            " where Airflow's database can be reached, every day."
        )
    url = make_url("postgresql+psycopg2://").set(
        host=connection.host,
        port=connection.port,
        username=connection.login,
        password=connection.password,
        database=connection.schema,
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("_AIRFLOW")}
    environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", *clean_command(days, now=datetime.now(UTC))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().rpartition("\n")[2].replace(connection.password or "\0", "***")
        raise TransientError(f"airflow db clean failed: {last}")
    return _told(f"What Airflow knew of runs from before {days} days ago is forgotten.")


def clean_command(days: int, *, now: datetime) -> list[str]:
    """Return `airflow db clean …`."""
    before = (now - timedelta(days=days)).isoformat(timespec="seconds")
    tables = "task_instance,task_instance_history,xcom,dag_run,job,log,asset_event,import_error,celery_taskmeta"
    options = ["--clean-before-timestamp", before, "--tables", tables, "--skip-archive", "--yes"]
    return ["airflow", "db", "clean", *options, "--error-on-cleanup-failure"]


def logs_of(host: Host) -> None:
    """Add the task that removes old logs on a host, in a queue that its worker listens to."""
    lanes = lanes_of_host(topology(), host.name)
    if lanes:

        @task(task_id=f"logs_on_{host.name}".replace(".", "_"), queue=lanes[0].name)
        def logs_once() -> str:
            folder = Path(conf.get("logging", "base_log_folder"))
            return _told(sweep_logs(folder, days=topology().housekeeping.logs_days).sentence())

        logs_once()


def _told(said: str) -> str:
    logger.info("%s", said)
    return said
