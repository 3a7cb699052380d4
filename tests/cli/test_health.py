"""`dts health`: for people and for scripts."""

import json

import pytest
from sqlalchemy import text

from include.cli.health import show
from tests.cli.conftest import Dts
from tests.health.test_heartbeat import ago, beats
from tests.observatory import Observatory


def test_the_exit_code_tells_ready_from_degraded_from_not_ready(
    dts: Dts, bare_dts: Dts, observatory: Observatory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert show.__doc__
    with observatory.engine.begin() as connection:
        connection.execute(text("insert into alarm_watch (id, judged_at) values (1, now())"))
    beats(observatory)
    ready = dts("health")
    assert (ready.code, ready.err) == (0, "")
    assert "is ready" in ready.out
    assert "ccat-buffer" in ready.out
    ago(observatory, 200)
    degraded = dts("health", "--json")
    assert degraded.code == 3
    told = json.loads(degraded.out)
    assert (told["state"], told["hosts"]["ccat-buffer"]["fresh"]) == ("degraded", False)
    assert told["reasons"] == ["The last heartbeat of ccat-buffer was 200 seconds ago."]
    monkeypatch.setenv("DTS_OPS_DB_URL", "postgresql+psycopg://u:s3cret@127.0.0.1:1/ops_db")
    gone = bare_dts("health")
    assert gone.code == 4
    assert "ops-db does not answer" in gone.out
    assert "s3cret" not in gone.out + gone.err
