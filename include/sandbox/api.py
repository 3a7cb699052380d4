"""A small client of Airflow's REST API: whether Airflow is up, what it has parsed, and setting up its pools."""

from collections.abc import Iterable
from typing import Any, Self

import httpx

from include.errors import SandboxError
from include.lanes import Lane
from include.sandbox.state import User


class AirflowApi:
    """Requests in the name of one user. A context manager."""

    def __init__(self, url: str, *, user: User) -> None:
        # trust_env: a proxy of the caller's would get requests to loopback
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)
        self._user = user

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def health(self) -> dict[str, str]:
        """Return the state of each component (`healthy`, ...), empty while the api-server does not answer."""
        try:
            answer = self._client.get("/api/v2/monitor/health")
        except httpx.TransportError:
            return {}
        if answer.status_code != httpx.codes.OK:
            return {}
        return {name: str(part["status"]) for name, part in answer.json().items() if part}

    def task_api_answers(self) -> bool:
        """Tell whether the API that tasks talk to answers; the first request builds it (4 s of CPU, tasks wait 5 s)."""
        try:
            return self._client.get("/execution/health").is_success
        except httpx.TransportError:
            return False

    def log_in(self) -> None:
        """Fetch a token for the requests below."""
        answer = self._checked(
            self._client.post("/auth/token", json={"username": self._user.name, "password": self._user.password})
        )
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def dag_files(self) -> frozenset[str]:
        """Return the DAG files that have been parsed, below their bundle."""
        answer = self._checked(self._client.get("/api/v2/dags", params={"limit": 100}))
        return frozenset(str(dag["relative_fileloc"]) for dag in answer.json()["dags"])

    def import_errors(self) -> dict[str, str]:
        """Return what keeps a DAG file from being parsed, by file."""
        answer = self._checked(self._client.get("/api/v2/importErrors"))
        return {str(error["filename"]): str(error["stack_trace"]) for error in answer.json()["import_errors"]}

    def make_pools(self, lanes: Iterable[Lane]) -> None:
        """Make the pool of each lane, or give it its slots."""
        pools = [{"name": lane.name, "slots": lane.slots, "include_deferred": False} for lane in lanes]
        action = {"action": "create", "entities": pools, "action_on_existence": "overwrite"}
        answer = self._checked(self._client.patch("/api/v2/pools", json={"actions": [action]}))
        if errors := answer.json().get("create", {}).get("errors"):
            raise SandboxError(f"Airflow refused to make pools: {errors}")

    def get(self, path: str, **parameters: str) -> Any:
        """Return the JSON answer of a GET request below /api/v2."""
        return self._checked(self._client.get(f"/api/v2{path}", params=parameters)).json()

    def post(self, path: str, content: object) -> Any:
        """Return the JSON answer of a POST request below /api/v2."""
        return self._checked(self._client.post(f"/api/v2{path}", json=content)).json()

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        if answer.is_error:
            raise SandboxError(
                f"{answer.request.method} {answer.request.url} answered {answer.status_code}: {answer.text[:500]}"
            )
        return answer
