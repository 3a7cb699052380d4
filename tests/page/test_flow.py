"""The flow: what is at each stage and on each route, as one look shows it and as it changes."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from include.page.rates import RateMeter, Seen
from include.page.read_routes import estimate
from tests.api.conftest import Api

ROUTE = ("ccat_buffer", "cologne_buffer")
NOW = datetime(2026, 4, 1, 12, 0, tzinfo=UTC)
GB = 10**9


async def test_it_says_what_is_at_each_stage_and_what_failed_with_its_sentence(operator: httpx.AsyncClient) -> None:
    flow = (await operator.get("/api/v1/flow")).json()
    stages = {
        (place["name"], stage["kind"]): stage
        for site in flow["sites"]
        for place in site["places"]
        for stage in place["stages"]
    }
    packaging = stages["ccat_source", "packaging"]
    assert (packaging["moving"], packaging["waiting"], packaging["failed"]) == (2, 3, 1)
    assert packaging["why"].startswith("17/rfsoc01/1700000000_004.g3 at ccat_source has 12 bytes")
    assert (flow["failed"], flow["brakes"], flow["refused"], flow["filings"]) == (1, 1, 1, 1)
    assert stages["us_archive", "archiving"]["troubled"] == 3
    assert [alarm["severity"] for alarm in flow["alarms"]] == ["critical"]
    us_buffer = next(place for site in flow["sites"] for place in site["places"] if place["name"] == "us_buffer")
    assert us_buffer["condition"] == "pressed"
    assert us_buffer["share"] == pytest.approx(0.93)


async def test_it_says_what_is_on_each_route_with_the_newest_decisions(operator: httpx.AsyncClient) -> None:
    flow = (await operator.get("/api/v1/flow")).json()
    routes = {(route["origin"], route["destination"]): route for route in flow["routes"]}
    assert list(routes) == [
        ROUTE,
        ("ccat_buffer", "us_buffer"),
        ("cologne_buffer", "us_buffer"),
        ("us_buffer", "cologne_buffer"),
    ]
    route = routes[ROUTE]
    assert (route["moving"], route["waiting"], route["connections"]) == (2, 4, 12)
    assert route["left_bytes"] == (2 * 33 + 4 * 48) * GB
    assert route["decisions"][0]["why"].startswith("Back to 12 connections")
    assert [decision["connections"] for decision in route["decisions"]] == [12, 16, 12, 8]
    assert "caught up in about" in route["sentence"]
    assert routes["ccat_buffer", "us_buffer"]["troubled"] == 1
    assert routes["us_buffer", "cologne_buffer"]["sentence"] == "Nothing waits."


async def test_an_observatory_in_which_nothing_has_happened_shows_all_its_places(empty_api: Api) -> None:
    async with empty_api.client("viewer") as viewer:
        flow = (await viewer.get("/api/v1/flow")).json()
    assert [site["name"] for site in flow["sites"]] == ["ccat", "cologne", "us"]
    assert (flow["failed"], flow["moving"], flow["waiting"], flow["topology_is_applied"]) == (0, 0, 0, True)


async def test_events_begin_with_the_flow_unless_the_browser_has_that_very_one(operator: httpx.AsyncClient) -> None:
    answer = await operator.get("/api/v1/flow/events")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    number, name, content = next(block for block in answer.text.split("\n\n") if "event: flow" in block).split("\n")
    assert json.loads(content.removeprefix("data: "))["failed"] == 1
    assert name == "event: flow"
    full = (await operator.get("/api/v1/flow")).json()
    assert full["failed"] == 1
    assert number.startswith("id: ")


def seen(number: int, *, left: int, ended: float | None = None) -> Seen:
    return Seen(operation_id=number, route=ROUTE, size_bytes=1000, left_bytes=left, ended_seconds_ago=ended)


def test_a_rate_is_what_transfers_moved_between_looks_those_that_ended_included() -> None:
    meter = RateMeter()
    meter.look([seen(1, left=1000), seen(9, left=0, ended=50)], at=100)
    assert meter.rate(ROUTE) is None
    meter.look([seen(1, left=400), seen(2, left=1000), seen(9, left=0, ended=60)], at=110)
    assert meter.rate(ROUTE) == 60
    # 1 has ended, 3 began and ended between two looks, 9 had ended long before.
    meter.look(
        [seen(1, left=0, ended=3), seen(2, left=900), seen(3, left=0, ended=1), seen(9, left=0, ended=70)], at=120
    )
    assert meter.rate(ROUTE) == (600 + 400 + 100 + 1000) / 20
    for at in (130, 140, 151):
        meter.look([seen(1, left=0, ended=at - 117), seen(2, left=900), seen(3, left=0, ended=at - 119)], at=at)
    assert meter.rate(ROUTE) == 0


def test_what_moved_while_nobody_watched_has_no_rate() -> None:
    meter = RateMeter()
    meter.look([seen(1, left=1000)], at=0)
    meter.look([seen(1, left=900)], at=10)
    meter.look([seen(1, left=100)], at=3600)
    assert meter.rate(ROUTE) is None
    meter.look([seen(1, left=50)], at=3610)
    assert meter.rate(ROUTE) == 5


def test_a_transfer_that_begins_again_has_moved_nothing_backwards() -> None:
    meter = RateMeter()
    meter.look([seen(1, left=100)], at=0)
    meter.look([seen(1, left=1000)], at=10)
    assert meter.rate(ROUTE) == 0


@pytest.mark.parametrize(
    ("left", "rate", "coming", "sentence", "hours"),
    [
        (0, 0, 0, "Nothing waits.", 0),
        (360 * GB, 0, 0, "360.0 GB to go, and nothing moves.", None),
        (360 * GB, 100e6, 150e6, "360.0 GB to go; it falls behind by 50.0 MB/s.", None),
        (360 * GB, 100e6, 50e6, "360.0 GB to go: caught up in about 2 h.", 2),
        (GB, 100e6, 0, "1.0 GB to go: caught up in less than a minute.", 10 / 3600),
        (360 * GB, 100, 0, "360.0 GB to go: more than 30 days at the present rate.", None),
    ],
)
def test_an_estimate_says_when_it_is_caught_up_or_that_it_never_is(
    left: int, rate: float, coming: float, sentence: str, hours: float | None
) -> None:
    estimated = estimate(left_bytes=left, rate=rate, coming=coming, now=NOW)
    assert estimated.sentence == sentence
    assert estimated.caught_up_at == (None if hours is None else NOW + timedelta(hours=hours))
