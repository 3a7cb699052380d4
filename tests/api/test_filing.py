"""Filing through the API: from the first request to the verdict, and everything sent twice."""

import asyncio
import json
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from include.access.roles import Role
from tests.api.conftest import Api
from tests.registration.filings import STAGE, inline, operation_count, written

STARTED = "2026-04-01T03:20:00Z"
FINISHED = "2026-04-01T04:00:00Z"
HEAD = {
    "instrument": "primecam",
    "instrument_module": "mod280",
    "data_location": "ccat_source",
    "started_at": STARTED,
}
FILES = {"a.g3": b"a", "b/ü c.g3": b"bcd"}


def address() -> str:
    """Of the files of a new observation."""
    return f"/api/v1/observations/{uuid4()}/files"


def stream(files: dict[str, bytes], /, **changes: object) -> bytes:
    """A filing as lines."""
    return "".join(json.dumps(line) + "\n" for line in (HEAD | changes, *inline(files))).encode()


def lines(content: bytes) -> dict:
    return {"content": content, "headers": {"Content-Type": "application/x-ndjson"}}


@pytest.fixture(params=["json", "lines"])
def sent(request) -> dict:
    """The same filing in both forms."""
    return {"json": HEAD | {"files": inline(FILES)}} if request.param == "json" else lines(stream(FILES))


async def test_what_is_filed_is_looked_at_where_it_is_and_accepted(
    api: Api, primecam: httpx.AsyncClient, sent: dict
) -> None:
    api.observatory.put_files(FILES)
    where = address()
    answer = await primecam.post(where, **sent)
    assert answer.status_code == 202, answer.text
    filing = answer.json()
    assert answer.headers["Location"] == f"/dts/api/v1/filings/{filing['id']}"
    assert (filing["state"], filing["file_count"], filing["size_bytes"]) == ("received", 2, 4)
    assert "2 files of observation" in filing["verdict"]
    assert "No verdict yet: A worker on ccat-instrument looks" in filing["verdict"]
    assert api.rings == 1
    assert api.observatory.run(STAGE, "ccat_source").failed == []
    decided = (await primecam.get(f"/api/v1/filings/{filing['id']}")).json()
    assert decided["state"] == "accepted"
    assert decided["verdict"].startswith("Accepted: 2 new files (4 bytes) of primecam mod280, observation")
    assert written(api.observatory).files == 2
    with api.engine.connect() as connection:
        assert connection.execute(text("select count(*) from filed_line")).scalar_one() == 0


async def test_the_same_again_is_the_same_filing(api: Api, primecam: httpx.AsyncClient, sent: dict) -> None:
    where = address()
    first, second = await primecam.post(where, **sent), await primecam.post(where, **sent)
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json() == second.json()
    assert operation_count(api.observatory) == 1
    assert api.rings == 1


async def test_a_key_stands_for_one_content(primecam: httpx.AsyncClient) -> None:
    where, key = address(), {"Idempotency-Key": "night-1:0001"}
    first = await primecam.post(where, json=HEAD | {"files": inline({"a.g3": b"a"})}, headers=key)
    assert first.json()["idempotency_key"] == "night-1:0001"
    other = await primecam.post(where, json=HEAD | {"files": inline({"b.g3": b"a"})}, headers=key)
    assert other.status_code == 409
    assert "already stands for filing" in other.json()["detail"]
    streamed = lines(stream({"a.g3": b"a"}))
    streamed["headers"] |= key
    assert (await primecam.post(where, **streamed)).status_code == 409


