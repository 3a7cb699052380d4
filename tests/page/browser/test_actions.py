"""What operators do on the page, and what it leaves in ops-db; and a server that goes away under an open page."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import text

from tests.api.conftest import Api
from tests.api.served import served
from tests.page.browser.conftest import Visits

pytestmark = pytest.mark.slow


def confirm(page: Page, button: str, **values: str) -> None:
    """Press a button, fill in the question that comes up, and mean it."""
    page.get_by_role("button", name=button).click()
    for name, value in values.items():
        page.locator(f"dialog [name={name}]").fill(value)
    page.locator("dialog button[type=submit]").click()


def one(api: Api, query: str) -> tuple:
    with api.engine.connect() as connection:
        return tuple(connection.execute(text(query)).one())


def test_a_failed_operation_is_retried_with_a_reason_that_stays(full_page: Visits, full_api: Api) -> None:
    seen = full_page.visit()
    seen.go("package/package%3A75")
    confirm(seen.page, "Retry …")
    expect(seen.page.locator("dialog")).to_contain_text("Reason is missing")
    seen.page.locator("dialog [name=reason]").fill("the file is whole now")
    seen.page.locator("dialog button[type=submit]").click()
    expect(seen.page.locator("#said")).to_contain_text("1 operation pending again")
    assert one(full_api, "select status from operation where id = 38") == ("pending",)
    assert one(
        full_api, "select person, explanation from operation_attempt where operation_id = 38 and number = 3"
    ) == (
        "operator",
        "the file is whole now",
    )
    expect(seen.page.locator(".timeline")).to_contain_text("the file is whole now")


def test_priority_is_raised_and_taken_back_and_a_package_pinned_and_released(full_page: Visits, full_api: Api) -> None:
    seen = full_page.visit()
    seen.go("package/package%3A61")
    confirm(seen.page, "Raise priority …", reason="a supernova")
    expect(seen.page.locator("main")).to_contain_text("was flagged by operator")
    seen.page.get_by_role("button", name="Take priority back").click()
    expect(seen.page.locator("main")).not_to_contain_text("was flagged by operator")
    confirm(seen.page, "Pin …", reason="it is being looked at", until="2199-12-31")
    expect(seen.page.locator("main")).to_contain_text("Pinned by operator at every location until 2199-12-31")
    assert one(full_api, "select pinned_by, reason, until from pin") == (
        "operator",
        "it is being looked at",
        datetime(2199, 12, 31, 23, 59, 59, tzinfo=UTC),
    )
    confirm(seen.page, "Release")
    expect(seen.page.locator("main")).not_to_contain_text("Pinned by operator")
    assert one(full_api, "select released_by from pin") == ("operator",)


def test_a_question_of_the_brake_is_answered_once_with_its_list_before_ones_eyes(
    full_page: Visits, full_api: Api
) -> None:
    seen, late = full_page.visit(), full_page.visit()
    seen.go("deletions")
    late.go("deletions")
    seen.page.get_by_text("All packages of the list").click()
    expect(seen.page.locator(".question table tbody tr")).to_have_count(6)
    confirm(seen.page, "Refuse …", reason="not before the meeting")
    expect(seen.page.locator("main")).to_contain_text("The brake asks nothing")
    confirm(late.page, "Approve …", reason="go")
    expect(late.page.locator("dialog")).to_contain_text("is answered already")
    assert one(full_api, "select answer, answered_by, reason from deletion_brake where id = 1") == (
        "refused",
        "operator",
        "not before the meeting",
    )


def test_data_is_asked_for_against_the_room_there_is_extended_and_released(full_page: Visits, full_api: Api) -> None:
    seen = full_page.visit()
    seen.go("staging")
    seen.page.locator("input[name=subjects]").fill("package:10 package:11")
    expect(seen.page.locator(".wish")).to_contain_text("2 packages with")
    expect(seen.page.locator(".wish")).to_contain_text("are left")
    confirm(seen.page, "Ask …")
    expect(seen.page.locator("#said")).to_contain_text("StagingJob 4: There are 0 of 2 packages")
    confirm(seen.page, "Extend …", until="2199-12-31")
    expect(seen.page.locator("main")).to_contain_text("Protected until 2199-12-31")
    confirm(seen.page, "Release …", reason="done with it")
    expect(seen.page.locator("#said")).to_contain_text("StagingJob 4 is released.")
    with full_api.engine.connect() as connection:
        events = connection.execute(
            text("select event, person, asked_through from staging_job_event where staging_job_id = 4 order by id")
        ).all()
    assert [(row.event, row.person) for row in events] == [
        ("requested", "operator"),
        ("extended", "operator"),
        ("released", "operator"),
    ]
    assert all(row.asked_through.startswith("Airflow") for row in events)


def test_what_cannot_be_had_is_said_before_anybody_asks(full_page: Visits) -> None:
    seen = full_page.visit()
    seen.go("staging")
    seen.page.locator("input[name=subjects]").fill("primecam:1999-01-01")
    expect(seen.page.locator(".wish")).to_contain_text("No observation of primecam")


def test_a_change_is_seen_without_reloading(full_page: Visits, full_api: Api) -> None:
    full_api.app.state.watch.stream_seconds = 4
    seen = full_page.visit()
    seen.go("flow")
    expect(seen.page.locator(".tile.failed strong")).to_have_text("1")
    with full_api.engine.begin() as connection:
        connection.execute(text("update operation set status = 'failed' where kind = 'archiving'"))
    expect(seen.page.locator(".tile.failed strong")).to_have_text("8")
    seen.page.goto("about:blank")


def test_a_server_that_is_restarted_under_an_open_page_is_told_and_mended(full_api: Api, browser: Browser) -> None:
    with served(full_api) as address:
        seen = Visits(browser, address).visit()
        seen.go("flow")
    expect(seen.page.locator("#trouble")).to_contain_text("The server cannot be reached just now.")
    expect(seen.page.locator("#state")).to_contain_text("not live")
    expect(seen.page.locator("main")).to_contain_text("CCAT observatory")
    seen.shot("server_away")
    port = int(address.split(":")[2].split("/")[0])
    with served(full_api, port=port):
        expect(seen.page.locator("#state")).to_contain_text("live")
        expect(seen.page.locator("#trouble")).to_be_hidden()
        seen.page.goto("about:blank")
