"""Observations through the API: started, filed into, finished, each as often as one likes."""

from uuid import uuid4

import httpx

from include.access.roles import Role
from tests.api.conftest import Api
from tests.api.test_filing import FILES, FINISHED, HEAD, STARTED
from tests.registration.filings import STAGE, inline

START = {"instrument": "primecam", "started_at": STARTED}


async def test_an_observation_is_started_once(primecam: httpx.AsyncClient) -> None:
    where = f"/api/v1/observations/{uuid4()}"
    first, second = await primecam.put(where, json=START), await primecam.put(where, json=START)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.headers["Location"] == f"/dts{where}"
    assert first.json() == second.json() == (await primecam.get(where)).json()


async def test_another_start_is_a_contradiction(primecam: httpx.AsyncClient) -> None:
    where = f"/api/v1/observations/{uuid4()}"
    await primecam.put(where, json=START)
    other = await primecam.put(where, json=START | {"started_at": FINISHED})
    assert other.status_code == 409
    assert "was filed with started_at 2026-04-01 03:20:00 UTC, not 2026-04-01 04:00:00 UTC" in other.json()["detail"]


async def test_after_the_finish_no_files_are_added(api: Api, primecam: httpx.AsyncClient) -> None:
    api.observatory.put_files(FILES | {"late.g3": b"late"})
    where = f"/api/v1/observations/{uuid4()}"
    await primecam.put(where, json=START)
    before = (await primecam.post(f"{where}/files", json=HEAD | {"files": inline(FILES)})).json()
    for _ in range(2):
        finished = await primecam.post(f"{where}/finish", json={"finished_at": FINISHED})
        assert finished.status_code == 200, finished.text
        assert finished.json()["finished_at"] == FINISHED
        assert finished.json()["closed_at"] is not None
    after = (await primecam.post(f"{where}/files", json=HEAD | {"files": inline({"late.g3": b"late"})})).json()
    api.observatory.run(STAGE, "ccat_source")
    assert (await primecam.get(f"/api/v1/filings/{before['id']}")).json()["state"] == "accepted"
    late = (await primecam.get(f"/api/v1/filings/{after['id']}")).json()
    assert late["state"] == "refused"
    assert "'late.g3' is new, but observation" in late["verdict"]


async def test_another_finish_is_a_contradiction(primecam: httpx.AsyncClient) -> None:
    where = f"/api/v1/observations/{uuid4()}"
    assert (await primecam.post(f"{where}/finish", json={"finished_at": FINISHED})).status_code == 404
    await primecam.put(where, json=START)
    assert (await primecam.post(f"{where}/finish", json={"finished_at": "2026-04-01T03:00:00Z"})).status_code == 409
    await primecam.post(f"{where}/finish", json={"finished_at": FINISHED})
    assert (await primecam.post(f"{where}/finish", json={"finished_at": "2026-04-01T05:00:00Z"})).status_code == 409


async def test_an_instrument_sees_and_touches_its_own_observations_only(api: Api, primecam: httpx.AsyncClient) -> None:
    where = f"/api/v1/observations/{uuid4()}"
    await primecam.put(where, json=START)
    async with api.client(api.token("chai", Role.INSTRUMENT, instruments=("chai",))) as chai:
        assert (await chai.get(where)).status_code == 404
        assert (await chai.post(f"{where}/finish", json={"finished_at": FINISHED})).status_code == 404
        assert (await chai.put(where, json=START)).status_code == 403
        assert (await chai.put(where, json=START | {"instrument": "chai"})).status_code == 409
        assert (await chai.get("/api/v1/observations")).json()["items"] == []
        assert (await chai.get("/api/v1/observations?instrument=primecam")).json()["items"] == []


async def test_lists_go_on_where_they_ended(primecam: httpx.AsyncClient) -> None:
    made = {str(uuid4()) for _ in range(5)}
    for observation in made:
        await primecam.put(f"/api/v1/observations/{observation}", json=START)
    seen: list[str] = []
    after = ""
    while True:
        page = (await primecam.get(f"/api/v1/observations?limit=2{after}")).json()
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert len(seen) == 5
    assert set(seen) == made
    for nonsense in ("x", "W10=", "WzEsMl0="):
        assert (await primecam.get(f"/api/v1/observations?after={nonsense}")).status_code == 422
