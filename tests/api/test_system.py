"""/dts/health for load balancers, /dts/metrics for scrapers."""

import httpx
from sqlalchemy import text

from tests.api.conftest import Api
from tests.health.test_heartbeat import ago, beats


async def test_health_is_ready_degraded_or_not_ready_with_reasons(api: Api, viewer: httpx.AsyncClient) -> None:
    engine = api.observatory.engine
    with engine.begin() as connection:
        connection.execute(text("insert into alarm_watch (id, judged_at) values (1, now())"))
    beats(api.observatory)
    ready = await viewer.get("/health")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "reasons": []})
    ago(api.observatory, 300)
    degraded = await viewer.get("/health")
    assert (degraded.status_code, degraded.json()["status"]) == (200, "degraded")
    assert degraded.json()["reasons"] == ["The last heartbeat of ccat-buffer was 300 seconds ago."]
    with engine.begin() as connection:
        connection.execute(text("update topology_version set sha256 = 'another'"))
    not_ready = await viewer.get("/health")
    assert (not_ready.status_code, not_ready.json()["status"]) == (503, "not_ready")


async def test_scrapers_get_numbers_as_text(api: Api, viewer: httpx.AsyncClient) -> None:
    beats(api.observatory)
    answer = await viewer.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'dts_worker_up{host="ccat-buffer",site="ccat"} 1' in answer.text.splitlines()
    assert 'dts_lane_slots{location="us_archive",site="us",stage="archiving"} 2' in answer.text.splitlines()


async def test_strangers_get_neither(api: Api) -> None:
    async with api.client(None) as stranger:
        for path in ("/health", "/metrics"):
            assert (await stranger.get(path)).status_code == 401
