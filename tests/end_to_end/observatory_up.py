"""A running sandbox, as the tests talk to it: REST like an instrument, ops-db like an operator."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import Engine, create_engine, text

from include.sandbox.demo.instrument import Observation, Original, conf_of, observe
from include.sandbox.sandbox import Sandbox

SOURCE = "ccat_source"
PATIENCE_SECONDS = 180


@dataclass
class Running:
    """The sandbox of this test session."""

    sandbox: Sandbox
    engine: Engine
    stopped_pids: dict[str, set[int]] = field(default_factory=dict)
    """What state.json said of workers before `stop_worker`, by host."""
    clients: dict[str, httpx.Client] = field(default_factory=dict)
    """Those that have logged in, by user."""

    @classmethod
    def of(cls, sandbox: Sandbox) -> "Running":
        return cls(sandbox, create_engine(sandbox.state.ops_db_url))

    @property
    def source(self) -> Path:
        return Path(self.sandbox.state.locations[SOURCE])

    def folder(self, full_name: str) -> Path:
        return Path(self.sandbox.state.locations[full_name])

    def stop_worker(self, host: str) -> None:
        """Stop a host's worker, and remember which it was."""
        self.stopped_pids.setdefault(host, set()).add(self.sandbox.state.workers[host].pid)
        self.sandbox.stop_worker(host)

    def worker_pids(self, host: str) -> set[int]:
        """Return the pids of a host's workers, as state.json says and has said."""
        return {self.sandbox.state.workers[host].pid} | self.stopped_pids.get(host, set())

    @contextmanager
    def client(self, user: str) -> Iterator[httpx.Client]:
        """A plain REST client, logged in: what an instrument's software has. It is kept for the next who asks."""
        if user not in self.clients:
            account = self.sandbox.state.user(user)
            client = httpx.Client(base_url=self.sandbox.state.url, timeout=30, trust_env=False)
            login = client.post("/auth/token", json={"username": account.name, "password": account.password})
            client.headers["Authorization"] = f"Bearer {login.raise_for_status().json()['access_token']}"
            self.clients[user] = client
        yield self.clients[user]

    def close(self) -> None:
        for client in self.clients.values():
            client.close()
        self.engine.dispose()

    def observe(self, files: dict[str, bytes], *, instrument: str = "primecam", module: str = "mod280") -> Observation:
        """Write files at the SOURCE, below a folder of this observation's own."""
        folder = f"test/{uuid4().hex[:12]}"
        originals = [Original(path=f"{folder}/{name}", size_bytes=len(c), chunks=[c]) for name, c in files.items()]
        return observe(self.source, instrument=instrument, module=module, originals=originals)

    def conf(self, observation: Observation) -> dict[str, Any]:
        return conf_of(observation, source=self.source, location=SOURCE, inline_files_max=500)

    def trigger(self, dag_id: str, conf: object, *, user: str = "operator", run_id: str | None = None) -> str:
        """Trigger a DAG; return the run's id."""
        body = {"logical_date": None, "conf": conf, "dag_run_id": run_id or f"test-{uuid4().hex[:12]}"}
        with self.client(user) as client:
            answer = client.post(f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        assert answer.status_code == httpx.codes.OK, answer.text[:2000]
        return str(answer.json()["dag_run_id"])

    def file(self, observation: Observation) -> str:
        """File an observation as its instrument does."""
        conf = self.conf(observation)
        digest = hashlib.sha256(json.dumps(conf, sort_keys=True).encode()).hexdigest()[:16]
        return self.trigger("registration", conf, user=observation.instrument, run_id=f"{observation.id}.{digest}")

    def file_and_await(self, conf: object, *, user: str = "primecam") -> tuple[str, str]:
        """File a conf and return the run's end state and the verdict in its XCom."""
        run_id = self.trigger("registration", conf, user=user)
        return self.await_run("registration", run_id), self.verdict(run_id)

    def verdict(self, run_id: str) -> str:
        """Return the verdict in a registration run's XCom."""
        return str(self.xcom("registration", run_id, task_id="verdict", key="verdict"))

    def xcom(self, dag_id: str, run_id: str, *, task_id: str, key: str) -> Any:
        """Return what a task left for its reader."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        with self.client("primecam") as client:
            return client.get(path, params={"deserialize": True}).raise_for_status().json()["value"]

    def run_state(self, dag_id: str, run_id: str) -> str:
        with self.client("operator") as client:
            return str(client.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}").raise_for_status().json()["state"])

    def await_run(self, dag_id: str, run_id: str) -> str:
        """Wait until a run has ended; return its state."""
        self.until(lambda: self.run_state(dag_id, run_id) in {"success", "failed"}, what=f"the end of {run_id}")
        return self.run_state(dag_id, run_id)

    def instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run."""
        with self.client("operator") as client:
            answer = client.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances", params={"limit": 200})
        return list(answer.raise_for_status().json()["task_instances"])

    def clear(self, dag_id: str, content: dict[str, Any]) -> None:
        """Clear task instances as the UI does."""
        body = {"dry_run": False, "reset_dag_runs": True, "only_failed": False, **content}
        with self.client("operator") as client:
            answer = client.post(f"/api/v2/dags/{dag_id}/clearTaskInstances", json=body)
        assert answer.status_code == httpx.codes.OK, answer.text[:2000]

    def query(self, sql: str, **values: object) -> list[Any]:
        """Return rows of ops-db."""
        with self.engine.connect() as connection:
            return list(connection.execute(text(sql), values))

    def scalar(self, sql: str, **values: object) -> Any:
        """Return one value of ops-db."""
        with self.engine.connect() as connection:
            return connection.execute(text(sql), values).scalar()

    def archived_copies(self, observation: Observation) -> int:
        """Count the verified archive copies of an observation's packages."""
        return int(
            self.scalar(
                """
                select count(*) from physical_copy c join raw_data_package p on p.id = c.raw_data_package_id
                join data_location l on l.id = c.data_location_id
                where p.executed_obs_unit_id = :id and l.location_type = 'long_term_archive'
                  and c.status = 'present' and c.verified_at is not null and c.checksum = p.checksum
                """,
                id=observation.id,
            )
        )

    def until(self, condition: Callable[[], object], *, what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Await a condition; fail with what was awaited and where everything stands."""
        ends = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > ends:
                rows = self.query("select id, kind, status, explanation from operation where status <> 'completed'")
                raise AssertionError(f"Waited {seconds} s in vain for {what}. Open operations: {rows}")
            time.sleep(0.3)


def now() -> datetime:
    return datetime.now(UTC)