@pytest.mark.parametrize("key", ["", "a b", "ä".encode(), "x" * 101, "a/b"])
async def test_a_key_is_a_word(primecam: httpx.AsyncClient, key: str | bytes) -> None:
    answer = await primecam.post(address(), json=HEAD, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert "idempotency-key" in answer.json()["detail"]


async def test_a_refused_filing_is_looked_at_again_when_it_is_sent_again(
    api: Api, primecam: httpx.AsyncClient, sent: dict
) -> None:
    where = address()
    filing = (await primecam.post(where, **sent)).json()
    api.observatory.run(STAGE, "ccat_source")
    refused = (await primecam.get(f"/api/v1/filings/{filing['id']}")).json()
    assert refused["state"] == "refused"
    assert "'a.g3' is not at ccat_source" in refused["verdict"]
    api.observatory.put_files(FILES)
    again = await primecam.post(where, **sent)
    assert (again.status_code, again.json()["id"]) == (202, filing["id"])
    api.observatory.run(STAGE, "ccat_source")
    assert (await primecam.get(f"/api/v1/filings/{filing['id']}")).json()["state"] == "accepted"


async def test_a_refused_filing_cannot_be_replaced_under_its_key(api: Api, primecam: httpx.AsyncClient) -> None:
    where, key = address(), {"Idempotency-Key": "k"}
    await primecam.post(where, json=HEAD | {"files": inline({"a.g3": b"a"})}, headers=key)
    api.observatory.run(STAGE, "ccat_source")
    corrected = HEAD | {"files": inline({"b.g3": b"a"})}
    assert (await primecam.post(where, json=corrected, headers=key)).status_code == 409
    assert (await primecam.post(where, json=corrected)).status_code == 202


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (HEAD, "it names no files"),
        (HEAD | {"files": []}, "files is empty"),
        (HEAD | {"files": [{"path": "../x", "size_bytes": 1}]}, "files[0].path '../x' is refused"),
        (HEAD | {"files": inline(FILES), "started_at": "yesterday"}, "started_at 'yesterday' must be a time"),
        (HEAD | {"files": inline(FILES), "instrument_module": "lfa"}, "instrument_module 'lfa' is unknown"),
        (HEAD | {"files": inline(FILES), "instrument": "nobody"}, "instrument 'nobody' is unknown"),
    ],
)
async def test_a_malformed_filing_is_refused_with_a_sentence_and_kept(
    api: Api, primecam: httpx.AsyncClient, body: dict, told: str
) -> None:
    answer = await primecam.post(address(), json=body)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert told in answer.json()["detail"]
    kept = (await primecam.get(answer.headers["Location"].removeprefix("/dts"))).json()
    assert (kept["state"], kept["verdict"]) == ("refused", f"Refused: {answer.json()['detail']}")
    assert operation_count(api.observatory) == 0
    assert api.rings == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (stream({}), "no file follows the first line"),
        (stream({"a": b""}) + b"{", "line 3 is not JSON"),
        (stream({"a": b""}) + b'{"path": "a", "size_bytes": 0}', "line 3: the path 'a' stands twice"),
        (stream({"a": b""}) + b'\n\n{"path": "/b", "size_bytes": 0}', "line 5: path '/b' is refused"),
        (stream({"a": b""}) + b'{"path": "' + b"b" * 20_000 + b'"}', "line 3 is longer than 16,384 bytes"),
        (stream({"a": b""}, files=[]), "leave files and manifest out of the first line"),
    ],
)
async def test_a_malformed_stream_is_refused_with_its_line_and_leaves_nothing(
    api: Api, primecam: httpx.AsyncClient, content: bytes, told: str
) -> None:
    answer = await primecam.post(address(), **lines(content))
    assert answer.status_code == 422
    assert told in answer.json()["detail"]
    with api.engine.connect() as connection:
        assert connection.execute(text("select count(*) from filed_line")).scalar_one() == 0
    assert operation_count(api.observatory) == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the body is not JSON"),
        (b"[]", "the body must be a JSON object"),
        (b'{"a": 1, "a": 2}', "a key stands twice"),
        (b'{"a": "\xff"}', "the body is not UTF-8"),
        (b'{"executed_obs_unit": "x"}', "leave it out of the filing"),
    ],
)
async def test_what_is_no_filing_at_all_leaves_nothing(
    api: Api, primecam: httpx.AsyncClient, content: bytes, told: str
) -> None:
    answer = await primecam.post(address(), content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert told in answer.json()["detail"]
    with api.engine.connect() as connection:
        assert connection.execute(text("select count(*) from filing")).scalar_one() == 0


async def test_an_instrument_files_for_itself_only(api: Api, primecam: httpx.AsyncClient) -> None:
    chai = HEAD | {"instrument": "chai", "instrument_module": "lfa", "files": inline(FILES)}
    answer = await primecam.post(address(), json=chai)
    assert answer.status_code == 403
    assert answer.json()["detail"].startswith("primecam files for primecam, and not for chai")
    async with api.client(api.token("chai", Role.INSTRUMENT, instruments=("chai",))) as client:
        filing = (await client.post(address(), json=chai)).json()
    assert (await primecam.get(f"/api/v1/filings/{filing['id']}")).status_code == 404
    assert (await primecam.get("/api/v1/filings")).json()["items"] == []


async def test_a_token_is_no_way_round_the_topology(api: Api) -> None:
    async with api.client(api.token("stranger", Role.INSTRUMENT, instruments=("primecam",))) as client:
        answer = await client.post(address(), json=HEAD | {"files": inline(FILES)})
    assert answer.status_code == 422
    assert "the account 'stranger' may not file for primecam" in answer.json()["detail"]


async def test_who_waits_hears_of_the_verdict_at_once(api: Api, primecam: httpx.AsyncClient) -> None:
    filing = (await primecam.post(address(), json=HEAD | {"files": inline(FILES)})).json()
    waiting = [asyncio.create_task(primecam.get(f"/api/v1/filings/{filing['id']}?wait=30")) for _ in range(3)]
    await asyncio.to_thread(api.observatory.run, STAGE, "ccat_source")
    answers = await asyncio.wait_for(asyncio.gather(*waiting), timeout=10)
    assert {answer.json()["state"] for answer in answers} == {"refused"}


async def test_who_waits_in_vain_is_answered_too(primecam: httpx.AsyncClient) -> None:
    filing = (await primecam.post(address(), json=HEAD | {"files": inline(FILES)})).json()
    answer = await primecam.get(f"/api/v1/filings/{filing['id']}?wait=0.05")
    assert answer.json()["state"] == "received"
    assert (await primecam.get(f"/api/v1/filings/{filing['id']}?wait=31")).status_code == 422


async def test_another_topology_than_the_applied_one_takes_no_filings(api: Api, primecam: httpx.AsyncClient) -> None:
    topology = api.observatory.topology
    api.observatory.topology = topology.model_copy(update={"operators": ("somebody",)})
    answer = await primecam.post(address(), json=HEAD | {"files": inline(FILES)})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "is the applied one" in answer.json()["detail"]


async def test_a_thing_that_has_not_changed_is_not_sent_again(primecam: httpx.AsyncClient) -> None:
    filing = (await primecam.post(address(), json=HEAD | {"files": inline(FILES)})).json()
    where = f"/api/v1/filings/{filing['id']}"
    first = await primecam.get(where)
    second = await primecam.get(where, headers={"If-None-Match": first.headers["ETag"]})
    assert (second.status_code, second.content) == (304, b"")
