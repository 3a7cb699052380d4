"""Airflow's configuration, all of it, as environment variables: every value with its reason.

A worker gets the `common` part only: like one across an ocean it knows the broker and the api-server, but neither the
metadata database nor the keys that protect it.
"""

import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from include.sandbox.ports import LOOPBACK
from include.sandbox.state import User


@dataclass(frozen=True)
class Secrets:
    """Keys of one run."""

    fernet_key: str = field(default_factory=lambda: urlsafe_b64encode(secrets.token_bytes(32)).decode())
    jwt_secret: str = field(default_factory=lambda: secrets.token_urlsafe(64))
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(32))


@dataclass(frozen=True)
class AirflowConfig:
    """What the configuration depends on."""

    root: Path
    """Folder of include/, dags/ and plugins/."""
    topology: Path
    api_port: int
    metadata_url: str
    broker_url: str
    result_backend: str
    users: tuple[User, ...]
    passwords_file: Path
    task_logs: Path
    trigger_log_port: int
    overrides: Mapping[str, str]
    """AIRFLOW__... variables that replace or add to those below (tests shorten timeouts)."""
    secrets: Secrets = field(default_factory=Secrets)

    @property
    def url(self) -> str:
        """Of the web page."""
        return f"http://localhost:{self.api_port}"

    def common(self, home: Path) -> dict[str, str]:
        """Return what every component and worker gets."""
        settings: dict[tuple[str, str], str | int | bool] = {
            ("core", "executor"): "CeleryExecutor",
            ("core", "execution_api_server_url"): f"http://{LOOPBACK}:{self.api_port}/execution/",
            ("core", "plugins_folder"): str(self.root / "plugins"),
            # Only for the search path; the bundle below is what is parsed.
            ("core", "dags_folder"): str(self.root / "dags"),
            # A bundle on dags/ and not on the root: everything below a bundle may be executed.
            ("dag_processor", "dag_bundle_config_list"): json.dumps([_bundle(self.root / "dags")]),
            ("core", "load_examples"): False,
            # Stages must run without somebody switching them on.
            ("core", "dags_are_paused_at_creation"): False,
            # The default of 5 adds a tail of 5 s to 41 % of short tasks: 100 no-ops 51-56 s -> 15 s.
            ("workers", "min_heartbeat_interval"): 1,
            # Each failed one takes about 37 s: here nothing is cut off for longer than a few minutes.
            ("workers", "max_failed_heartbeats"): 5,
            ("celery", "broker_url"): self.broker_url,
            # Redis: with a database as result backend a remote worker would need the metadata database.
            ("celery", "result_backend"): self.result_backend,
            # Airflow's own, and a heartbeat of each worker's host into ops-db.
            ("celery", "celery_config_options"): "include.airflow_glue.celery_worker.CONFIG",
            # A task must not wait behind a running one while another worker process is idle.
            ("celery", "worker_prefetch_multiplier"): 1,
            # Above the longest task: the default delivers a task again while it still runs (seconds).
            ("celery_broker_transport_options", "visibility_timeout"): 7 * 86_400,
            ("logging", "base_log_folder"): str(self.task_logs),
            # All accounts write into one tree, which the api-server reads: they share a group.
            ("logging", "file_task_handler_new_folder_permissions"): "0o770",
            ("logging", "file_task_handler_new_file_permissions"): "0o660",
            ("logging", "colored_console_log"): False,
            ("usage_data_collection", "enabled"): False,
        }
        return {
            "AIRFLOW_HOME": str(home),
            "HOME": str(home),
            "PYTHONPATH": str(self.root),
            "PYTHONUNBUFFERED": "1",
            "DTS_TOPOLOGY": str(self.topology),
            **_variables(settings),
            **self.overrides,
        }

    def control(self, home: Path) -> dict[str, str]:
        """Return what api-server, scheduler, dag-processor and triggerer get."""
        settings: dict[tuple[str, str], str | float | bool] = {
            ("database", "sql_alchemy_conn"): self.metadata_url,
            ("core", "fernet_key"): self.secrets.fernet_key,
            ("api_auth", "jwt_secret"): self.secrets.jwt_secret,
            ("api", "secret_key"): self.secrets.secret_key,
            ("api", "base_url"): self.url,
            ("api", "host"): LOOPBACK,
            ("api", "port"): self.api_port,
            # Memory: each one is a whole api-server.
            ("api", "workers"): 1,
            ("core", "simple_auth_manager_users"): ",".join(f"{user.name}:{user.role}" for user in self.users),
            ("core", "simple_auth_manager_passwords_file"): str(self.passwords_file),
            # A file that changes is parsed at once; to parse the others again every 30 s would take a sixth of a core.
            ("dag_processor", "min_file_process_interval"): 600,
            # Global, not per queue: a 45 s link cut against 20 s made two live copies of a task (seconds).
            ("scheduler", "task_instance_heartbeat_timeout"): 60,
            # How long it rests when nothing is to be done: a package on its way waits for some thirty looks (seconds).
            ("scheduler", "scheduler_idle_sleep_time"): 0.4,
            # Waiting in the queue longer counts as stuck, and fails without running: above any outage here (seconds).
            ("scheduler", "task_queued_timeout"): 6 * 3600,
            # Tasks of a lane without a worker may wait that long; their tokens must live as long (seconds).
            ("execution_api", "jwt_expiration_time"): 6 * 3600,
            ("logging", "trigger_log_server_port"): self.trigger_log_port,
        }
        return {**self.common(home), **_variables(settings), **self.overrides}

    def passwords(self) -> str:
        """Return the content of the passwords file."""
        return json.dumps({user.name: user.password for user in self.users}) + "\n"


def made_users() -> tuple[User, ...]:
    """Return the logins, with fresh passwords.

    SimpleAuthManager cannot limit an instrument's account to the registration DAG; production does (FAB roles).
    """
    return (
        User(name="admin", role="admin", password=_password()),
        User(name="operator", role="op", password=_password()),
        User(name="scientist", role="viewer", password=_password()),
        User(name="primecam", role="user", password=_password()),
        User(name="chai", role="user", password=_password()),
    )


def _password() -> str:
    return secrets.token_urlsafe(12)


def _bundle(folder: Path) -> dict[str, object]:
    return {
        "name": "data-transfer",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(folder)},
    }


def _variables(settings: Mapping[tuple[str, str], str | float | bool]) -> dict[str, str]:
    return {f"AIRFLOW__{section.upper()}__{key.upper()}": str(value) for (section, key), value in settings.items()}
