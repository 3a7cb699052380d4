"""What is too large, of the wrong kind, broken off, or comes when ops-db is away."""

from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import create_engine, text

from include.access.roles import Role
from include.api import bodies
from include.sandbox.ports import free_port
from tests.api.conftest import Api
from tests.api.test_filing import HEAD, STARTED, address
from tests.registration.filings import inline

NDJSON = {"Content-Type": "application/x-ndjson"}


async def endless(chunk: bytes = b"\n" * 100_000) -> AsyncIterator[bytes]:
    """A stream whose length nobody was told."""
    while True:
        yield chunk


async def test_what_is_told_to_be_too_large_is_not_even_read(primecam: httpx.AsyncClient) -> None:
    for kind, most in (("json", bodies.JSON_BYTES_MAX), ("x-ndjson", bodies.NDJSON_BYTES_MAX)):
        headers = {"Content-Type": f"application/{kind}", "Content-Length": str(most + 1)}
        answer = await primecam.post(address(), content=b"{}", headers=headers)
        assert answer.status_code == 413
        assert "stream files as application/x-ndjson" in answer.json()["detail"]


async def test_what_proves_to_be_too_large_is_not_read_to_its_end(
    api: Api, primecam: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "NDJSON_BYTES_MAX", 3 * bodies.IN_MEMORY_BYTES)
    assert (await primecam.post(address(), content=endless(), headers=NDJSON)).status_code == 413
    start = {"content": endless(b" " * 100_000), "headers": {"Content-Type": "application/json"}}
    assert (await primecam.put(address().removesuffix("/files"), **start)).status_code == 413
    with api.engine.connect() as connection:
        assert connection.execute(text("select count(*) from filing")).scalar_one() == 0


async def test_only_plain_json_is_taken(primecam: httpx.AsyncClient) -> None:
    where = address()
    for kind in ("text/plain", "application/xml", ""):
        answer = await primecam.post(where, content=b"{}", headers={"Content-Type": kind})
        assert answer.status_code == 415
        assert answer.json()["detail"].endswith("send application/json or application/x-ndjson.")
    start = await primecam.put(where.removesuffix("/files"), content=b"{}", headers=NDJSON)
    assert start.status_code == 415
    packed = await primecam.post(where, content=b"{}", headers=NDJSON | {"Content-Encoding": "gzip"})
    assert packed.status_code == 415


async def test_a_filing_that_is_broken_off_leaves_nothing(api: Api) -> None:
    """As Starlette tells it when the other side hangs up."""
    caller = api.token("primecam", Role.INSTRUMENT, instruments=("primecam",))
    messages = iter([{"type": "http.request", "body": b'{"instrument": "pr', "more_body": True}])
    sent: list[dict] = []

    async def receive() -> dict:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: dict) -> None:
        sent.append(message)

    path = f"/dts{address()}"
    headers = [(b"authorization", f"Bearer {caller}".encode()), (b"content-type", b"application/json")]
    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "root_path": "", "scheme": "http",
        "query_string": b"", "headers": headers, "server": ("dts", 80), "client": ("1.2.3.4", 5),
    }  # fmt: skip
    await api.mounted(scope, receive, send)
    assert sent[0]["status"] == 400
    with api.engine.connect() as connection:
        assert connection.execute(text("select count(*) from filing")).scalar_one() == 0


async def test_without_ops_db_everybody_is_told_to_come_again(api: Api, primecam: httpx.AsyncClient) -> None:
    api.observatory.engine = create_engine(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/nothing")
    for answer in (
        await primecam.get("/api/v1/filings"),
        await primecam.post(address(), json=HEAD | {"files": inline({"a": b""})}),
        await primecam.put(address().removesuffix("/files"), json={"instrument": "primecam", "started_at": STARTED}),
    ):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert "The operations database cannot answer now" in answer.json()["detail"]
    assert (await primecam.get("/health/live")).status_code == 200


async def test_when_too_many_wait_the_next_is_sent_away(
    primecam: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.api.ops_db.WAITING_MOST", 0)
    answer = await primecam.get("/api/v1/filings")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
