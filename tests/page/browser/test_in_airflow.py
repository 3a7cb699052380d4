"""The page where people find it: in Airflow's navigation, in a frame, after a login, dark and light as Airflow is."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from include.sandbox.postgres import Postgres
from include.sandbox.state import User
from tests.api.airflow_server import AirflowServer, environment_of, running
from tests.observatory import Observatory
from tests.page.browser.conftest import SHOTS
from tests.page.seeded import seed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PASSWORD = "correct horse"


def test_it_is_in_airflows_navigation_in_its_colours_and_leads_back_into_airflow(
    postgres: Postgres, observatory: Observatory, browser: Browser, tmp_path: Path
) -> None:
    seed(observatory.engine)
    users = (User(name="chief", role="op", password=PASSWORD),)
    environment = environment_of(postgres, observatory, tmp_path, users=users, more={})
    AirflowServer("", environment).airflow("db", "migrate")
    try:
        with running(environment, tmp_path) as server:
            look_around(browser, server.url)
    finally:
        postgres.drop_database(f"airflow_{tmp_path.name}")


def look_around(browser: Browser, url: str) -> None:
    context = browser.new_context(viewport={"width": 1500, "height": 950}, color_scheme="dark")
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.goto(url)
    page.fill("input[name=username]", "chief")
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Data transfer").first.click()
    frame = page.frame_locator("iframe")
    expect(frame.locator(".tile.failed")).to_contain_text("1", timeout=30_000)
    expect(frame.locator("#state")).to_contain_text("live")
    page.screenshot(path=SHOTS / "in_airflow_dark.png")
    theme = page.evaluate("document.documentElement.className")
    assert frame.locator("html").get_attribute("data-theme") in theme
    page.evaluate(
        "localStorage.setItem('theme', 'light'); const event = new StorageEvent('storage', {key: 'theme'});"
        "document.querySelector('iframe').contentWindow.dispatchEvent(event)"
    )
    expect(frame.locator("html")).to_have_attribute("data-theme", "light")
    # A link that is copied from the browser's address leads to the same view again.
    frame.get_by_role("link", name="Packages").click()
    expect(frame.locator(".rows")).to_contain_text("primecam_eorspec")
    assert page.url.endswith("/plugin/data_transfer/dts/page/#/packages")
    page.reload()
    expect(frame.locator(".rows")).to_contain_text("primecam_eorspec", timeout=30_000)
    page.screenshot(path=SHOTS / "in_airflow_packages.png")
    # The log of an attempt is Airflow's own page, around the frame.
    frame.get_by_role("link", name="primecam_eorspec_").first.click()
    frame.get_by_role("link", name="log of attempt 1 in Airflow").first.click()
    page.wait_for_url("**/dags/packaging/runs/**/tasks/at_cologne_buffer.run/mapped/3?try_number=1")
