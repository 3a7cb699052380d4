"""What the other views ask for: rooms and hosts, deletions and the brake, staging, plots, runs; and the page itself."""

import csv
import io

import httpx
import pytest
from sqlalchemy import text

from include.page.app import STATIC
from tests.api.conftest import Api

GB = 10**9


async def test_rooms_have_rates_watermarks_hours_left_and_queues(operator: httpx.AsyncClient) -> None:
    rooms = (await operator.get("/api/v1/rooms")).json()
    buffer = next(room for room in rooms["items"] if room["name"] == "ccat_buffer")
    assert buffer["share"] == pytest.approx(0.71)
    assert buffer["in_rate"] == pytest.approx(359e6, rel=0.05)
    assert buffer["hours_left"] == pytest.approx(45, rel=0.05)
    assert (buffer["high"], buffer["hosts"]) == (0.99, ["ccat-buffer"])
    assert "ccat_buffer_bundling" in buffer["queues"]


async def test_hosts_say_what_they_listen_to_and_what_they_should(operator: httpx.AsyncClient) -> None:
    hosts = {host["name"]: host for host in (await operator.get("/api/v1/rooms")).json()["hosts"]}
    assert "cologne_archive_archiving" in hosts["cologne"]["queues"]
    assert "cologne_processing_staging" in hosts["cologne"]["missing"]
    assert hosts["ccat-buffer"]["stopped_at"] is not None
    assert hosts["ccat-instrument"]["heard_at"] is None


async def test_whether_packages_fit_is_said_with_the_numbers(operator: httpx.AsyncClient) -> None:
    fit = (
        await operator.get("/api/v1/rooms/cologne_processing/fit", params={"subject": ["package:10", "package:1"]})
    ).json()
    assert (fit["asked"], fit["packages"], fit["fits"]) == (2, 1, True)
    assert fit["needed_bytes"] == 1000 * GB
    assert "would have to come to cologne_processing" in fit["sentence"]
    answer = await operator.get("/api/v1/rooms/us_buffer/fit", params={"subject": "package:10"})
    assert answer.status_code == 422
    assert "packages are staged at processing locations" in answer.json()["detail"]


async def test_the_ledger_has_the_evidence_of_each_deletion(operator: httpx.AsyncClient) -> None:
    page = (await operator.get("/api/v1/deletions", params={"limit": 5, "location": "ccat_buffer"})).json()
    assert len(page["items"]) == 5
    assert [copy["location"] for copy in page["items"][0]["evidence"]] == ["cologne_archive", "us_archive"]
    assert (await operator.get("/api/v1/deletions", params={"location": "us_buffer"})).json()["items"] == []


async def test_a_dry_run_asks_the_gate_and_changes_nothing(full_api: Api, operator: httpx.AsyncClient) -> None:
    answer = await operator.get("/api/v1/deletions/dry-run", params={"location": "cologne_buffer"})
    items = answer.json()["items"]
    assert len(items) == 6
    assert all(item["reason"] for item in items)
    with full_api.engine.connect() as connection:
        assert connection.execute(text("select count(*) from deletion_record")).scalar() == 24


async def test_the_brake_is_answered_once_and_a_refusal_lifted_with_a_reason(operator: httpx.AsyncClient) -> None:
    waiting = (await operator.get("/api/v1/brakes")).json()["items"]
    assert [(each["id"], each["location"]) for each in waiting] == [(1, "us_buffer")]
    refused = {"answer": "refused", "reason": " "}
    assert (await operator.post("/api/v1/brakes/1/answer", json=refused)).status_code == 422
    answer = await operator.post("/api/v1/brakes/1/answer", json=refused | {"reason": "not now"})
    assert (answer.json()["answer"], answer.json()["answered_by"]) == ("refused", "operator")
    again = await operator.post("/api/v1/brakes/1/answer", json={"answer": "approved", "reason": "go"})
    assert again.status_code == 409
    assert (await operator.post("/api/v1/brakes/1/lift", json={"reason": "now"})).json()["lifted_by"] == "operator"
    assert (await operator.post("/api/v1/brakes/1/lift", json={"reason": "now"})).status_code == 409
    assert (await operator.post("/api/v1/brakes/99/lift", json={"reason": "now"})).status_code == 404


async def test_a_run_tells_what_it_touched(operator: httpx.AsyncClient) -> None:
    run = {"dag_id": "packaging", "run_id": "scheduled__2026-11-20T10:00:00+00:00"}
    items = (await operator.get("/api/v1/runs", params=run)).json()["items"]
    assert [(item["operation"], item["outcome"]) for item in items] == [(38, "reset")]
    assert (await operator.get("/api/v1/runs", params=run | {"run_id": "x"})).json()["items"] == []


async def test_plots_have_a_value_for_each_moment_and_the_same_as_csv(operator: httpx.AsyncClient) -> None:
    for name in ("archived", "latency", "links", "levels"):
        plot = (await operator.get(f"/api/v1/plots/{name}")).json()
        assert plot["at"], name
        assert all(len(line["values"]) == len(plot["at"]) for line in plot["lines"])
        answer = await operator.get(f"/api/v1/plots/{name}", params={"format": "csv"})
        head, *rows = csv.reader(io.StringIO(answer.text))
        assert head == ["at (UTC)", "of", plot["unit"]]
        assert {row[1] for row in rows} == {line["name"] for line in plot["lines"]}


async def test_use_of_a_link_is_what_was_moved_spread_over_the_time_it_took(operator: httpx.AsyncClient) -> None:
    plot = (await operator.get("/api/v1/plots/links", params={"days": 2})).json()
    (line,) = plot["lines"]
    assert line["name"] == "ccat_buffer to cologne_buffer"
    moved = sum(int((200 + 90 * (hours % 5)) * GB) for hours in range(1, 24))
    assert sum(line["values"]) * 900 == pytest.approx(moved, rel=0.01)


async def test_bytes_archived_a_day_add_up(full_api: Api, operator: httpx.AsyncClient) -> None:
    plot = (await operator.get("/api/v1/plots/archived", params={"days": 366})).json()
    with full_api.engine.connect() as connection:
        total = connection.execute(
            text("select sum(size_bytes) from raw_data_package where archived_at is not null")
        ).scalar()
    assert sum(sum(line["values"]) for line in plot["lines"]) == total


async def test_the_page_runs_nothing_but_its_own_files(operator: httpx.AsyncClient) -> None:
    for path in ("", "index.html", "app.js", "views/flow.js", "page.css", "icon.svg"):
        answer = await operator.get(f"/page/{path}")
        assert answer.status_code == 200, path
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (await operator.get("/page/app.js")).headers["Content-Type"].startswith("text/javascript")
    for outside in ("nothing.js", "../app.py", "..%2fapp.py", "%2e%2e/app.py"):
        assert (await operator.get(f"/page/{outside}")).status_code == 404, outside


async def test_nobody_sees_the_page_without_an_account(full_api: Api) -> None:
    async with full_api.client(None) as stranger:
        for path in ("", "index.html", "app.js"):
            assert (await stranger.get(f"/page/{path}")).status_code == 401


def test_there_is_less_than_200_kb_of_script_and_no_markup_is_made_of_text() -> None:
    scripts = list(STATIC.rglob("*.js"))
    assert sum(path.stat().st_size for path in scripts) < 200_000
    for path in scripts:
        if path.parent.name != "vendor":
            source = path.read_text(encoding="utf-8")
            for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
                assert word not in source, path
