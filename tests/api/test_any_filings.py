"""Whatever is filed, in whatever order and form and however often: ops-db and the disk agree afterwards."""

import json
from collections.abc import Callable
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from include.access.roles import Role
from tests.api.conftest import Api
from tests.api.test_filing import HEAD
from tests.databases import empty
from tests.registration.filings import STAGE

OBSERVATIONS = [f"6f1c2f0e-9d5b-4a52-8f0a-3c1d2e4b5a6{number}" for number in range(2)]
PATHS = st.sampled_from(["a.g3", "b/c.g3", "b/d.g3"])
SIZES = st.integers(1, 2)
CHECKSUMS = st.sampled_from([None, "xxh3-128:" + "0" * 32, "xxh3-128:" + "1" * 32])

WRITE = st.tuples(st.just("write"), PATHS, SIZES)
REMOVE = st.tuples(st.just("remove"), PATHS)
FILE = st.tuples(
    st.just("file"),
    st.sampled_from(OBSERVATIONS),
    st.lists(st.tuples(PATHS, SIZES, CHECKSUMS), min_size=1, max_size=3),
    st.sampled_from(["mod280", "mod350"]),
    st.sampled_from([None, "k1", "k2"]),
    st.booleans(),
)
FINISH = st.tuples(st.just("finish"), st.sampled_from(OBSERVATIONS))
WORK = st.tuples(st.just("work"))
STEPS = st.lists(st.one_of(WRITE, WRITE, FILE, FILE, FILE, WORK, REMOVE, FINISH), max_size=10)

ACCEPTED = text("select path, size_bytes from raw_data_file")
AGREE: dict[str, str] = {
    "undecided filings": "select count(*) from filing where state = 'received'",
    "lines of filings that were not refused": """
        select count(*) from filed_line l join filing g on g.id = l.filing_id where g.state <> 'refused'""",
    "files of filings that were not accepted": """
        select count(*) from raw_data_file f join filing g on g.id = f.filing_id where g.state <> 'accepted'""",
    "files without exactly one good copy": """
        select count(*) from raw_data_file f where 1 <> (select count(*) from physical_copy c
          where c.raw_data_file_id = f.id and c.status = 'present' and c.size_bytes = f.size_bytes and c.path = f.path)
        """,
    "a path in two observations": """
        select count(*) from (select path from raw_data_file group by path having count(*) > 1) twice""",
    "work that is not done": "select count(*) from operation where status <> 'completed'",
}


class Night:
    """The disk of the source and what is known of it, for one example."""

    def __init__(self, api: Api, client: httpx.AsyncClient) -> None:
        self._api = api
        self._client = client
        self._folder = api.observatory.folder("ccat_source")
        self.accepted: list[tuple[str, list[tuple[str, int, str | None]]]] = []
        self._sent: dict[int, tuple[str, list[tuple[str, int, str | None]]]] = {}

    async def do(self, step: tuple[Any, ...]) -> None:
        name, *values = step
        action: Callable[..., Any] = getattr(self, name)
        await action(*values)

    async def write(self, path: str, size: int) -> None:
        if path not in self.filed():  # what is accepted never changes: instruments keep to that
            self._api.observatory.put_files({path: b"x" * size})

    async def remove(self, path: str) -> None:
        if path not in self.filed():
            (self._folder / path).unlink(missing_ok=True)

    async def file(
        self, observation: str, files: list[tuple[str, int, str | None]], module: str, key: str | None, streams: bool
    ) -> None:
        head = HEAD | {"instrument_module": module}
        entries = [
            {"path": path, "size_bytes": size} | ({"checksum": checksum} if checksum else {})
            for path, size, checksum in files
        ]
        content = "\n".join(map(json.dumps, (head, *entries))) if streams else json.dumps(head | {"files": entries})
        headers = {"Content-Type": f"application/{'x-nd' if streams else ''}json"}
        headers |= {"Idempotency-Key": f"{observation}.{key}"} if key else {}
        answer = await self._client.post(f"/api/v1/observations/{observation}/files", content=content, headers=headers)
        assert answer.status_code in {200, 202, 409, 422}, answer.text
        if answer.status_code == 202:
            self._sent[answer.json()["id"]] = (observation, files)

    async def finish(self, observation: str) -> None:
        answer = await self._client.post(
            f"/api/v1/observations/{observation}/finish", json={"finished_at": "2026-04-01T04:00:00Z"}
        )
        assert answer.status_code in {200, 404}

    async def work(self) -> None:
        assert self._api.observatory.run(STAGE, "ccat_source").failed == []

    def filed(self) -> dict[str, int]:
        with self._api.engine.connect() as connection:
            return {row.path: row.size_bytes for row in connection.execute(ACCEPTED)}

    async def require_agreement(self) -> None:
        with self._api.engine.connect() as connection:
            found = {what: connection.execute(text(query)).scalar_one() for what, query in AGREE.items()}
        assert found == dict.fromkeys(AGREE, 0)
        filed = self.filed()
        assert filed == {path: (self._folder / path).stat().st_size for path in filed}
        for number, (observation, files) in self._sent.items():
            filing = (await self._client.get(f"/api/v1/filings/{number}")).json()
            if filing["state"] == "accepted":
                assert filing["observation"] == observation
                assert filing["file_count"] == len(files)
                assert {path: filed[path] for path, _, _ in files} == {path: size for path, size, _ in files}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_ops_db_and_disk_agree_after_any_filings(api: Api, steps: list[tuple[Any, ...]]) -> None:
    empty(api.engine, places_too=False)
    for path in ("a.g3", "b/c.g3", "b/d.g3"):
        (api.observatory.folder("ccat_source") / path).unlink(missing_ok=True)
    async with api.client(api.token("primecam", Role.INSTRUMENT, instruments=("primecam",))) as client:
        night = Night(api, client)
        for step in steps:
            await night.do(step)
        await night.work()
        await night.require_agreement()
