"""Every list is read through an index, in its order and from where the last page ended, however much there is."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, event, text

from include.access.roles import Role
from tests.api.conftest import Api
from tests.bench.many_packages import Many, fill

LARGE = {"executed_obs_unit", "filing", "raw_data_package", "raw_data_file", "physical_copy", "data_transfer"}
"""What grows for years."""
FILINGS = """
insert into filing (dag_run_id, received_from, conf, executed_obs_unit_id, state, verdict)
select 'run ' || n, case when n % 2 = 0 then 'primecam' else 'chai' end, '{}',
  md5('observation ' || n / 10)::uuid, case when n % 1000 = 0 then 'refused' else 'accepted' end, 'Accepted.'
from generate_series(1, 5000) n
"""
LISTS = [
    "observations",
    "observations?instrument=primecam",
    "observations/{observation}/files",
    "filings",
    "filings?state=refused",
    "filings?state=accepted",
    "filings?observation={observation}",
    "packages",
    "packages?state=failed",
    "packages?state=archived",
    "packages?observation={observation}",
    "packages/bench_1500/files",
    "transfers",
    "transfers?status=failed",
    "transfers?status=completed",
    "copies",
    "copies?package=bench_1500",
    "copies?location=us_archive",
    "copies?location=us_archive&status=corrupt",
    "copies?location=us_archive&status=present",
]


@pytest.fixture
def full(api: Api) -> str:
    """An ops-db after a while; returns an observation."""
    with api.engine.begin() as connection:
        connection.execute(text(FILINGS))
    fill(api.engine, Many(packages=3000, files_each=3))
    with api.engine.connect() as connection:
        return str(connection.execute(text("select executed_obs_unit_id from filing where id = 1500")).scalar_one())


async def test_every_list_is_read_through_an_index(api: Api, full: str) -> None:
    async with (
        api.client(api.token("guest", Role.VIEWER)) as guest,
        api.client(api.token("primecam", Role.INSTRUMENT, instruments=("primecam",))) as primecam,
    ):
        for address in LISTS:
            await require_index(api, guest, address.format(observation=full))
        for address in ("observations", "filings"):
            await require_index(api, primecam, address)


async def require_index(api: Api, client: httpx.AsyncClient, address: str) -> None:
    """On the first page and on the next."""
    address = f"/api/v1/{address}{'&' if '?' in address else '?'}limit=3"
    with statements(api.engine) as asked:
        page = (await client.get(address)).json()
        if page["next"]:
            assert (await client.get(f"{address}&after={page['next']}")).status_code == 200
    lists = [(statement, values) for statement, values in asked if "key_0" in statement and "limit" in statement]
    assert lists
    for statement, values in lists:
        for node in plan(api.engine, statement, values):
            kind, table = node["Node Type"], node.get("Relation Name")
            assert not (kind == "Seq Scan" and table in LARGE), f"{address}: all of {table} is read"
            assert kind != "Sort" or node["Plan Rows"] < 100, f"{address}: much is sorted by {node['Sort Key']}"


@contextmanager
def statements(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """What is asked of ops-db meanwhile."""
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, values: Any, context: Any, executemany: Any) -> None:
        asked.append((statement, values))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


def plan(engine: Engine, statement: str, values: Any) -> list[dict[str, Any]]:
    """The nodes of PostgreSQL's plan for a statement."""
    with engine.connect() as connection:
        # Few rows are best read all at once, many are not; where there is no index, this is done even so.
        for way in ("seqscan", "hashjoin", "mergejoin"):
            connection.execute(text(f"set local enable_{way} = off"))
        rows = connection.exec_driver_sql(f"explain (format json) {statement}", values).scalar_one()
    waiting = [(rows if isinstance(rows, list) else json.loads(rows))[0]["Plan"]]
    nodes = []
    while waiting:
        nodes.append(node := waiting.pop())
        waiting += node.get("Plans", [])
    return nodes
