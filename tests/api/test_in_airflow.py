"""The API in a real api-server: Airflow's accounts and what they may do here; an instrument's in Airflow's own API."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from include.access.roles import PERMITTED, Role
from include.sandbox.postgres import Postgres
from include.sandbox.process import base_environment
from include.sandbox.state import User
from tests.api.airflow_server import FAB, ROOT, AirflowServer, environment_of, running
from tests.api.conftest import Api
from tests.api.endpoints import endpoints
from tests.api.test_filing import HEAD
from tests.observatory import Observatory
from tests.registration.filings import inline

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PASSWORD = "correct horse"
SIMPLE = {"boss": "admin", "chief": "op", "guest": "viewer", "ada": "user", "primecam": "user"}
ROLES = {
    "boss": Role.ADMIN,
    "chief": Role.OPERATOR,
    "guest": Role.VIEWER,
    "ada": Role.SCIENTIST,
    "primecam": Role.INSTRUMENT,
}
USERS = tuple(User(name=name, role=role, password=PASSWORD) for name, role in SIMPLE.items())

# What an instrument's account gets an answer to in Airflow's own API: version, whether it lives, and lists of DAGs, in
# which it would see the one that it may start (nobody parsed it here, so they are empty, and that one is 404).
ANSWERED = {"get /api/v2/version", "get /api/v2/monitor/health", "get /api/v2/dags", "get /api/v2/dagTags"}
ITS_DAG = re.compile(r"/api/v2/dags/registration(/dagRuns.*|/details)?$")


@pytest.fixture
def environment(postgres: Postgres, observatory: Observatory, tmp_path: Path, request) -> Iterator[dict[str, str]]:
    found = environment_of(postgres, observatory, tmp_path, users=USERS, more=request.param)
    AirflowServer("", found).airflow("db", "migrate")
    yield found
    postgres.drop_database(f"airflow_{tmp_path.name}")


@pytest.mark.parametrize("environment", [FAB], indirect=True, ids=["fab"])
def test_accounts_of_fab(api: Api, environment: dict[str, str], tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "tests.api.fab_accounts", PASSWORD],
        cwd=ROOT, env={**base_environment(), **environment}, check=True, capture_output=True,
    )  # fmt: skip
    with running(environment, tmp_path) as server:
        require_roles(api, server)
        require_strangers_kept_out(api, server)
        require_harmless(server)


@pytest.mark.parametrize("environment", [{}], indirect=True, ids=["simple"])
def test_accounts_of_simple_auth_manager(api: Api, environment: dict[str, str], tmp_path: Path) -> None:
    with running(environment, tmp_path) as server:
        require_roles(api, server)
        require_strangers_kept_out(api, server)


def require_roles(api: Api, server: AirflowServer) -> None:
    """Every account at every endpoint, by the table."""
    for name, role in ROLES.items():
        with server.client(name, PASSWORD) as client:
            for endpoint in endpoints(api.app):
                if endpoint.action is None:
                    continue
                status = status_of(client, endpoint.method, f"/dts{endpoint.address}", endpoint.body)
                allowed = role in PERMITTED[endpoint.action]
                assert (status == 403) is not allowed, f"{name} at {endpoint}: {status}"
                assert status < 500, f"{name} at {endpoint}: {status}"
    with server.client("primecam", PASSWORD) as client:
        files = HEAD | {"files": inline({"a.g3": b"a"})}
        filed = client.post(f"/dts/api/v1/observations/{uuid4()}/files", json=files)
        assert (filed.status_code, filed.json()["received_from"]) == (202, "primecam"), filed.text
        chai = client.put(
            f"/dts/api/v1/observations/{uuid4()}", json={"instrument": "chai", "started_at": "2026-04-01T03:20:00Z"}
        )
        assert chai.status_code == 403


def require_strangers_kept_out(api: Api, server: AirflowServer) -> None:
    """Without an account, with a wrong token, with a token of ours in Airflow's API."""
    for token in (None, "nonsense", "dts_nonsense"):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as client:
            for endpoint in endpoints(api.app):
                status = status_of(client, endpoint.method, f"/dts{endpoint.address}", endpoint.body)
                assert status == (200 if endpoint.action is None else 401), f"{token} at {endpoint}: {status}"
    ours = api.token("admin", Role.ADMIN)
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {ours}"}, trust_env=False) as client:
        assert client.get("/dts/api/v1/packages").status_code == 200
        assert client.get("/api/v2/connections").status_code in {401, 403}


def require_harmless(server: AirflowServer) -> None:
    """An instrument's account at every endpoint of Airflow's own API."""
    tried, answered = 0, set()
    with server.client("primecam", PASSWORD) as client, httpx.Client(base_url=server.url, trust_env=False) as anyone:
        paths = anyone.get("/openapi.json").json()["paths"]
        for path, methods in paths.items():
            for method in sorted(methods.keys() & {"get", "post", "put", "patch", "delete"}):
                for dag in ("registration", "deletion"):
                    address = re.sub(r"{[^}]*}", "1", path.replace("{dag_id}", dag))
                    answer = client.request(method, address, json={})
                    tried += 1
                    if answer.is_success and not ITS_DAG.match(address):
                        answered.add(f"{method} {address}")
                        assert "total_entries" not in answer.json() or answer.json()["total_entries"] == 0
    assert tried > 150
    assert answered == ANSWERED


def status_of(client: httpx.Client, method: str, address: str, body: object) -> int:
    """Ask, and do not wait for the end of what is streamed."""
    with client.stream(method, address, json=body) as answer:
        return answer.status_code
