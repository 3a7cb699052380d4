"""Every view, full and empty, dark and light, at every size; readable by everybody, with hostile names and without."""

import pytest
from playwright.sync_api import expect

from include.access.roles import Role
from tests.api.conftest import Api
from tests.page.browser.conftest import Seen, Visits
from tests.page.seeded import Seeds

pytestmark = pytest.mark.slow

RUN = "scheduled__2026-11-20T10%3A00%3A00%2B00%3A00"
VIEWS = {
    "flow": "CCAT observatory",
    "packages": "primecam_eorspec",
    "package/package%3A75": "Why it is where it is",
    "places": "ccat_source",
    "filings": "17/rfsoc02/1700000001_003.g3",
    "deletions": "May this go from us_buffer?",
    "staging?job=1": "StagingJob 1",
    "plots": "primecam",
    f"run/transfer/{RUN}": "Pulled",
}
HOSTILE = (
    '<img src=x onerror="window.hacked = 1"><script>window.hacked = 1</script>',
    "\u202egpj.exe_\u202d right to left \u05e9\u05dc\u05d5\u05dd",
    "long_" * 800,
    "javascript:window.hacked=1",
)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_view_in_trouble_shows_it_and_keeps_nobody_out(full_page: Visits, theme: str) -> None:
    seen = full_page.visit(dark=theme == "dark")
    barriers = []
    for view, words in VIEWS.items():
        seen.go(view)
        expect(seen.page.locator("main")).to_contain_text(words)
        assert seen.page.locator("html").get_attribute("data-theme") == theme
        if view == "plots":
            expect(seen.page.locator("canvas")).to_have_count(4)
        assert not seen.is_too_wide(), view
        seen.shot(f"{view.split('/')[0].split('?')[0]}_{theme}")
        barriers += [f"{view}: {found}" for found in seen.barriers()]
    assert not barriers, "\n".join(barriers)
    assert seen.errors == []


def test_a_failure_is_seen_at_once(full_page: Visits) -> None:
    seen = full_page.visit()
    seen.go("flow")
    tile = seen.page.locator(".tile.failed")
    expect(tile).to_contain_text("1")
    assert tile.evaluate("tile => getComputedStyle(tile).backgroundColor") == "rgb(196, 28, 43)"
    expect(seen.page.locator(".list.bad")).to_contain_text("1 packaging failed at ccat_source")
    expect(seen.page).to_have_title("(1 failed) Data transfer")


def test_every_view_when_nothing_has_happened_says_so(empty_page: Visits) -> None:
    seen = empty_page.visit()
    for view, words in {
        "flow": "nothing needs a person",
        "packages": "No package fits.",
        "places": "not measured",
        "filings": "No filing fits.",
        "deletions": "The brake asks nothing",
        "staging": "Nobody has asked for anything.",
        "plots": "Nothing yet.",
        "run/transfer/x": "has touched no data",
        "package/nothing": "There is no package",
    }.items():
        seen.go(view)
        expect(seen.page.locator("main")).to_contain_text(words)
        seen.shot(f"{view.split('/')[0]}_empty")
    assert [error for error in seen.errors if "404" not in error] == []


@pytest.mark.parametrize(("width", "height"), [(320, 256), (390, 844), (3840, 2160)])
def test_every_view_fits_from_400_percent_zoom_and_a_phone_to_a_wall(
    full_page: Visits, width: int, height: int
) -> None:
    seen = full_page.visit(width=width, height=height)
    for view, words in VIEWS.items():
        seen.go(view)
        expect(seen.page.locator("main")).to_contain_text(words)
        seen.shot(f"{view.split('/')[0].split('?')[0]}_{width}")
        assert not seen.is_too_wide(), f"{view} at {width}"


def test_hostile_names_are_shown_and_do_no_harm(full_page: Visits, full_api: Api) -> None:
    with full_api.engine.begin() as connection:
        seeds = Seeds(connection)
        for number, name in enumerate(HOSTILE):
            observation = seeds.observation(900 + number)
            package = seeds.package(
                name, observation, state="failed", files=(f"{name[:200]}/x.g3",), at=("ccat_buffer",)
            )
            seeds.operation(
                "packaging",
                "ccat_source",
                status="failed",
                explanation=f"{name} could not be read.",
                raw_data_package_id=package,
            )
            seeds.filing(
                observation, state="refused", verdict=f"Refused: {name}", received_from=name[:100], size_bytes=number
            )
    seen = full_page.visit(width=1000)
    for view in ("packages", "filings", "flow", *(f"package/package%3A{84 + number}" for number in range(4))):
        seen.go(view)
        expect(seen.page.locator("main")).to_contain_text("refused" if view == "filings" else "failed")
        assert not seen.is_too_wide(), view
        seen.shot(f"hostile_{view.replace('/', '_').replace('%', '')}")
    seen.page.locator("details.section summary").click()
    expect(seen.page.locator(".rows .body")).to_contain_text("x.g3")
    assert seen.page.evaluate("window.hacked") is None
    assert seen.page.locator("main img, main script").count() == 0
    assert seen.errors == []


def test_it_can_be_used_with_the_keyboard_alone(full_page: Visits) -> None:
    seen = full_page.visit()
    seen.go("flow")
    seen.page.keyboard.press("Tab")
    expect(seen.page.locator(".skip")).to_be_focused()
    seen.page.keyboard.press("Tab")
    seen.page.keyboard.press("Tab")
    expect(seen.page.get_by_role("link", name="Packages")).to_be_focused()
    seen.page.keyboard.press("Enter")
    expect(seen.page.locator("main")).to_contain_text("primecam_eorspec")
    seen.page.locator("input[name=q]").focus()
    seen.page.keyboard.type("operation:38")
    expect(seen.page.locator("main .panel h2")).to_contain_text("Operation 38")
    expect(seen.page.locator(".rows .body .row")).to_have_count(1)


def test_each_role_sees_the_buttons_that_it_may_use_and_no_others(full_page: Visits) -> None:
    for role in set(Role) - {Role.INSTRUMENT}:
        sees_its_buttons(full_page.visit(role), role)
    instrument = full_page.visit(Role.INSTRUMENT)
    instrument.page.goto(f"{instrument.address}/page/")
    expect(instrument.page.locator("main")).to_contain_text("your account may not see it")


def sees_its_buttons(seen: Seen, role: Role) -> None:
    operates, stages = role in {Role.OPERATOR, Role.ADMIN}, role is not Role.VIEWER
    seen.go("package/package%3A75")
    expect(seen.page.locator("main")).to_contain_text("Why it is where it is")
    assert seen.page.get_by_role("button", name="Retry …").is_visible() is operates
    assert seen.page.get_by_role("button", name="Pin …").is_visible() is operates
    seen.go("deletions")
    expect(seen.page.locator("main")).to_contain_text("May this go from us_buffer?")
    assert seen.page.get_by_role("button", name="Approve …").is_visible() is operates
    seen.go("staging?job=1")
    expect(seen.page.locator("main")).to_contain_text("StagingJob 1 of jane")
    assert seen.page.get_by_role("button", name="Ask …").is_visible() is stages
    assert seen.page.get_by_role("button", name="Release …").is_visible() is operates
