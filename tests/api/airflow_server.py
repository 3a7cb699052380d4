"""A real api-server of Airflow with the plugin, on a metadata database of its own, without scheduler and workers."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from sqlalchemy import make_url

from include.sandbox.airflow_config import AirflowConfig
from include.sandbox.ports import free_port
from include.sandbox.postgres import Postgres
from include.sandbox.process import Command, Daemon, base_environment
from include.sandbox.state import User
from tests.observatory import SANDBOX, Observatory

ROOT = SANDBOX.parents[2]
START_SECONDS = 120
FAB = {
    "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
    "AIRFLOW__FAB__AUTH_BACKENDS": "airflow.providers.fab.auth_manager.api.auth.backend.session",
}


@dataclass(frozen=True)
class AirflowServer:
    """How to talk to it."""

    url: str
    environment: Mapping[str, str]

    def airflow(self, *arguments: str) -> str:
        """Run a command of Airflow's in its environment."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env={**base_environment(), **self.environment}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return done.stdout

    @contextmanager
    def client(self, name: str, password: str) -> Iterator[httpx.Client]:
        """A client with the token of an account of Airflow's."""
        with httpx.Client(base_url=self.url, timeout=60, trust_env=False) as client:
            answer = client.post("/auth/token", json={"username": name, "password": password})
            assert answer.status_code == 201, answer.text
            client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            yield client


def environment_of(
    postgres: Postgres, observatory: Observatory, folder: Path, *, users: tuple[User, ...], more: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of a server whose ops-db is the observatory's."""
    topology = folder / "topology.yaml"
    topology.write_text(observatory.topology.model_dump_json(), encoding="utf-8")
    metadata = postgres.create_database(f"airflow_{folder.name}")
    config = AirflowConfig(
        root=ROOT,
        topology=topology,
        api_port=free_port(),
        metadata_url=metadata.replace("postgresql+psycopg:", "postgresql+psycopg2:"),
        broker_url="redis://127.0.0.1:1",
        result_backend="redis://127.0.0.1:1",
        users=users,
        passwords_file=folder / "passwords.json",
        task_logs=folder / "logs",
        trigger_log_port=free_port(),
        overrides=more,
    )
    config.passwords_file.write_text(config.passwords(), encoding="utf-8")
    home = folder / "home"
    home.mkdir()
    (home / "airflow.cfg").write_text("")
    ops_db = make_url(observatory.engine.url).set(drivername="postgres").render_as_string(hide_password=False)
    return config.control(home) | {"AIRFLOW_CONN_OPS_DB": ops_db, "PATH": os.environ["PATH"]}


@contextmanager
def running(environment: Mapping[str, str], folder: Path) -> Iterator[AirflowServer]:
    """Start the api-server, whose database is migrated already."""
    server = AirflowServer(environment["AIRFLOW__API__BASE_URL"], environment)
    command = Command(
        name="api-server",
        arguments=(sys.executable, "-m", "airflow", "api-server"),
        log=folder / "api-server.log",
        environment=dict(environment),
    )

    def lives() -> bool:
        try:
            return httpx.get(f"{server.url}/dts/health/live", trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    daemon = Daemon.start(command, ready=lives, timeout_seconds=START_SECONDS)
    try:
        yield server
    finally:
        daemon.stop()
