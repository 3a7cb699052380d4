"""What can be read: packages, files, transfers, copies, places, staging jobs, explanations, histories, health."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from include.access.roles import Role
from tests.api.conftest import Api
from tests.lifecycle.archived import Archived, archived_package

UNTIL = (datetime.now(UTC) + timedelta(days=2)).isoformat()
LATER = (datetime.now(UTC) + timedelta(days=3)).isoformat()


@pytest.fixture
def package(api: Api) -> Archived:
    return archived_package(api.observatory)


async def test_a_package_by_name_and_by_number(package: Archived, viewer: httpx.AsyncClient) -> None:
    found = (await viewer.get(f"/api/v1/packages/{package.name}")).json()
    assert found == (await viewer.get(f"/api/v1/packages/package:{package.id}")).json()
    assert (found["name"], found["state"], found["observation"]) == (
        package.name,
        "archived",
        str(package.observation),
    )
    listed = (await viewer.get(f"/api/v1/packages?observation={package.observation}&state=archived")).json()
    assert listed == {"items": [found], "next": None}
    assert (await viewer.get("/api/v1/packages?state=failed")).json()["items"] == []
    missing = await viewer.get("/api/v1/packages/nothing")
    assert missing.status_code == 404
    assert "There is no package 'nothing' in ops-db." in missing.json()["detail"]


async def test_the_files_of_a_package_and_of_an_observation(package: Archived, viewer: httpx.AsyncClient) -> None:
    first = (await viewer.get(f"/api/v1/packages/{package.name}/files?limit=1")).json()
    rest = (await viewer.get(f"/api/v1/packages/{package.name}/files?after={first['next']}")).json()
    files = first["items"] + rest["items"]
    assert [file["path"] for file in files] == sorted(package.files)
    assert {file["package"] for file in files} == {package.name}
    of_observation = (await viewer.get(f"/api/v1/observations/{package.observation}/files")).json()
    assert of_observation == {"items": files, "next": None}


async def test_transfers(package: Archived, viewer: httpx.AsyncClient) -> None:
    listed = (await viewer.get("/api/v1/transfers")).json()["items"]
    assert [(each["origin"], each["destination"]) for each in listed] == [
        ("cologne_buffer", "us_buffer"),
        ("ccat_buffer", "cologne_buffer"),
    ]
    assert (await viewer.get(f"/api/v1/transfers/{listed[0]['id']}")).json() == listed[0]
    assert listed[0]["package_count"] == 1
    assert listed[0]["size_bytes"] == len(package.content)
    assert (await viewer.get("/api/v1/transfers?status=failed")).json()["items"] == []
    assert (await viewer.get("/api/v1/transfers/77")).status_code == 404


async def test_copies(package: Archived, viewer: httpx.AsyncClient) -> None:
    listed = (await viewer.get(f"/api/v1/copies?package={package.name}")).json()["items"]
    assert {"cologne_archive", "us_archive"} <= {copy["location"] for copy in listed}
    at = (await viewer.get("/api/v1/copies?location=us_archive&status=present")).json()["items"]
    assert at == [copy for copy in listed if copy["location"] == "us_archive"]
    assert (await viewer.get("/api/v1/copies")).json()["items"] == listed
    assert (await viewer.get("/api/v1/copies?status=corrupt")).status_code == 422
    assert (await viewer.get("/api/v1/copies?location=nowhere")).status_code == 404


async def test_places(api: Api, viewer: httpx.AsyncClient) -> None:
    listed = (await viewer.get("/api/v1/places")).json()["items"]
    assert [place["full_name"] for place in listed] == sorted(
        location.full_name for location in api.observatory.topology.data_locations
    )


async def test_explanations_and_histories(package: Archived, viewer: httpx.AsyncClient) -> None:
    told = (await viewer.get(f"/api/v1/explain/{package.name}")).json()
    assert told["title"] == f"Package {package.name}: archived"
    assert any("cologne_archive, verified" in sentence for sentence in told["sentences"])
    observation = (await viewer.get(f"/api/v1/explain/{package.observation}")).json()
    assert observation["kind"] == "observation"
    history = (await viewer.get(f"/api/v1/history/{package.name}")).json()
    assert "archived" in {event["what"] for event in history["events"]}
    path = next(iter(package.files))
    assert (await viewer.get(f"/api/v1/history/{path}")).json()["title"] == f"File {path}"
    for subject in ("explain/nothing", "explain/7", "explain/operation:x", "history/nothing"):
        assert (await viewer.get(f"/api/v1/{subject}")).status_code == 404, subject


async def test_health(viewer: httpx.AsyncClient) -> None:
    assert (await viewer.get("/api/v1/health")).json() == {
        "well": True,
        "topology_is_applied": True,
        "filings_waiting": 0,
        "oldest_filing_waiting_since": None,
        "failed_operations": 0,
    }


async def test_a_scientist_stages_what_is_needed_extends_and_releases_it(api: Api, package: Archived) -> None:
    wish = {"subjects": [package.name], "location": "cologne_processing", "until": UNTIL, "reason": "maps"}
    jobs = "/api/v1/staging-jobs"
    async with api.client(api.token("ada", Role.SCIENTIST)) as ada, api.client(api.token("bob", Role.SCIENTIST)) as bob:
        key = {"Idempotency-Key": "maps-1"}
        made = await ada.post(jobs, json=wish, headers=key)
        assert made.status_code == 201, made.text
        where = made.headers["Location"].removeprefix("/dts")
        assert (await ada.post(jobs, json=wish, headers=key)).status_code == 200
        assert (await bob.get(where)).json()["requested_by"] == "ada"
        for change in (bob.patch(where, json={"until": LATER}), bob.delete(where)):
            refused = await change
            assert refused.status_code == 403
            assert "only ada or an operator" in refused.json()["detail"]
        assert (await ada.patch(where, json={"until": LATER})).status_code == 200
        assert (await ada.patch(where, json={"until": UNTIL})).status_code == 409
        async with api.client(api.token("chief", Role.OPERATOR)) as operator:
            assert (await operator.delete(where)).json()["state"] == "released"
        assert (await ada.delete(where)).status_code == 409
        assert (await ada.delete(f"{jobs}/99")).status_code == 404
        assert [job["id"] for job in (await ada.get(f"{jobs}?requested_by=ada")).json()["items"]] == [1]
        nowhere = await ada.post(jobs, json=wish | {"location": "us_buffer"})
        assert nowhere.status_code == 422
        assert "us_buffer is a buffer location" in nowhere.json()["detail"]
