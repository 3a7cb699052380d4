"""The parts of the sandbox that need no Airflow: who gets which connection, the state file, the lock, ports, queues."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from include.errors import SandboxError
from include.sandbox.airflow_config import AirflowConfig, made_users
from include.sandbox.components import queues_of_host
from include.sandbox.connections import needed_locations, ops_db_connection
from include.sandbox.layout import CLONE
from include.sandbox.lock import Lock
from include.sandbox.ports import configured_port, require_different_ports
from include.sandbox.preloaded import modules_of_tasks
from include.sandbox.sandbox import TOPOLOGY
from include.sandbox.state import State, Store, Worker
from include.topology import Topology, load_topology


@pytest.fixture(scope="module")
def topology() -> Topology:
    return load_topology(TOPOLOGY)


@pytest.fixture
def config(tmp_path: Path) -> AirflowConfig:
    return AirflowConfig(
        root=CLONE,
        topology=TOPOLOGY,
        api_port=8080,
        metadata_url="postgresql+psycopg2://airflow:hidden@127.0.0.1/airflow",
        broker_url="redis://:word@127.0.0.1/0",
        result_backend="redis://:word@127.0.0.1/1",
        users=made_users(),
        passwords_file=tmp_path / "passwords.json",
        task_logs=tmp_path,
        trigger_log_port=8794,
        overrides={"AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15"},
    )


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        ("ccat", {"ccat_source", "ccat_buffer"}),
        (
            "cologne",
            {"ccat_buffer", "cologne_buffer", "cologne_archive", "cologne_processing", "us_buffer", "us_archive"},
        ),
        ("us", {"ccat_buffer", "cologne_buffer", "cologne_archive", "us_buffer", "us_archive"}),
    ],
)
def test_a_site_is_given_only_the_locations_it_works_with(topology: Topology, site: str, expected: set[str]) -> None:
    assert {location.full_name for location in needed_locations(site, topology=topology)} == expected


def test_each_worker_listens_to_its_lanes_and_only_the_middle_to_control(topology: Topology) -> None:
    lanes = {"ccat_buffer_bundling", "ccat_buffer_deletion", "ccat_buffer_scrubbing"}
    assert set(queues_of_host(topology, "ccat-buffer")) == lanes
    listening = [host.name for host in topology.hosts if "control" in queues_of_host(topology, host.name)]
    assert listening == ["cologne"]


def test_the_connection_of_ops_db_keeps_odd_passwords() -> None:
    variable = ops_db_connection("postgresql+psycopg://dts:a%40b@127.0.0.1:5000/ops_db")
    assert json.loads(variable["AIRFLOW_CONN_OPS_DB"])["password"] == "a@b"


def test_a_worker_gets_neither_the_metadata_database_nor_a_key(config: AirflowConfig, tmp_path: Path) -> None:
    worker = config.common(tmp_path)
    control = config.control(tmp_path)
    for secret in ("hidden", config.secrets.fernet_key, config.secrets.jwt_secret, config.secrets.secret_key):
        assert any(secret in value for value in control.values())
        assert not any(secret in value for value in worker.values())


def test_overrides_win_everywhere(config: AirflowConfig, tmp_path: Path) -> None:
    name = "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"
    assert config.control(tmp_path)[name] == config.common(tmp_path)[name] == "15"


def test_the_state_file_is_private_and_reads_back(tmp_path: Path) -> None:
    state = State(
        url="http://localhost:8080",
        users=made_users(),
        ops_db_url="postgresql+psycopg://dts:word@127.0.0.1:5000/ops_db",
        topology=TOPOLOGY,
        s3={"us_archive": Store(endpoint="http://127.0.0.1:1", bucket="us-archive", key="k", secret="s")},
        locations={"us_buffer": "/somewhere"},
        workers={"us": Worker(pid=1, queues=("us_buffer_transfer",), log=tmp_path / "log")},
        ports={"ui": 8080},
        supervisor_pid=os.getpid(),
        processes={"redis": 2},
    )
    path = tmp_path / "state.json"
    state.write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert State.read(path) == state
    assert state.user("scientist").role == "viewer"


def test_no_state_file_means_no_sandbox(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="No sandbox is running from this clone"):
        State.read(tmp_path / "state.json")


def test_a_second_sandbox_of_a_clone_is_refused_until_the_first_is_gone_even_if_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = "import sys, signal; from pathlib import Path; from include.sandbox.lock import Lock\n"
    holder += f"lock = Lock(Path({str(path)!r})); lock.acquire(); print('held', flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", holder], cwd=CLONE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        lock = Lock(path)
        try:
            with pytest.raises(SandboxError, match="already running from this clone"):
                lock.acquire()
            assert lock.owner() == process.pid
        finally:
            process.kill()
    lock.acquire()
    lock.release()
    assert not lock.is_held()


@pytest.mark.parametrize("text", ["abc", "0", "65536", "-1", ""])
def test_a_port_that_is_none_is_named_with_its_setting(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DTS_SANDBOX_PORT_UI", text)
    with pytest.raises(SandboxError, match="DTS_SANDBOX_PORT_UI.*is no port"):
        configured_port("UI", default=8080)


def test_two_settings_that_name_one_port_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DTS_SANDBOX_PORT_UI", raising=False)
    monkeypatch.setenv("DTS_SANDBOX_PORT_POSTGRES", "18080")
    require_different_ports(ui=8080)
    monkeypatch.setenv("DTS_SANDBOX_PORT_POSTGRES", "8080")
    with pytest.raises(SandboxError, match="DTS_SANDBOX_PORT_POSTGRES and DTS_SANDBOX_PORT_UI both say 8080"):
        require_different_ports(ui=8080)
    monkeypatch.setenv("DTS_SANDBOX_PORT_UI", "9090")
    require_different_ports(ui=8080)


def test_a_worker_imports_the_stages_beforehand_but_not_the_sandbox() -> None:
    modules = modules_of_tasks()
    assert "include.stages.packaging" in modules
    assert not [name for name in modules if name.startswith("include.sandbox")]
