"""Finding packages, and all that is known about one."""

import httpx

from tests.api.conftest import Api
from tests.page.seeded import Seeds


async def found(client: httpx.AsyncClient, **query: str) -> list[str]:
    answer = await client.get("/api/v1/search/packages", params=query)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


KNOWN = [
    ({"q": "eorspec_19898f46"}, 1),
    ({"q": "EORSPEC_19898"}, 1),
    ({"q": "100%"}, 0),
    ({"q": "operation:38"}, 1),
    ({"q": "package:5"}, 1),
    ({"q": "19898f46-f079-50e7-b2b6-42531dc6930e"}, 2),
    ({"q": "x_001.g3"}, 12),
    ({"q": "1760000004/rfsoc01/x_001.g3"}, 1),
    ({"q": "1760000004/rfsoc01/x_00.g3"}, 0),
    ({"q": "_001.g3", "instrument": "chai"}, 3),
    ({"state": "failed"}, 1),
    ({"instrument": "chai", "module": "hfa", "state": "archived"}, 15),
    ({"instrument": "nobody"}, 0),
    ({"last": "1999-01-01"}, 0),
    ({"first": "1999-01-01", "last": "9999-12-31", "limit": "1000"}, 83),
]


async def test_packages_are_found_by_what_people_know(operator: httpx.AsyncClient) -> None:
    assert {str(query): len(await found(operator, **query)) for query, _ in KNOWN} == {
        str(query): count for query, count in KNOWN
    }


async def test_pages_follow_each_other_without_a_gap(operator: httpx.AsyncClient) -> None:
    seen, after = [], None
    while True:
        page = (
            await operator.get("/api/v1/search/packages", params={"limit": 30} | ({"after": after} if after else {}))
        ).json()
        seen += [item["id"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert seen == list(range(83, 0, -1))


async def test_what_failed_is_told_of_a_package_with_its_operation(operator: httpx.AsyncClient) -> None:
    (item,) = (await operator.get("/api/v1/search/packages", params={"q": "package:75"})).json()["items"]
    assert (item["operation"], item["operation_status"], item["is_flagged"]) == (38, "failed", True)
    assert item["why"].startswith("17/rfsoc01/1700000000_004.g3")


async def test_a_life_has_every_attempt_with_its_log_and_says_what_comes_next(operator: httpx.AsyncClient) -> None:
    life = (await operator.get("/api/v1/packages/package:76/life")).json()
    assert len(life["attempts"]) == 7
    newest = life["attempts"][0]
    assert (newest["dag_id"], newest["task_id"], newest["map_index"]) == ("transfer", "at_cologne_buffer.run", 3)
    assert any("does not answer on port 22" in sentence for sentence in life["next"])
    assert life["flag"]["reason"] == "a supernova"
    assert any("was flagged by jane" in sentence for sentence in life["urgent"])
    assert [copies["location"] for copies in life["copies"]] == ["ccat_buffer"]
    assert (await operator.get("/api/v1/packages/nothing/life")).status_code == 404


async def test_files_have_their_offsets_and_checksums(operator: httpx.AsyncClient) -> None:
    page = (await operator.get("/api/v1/packages/package:5/members", params={"limit": 2})).json()
    assert [(item["path"], item["offset_bytes"]) for item in page["items"]] == [
        ("1760000004/rfsoc00/x_000.g3", 512),
        ("1760000004/rfsoc01/x_001.g3", 1_000_960),
    ]
    assert page["next"] is not None


async def test_a_name_may_hold_anything(full_api: Api, operator: httpx.AsyncClient) -> None:
    name = "<b>\u202e%_\\\\'\" 100%"
    with full_api.engine.begin() as connection:
        seeds = Seeds(connection)
        seeds.package(name, seeds.observation(900), files=("a%b_c.g3",))
    assert await found(operator, q=name) == [name]
    assert await found(operator, q="a%b_c.g3") == [name]
    assert await found(operator, q="axb_c.g3") == []
    assert (await operator.get("/api/v1/packages/package:84/life")).json()["name"] == name
