"""Filing through the API in the running observatory: the bell starts registration, and the verdict comes."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy.orm import Session

from include.access.roles import Role
from include.access.tokens import make_token
from tests.end_to_end.observatory_up import PATIENCE_SECONDS, SOURCE, Running

BELL = "filed__"
"""What the ids of runs begin with that the API started."""


def test_what_is_filed_starts_registration(running: Running) -> None:
    with Session(running.engine) as session, session.begin():
        token = make_token(
            session,
            account="primecam",
            role=Role.INSTRUMENT,
            instruments=("primecam",),
            expires_at=datetime.now(UTC) + timedelta(hours=1),
            made_by="tests",
        )
    observation = running.observe({"a.g3": b"first", "b.g3": b"second"})
    conf = running.conf(observation)
    assert conf["data_location"] == SOURCE
    body = {key: value for key, value in conf.items() if key not in {"executed_obs_unit", "finished_at"}}
    headers = {"Authorization": f"Bearer {token.secret}"}
    url = f"{running.sandbox.state.url}/dts"
    with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
        where = f"/api/v1/observations/{observation.id}"
        answer = client.post(f"{where}/files", json=body)
        assert answer.status_code == 202, answer.text
        filing = decided(client, answer.json()["id"])
        assert filing["state"] == "accepted", filing
        finished = client.post(f"{where}/finish", json={"finished_at": conf.get("finished_at") or conf["started_at"]})
        assert finished.status_code == 200, finished.text
        missing = body | {"files": [{"path": f"test/{uuid4()}.g3", "size_bytes": 1}]}
        answer = client.post(f"/api/v1/observations/{uuid4()}/files", json=missing)
        refused = decided(client, answer.json()["id"])
        assert refused["state"] == "refused"
        assert "is not at ccat_source" in refused["verdict"]
    with running.client("operator") as airflow:
        runs = airflow.get("/api/v2/dags/registration/dagRuns", params={"order_by": "-id", "limit": 100}).json()
    assert any(run["dag_run_id"].startswith(BELL) for run in runs["dag_runs"])


def decided(client: httpx.Client, filing: int) -> dict[str, Any]:
    """Wait for the verdict as a client does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = client.get(f"/api/v1/filings/{filing}?wait=30").raise_for_status().json()
        if found["state"] != "received" or time.monotonic() > deadline:
            return dict(found)
