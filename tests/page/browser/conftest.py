"""The page in a real browser, on a real server and a real ops-db; skipped, with a reason, without a Chromium."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from include.access.roles import Role
from tests.api.conftest import Api
from tests.api.served import served

ROOT = Path(__file__).parents[3]
SHOTS = ROOT / "build" / "page"
"""Where screenshots are kept: of the last run, for people."""
AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium: the system's, else the one of `playwright install chromium`."""
    with sync_playwright() as playwright:
        system = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        try:
            browser = playwright.chromium.launch(executable_path=system, args=["--no-sandbox"])
        except Error as error:
            pytest.skip(f"no Chromium: install it, or run `playwright install chromium` ({str(error).splitlines()[0]})")
        yield browser
        browser.close()


@dataclass
class Seen:
    """The page as somebody with a role sees it, and what went wrong there."""

    page: Page
    address: str
    errors: list[str] = field(default_factory=list)

    def go(self, view: str) -> None:
        """Open a view and wait until it shows what it asked for."""
        self.page.goto(f"{self.address}/page/#/{view}")
        # Another hash alone loads nothing anew.
        expect(self.page.locator("main section.view").first).to_be_visible()
        self.page.wait_for_load_state("load")
        expect(self.page.locator("#state")).to_contain_text("live")
        expect(self.page.locator("main")).to_contain_text(re.compile(r"\w{3}"))

    def shot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def barriers(self) -> list[str]:
        """What axe finds that keeps people out."""
        found = self.page.evaluate(f"async () => {{ {AXE}; return (await axe.run(document)).violations; }}")
        return [
            f"{each['id']}: {each['help']}: {node['html'][:200]}"
            for each in found
            if each["impact"] in SERIOUS
            for node in each["nodes"]
        ]

    def is_too_wide(self) -> bool:
        """Tell whether one must scroll sideways to read; lists may have that for themselves."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@dataclass
class Visits:
    """Opens the page in the browser, for any role."""

    browser: Browser
    address: str

    def visit(self, role: Role = Role.OPERATOR, *, width: int = 1440, height: int = 900, dark: bool = False) -> Seen:
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            extra_http_headers={"Authorization": f"Bearer {role}"},
        )
        context.set_default_timeout(15_000)
        page = context.new_page()
        seen = Seen(page, self.address)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("console", lambda said: seen.errors.append(said.text) if said.type == "error" else None)
        return seen


@pytest.fixture
def full_page(full_api: Api, browser: Browser) -> Iterator[Visits]:
    """With weeks of work and every kind of trouble."""
    with served(full_api) as address:
        yield Visits(browser, address)


@pytest.fixture
def empty_page(empty_api: Api, browser: Browser) -> Iterator[Visits]:
    """In which nothing has happened yet."""
    with served(empty_api) as address:
        yield Visits(browser, address)
