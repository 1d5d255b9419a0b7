"""The page in a real headless browser: content, order, refresh, console, accessible names, phone width.

The browser is the system's Chromium; where there is none, Playwright's own.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gizzi_api.settings import Settings
from playwright.sync_api import Browser, Page, expect, sync_playwright
from recorded_prometheus import THRESHOLDS, Upstream
from served import served

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def settings() -> Settings:
    return Settings(
        validators=[{"number": number, "name": f"validator{number:02d}"} for number in range(1, 22)],
        thresholds=THRESHOLDS,
        cache_seconds=0.1,
        page_refresh_seconds=1,
    )


@pytest.fixture
def upstream() -> Upstream:
    return Upstream("faults")


@pytest.fixture
def url(settings: Settings, upstream: Upstream) -> Iterator[str]:
    with served(settings, upstream) as url:
        yield url


@pytest.fixture
def opened(browser: Browser, url: str) -> Iterator[Callable[..., Page]]:
    """Open the page at a size; at the end nothing may be on the console and nothing asked for elsewhere."""
    said: list[str] = []
    asked: list[str] = []
    pages: list[Page] = []

    def open_page(width: int = 1280, height: int = 900, path: str = "/") -> Page:
        page = browser.new_page(viewport={"width": width, "height": height})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url + path)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert said == []
    assert [one for one in asked if not one.startswith(url)] == []


def names(page: Page) -> list[str]:
    return page.locator("tbody th a").all_text_contents()


def test_content_and_order(opened: Callable[..., Page]) -> None:
    page = opened()
    expect(page).to_have_title(
        "21 validators: 1 offline, 2 isolated, 2 lagging, 2 unknown, 1 syncing, 13 healthy · Gizzi network"
    )
    assert names(page)[:8] == [f"validator{number:02d}" for number in (1, 3, 21, 7, 2, 5, 6, 4)]
    assert len(names(page)) == 21
    expect(page.get_by_role("row", name="validator03")).to_contain_text("0 peers (needs 3)")
    # A line was really drawn, as large as it should be.
    box = page.locator("svg.spark").first.bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == (120, 24)
    stroke = page.locator("svg.spark path").first.evaluate("path => getComputedStyle(path).stroke")
    assert stroke not in ("none", "")


def test_it_renews_itself_and_keeps_the_focus(opened: Callable[..., Page], upstream: Upstream) -> None:
    page = opened()
    page.get_by_role("link", name="validator05").focus()
    upstream.play("sound")
    expect(page.get_by_role("status")).to_have_text("21 validators: 21 healthy", timeout=5000)
    expect(page).to_have_title("21 validators: 21 healthy · Gizzi network")
    assert names(page) == [f"validator{number:02d}" for number in range(1, 22)]
    expect(page.get_by_role("link", name="validator05")).to_be_focused()


def test_a_prometheus_that_is_gone_is_said(opened: Callable[..., Page], upstream: Upstream) -> None:
    page = opened()
    upstream.down = True
    expect(page.locator(".warning")).to_contain_text("Prometheus cannot be reached", timeout=5000)


def test_an_api_that_is_gone_is_said_and_what_is_old_fades(
    browser: Browser, settings: Settings, upstream: Upstream
) -> None:
    with served(settings, upstream) as url:
        page = browser.new_page()
        page.goto(url)
        expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.get_by_role("alert")).to_have_text("No answer from the API: what is shown is old.", timeout=5000)
    expect(page.locator("body")).to_have_class("old")
    page.close()


def test_names_and_roles_for_a_screen_reader(opened: Callable[..., Page]) -> None:
    for width in (1280, 390):
        page = opened(width=width)
        assert page.locator("html").get_attribute("lang") == "en"
        expect(page.get_by_role("heading", level=1, name="Gizzi network")).to_be_visible()
        expect(page.get_by_role("table", name="Validators, those that need attention first")).to_be_visible()
        # Also where the table is laid out as cards.
        assert page.get_by_role("columnheader").count() == 9
        assert page.get_by_role("row").count() == 22
        assert page.get_by_role("rowheader").count() == 21
        assert page.get_by_role("cell", name="offline", exact=False).count() == 1
        charts = page.get_by_role("row", name="validator09").get_by_role("img")
        spoken = [charts.nth(place).get_attribute("aria-label") or "" for place in range(charts.count())]
        assert [text.split(":")[0] for text in spoken] == ["Block height of the last hour", "Peers of the last hour"]
        for link in page.get_by_role("link").all():
            assert link.text_content()


# A phone, a tablet, and both sides of the width at which the table becomes cards.
@pytest.mark.parametrize("width", [360, 1000, 1248, 1256])
@pytest.mark.parametrize("path", ["/", "/docs"])
def test_no_width_needs_scrolling_sideways(opened: Callable[..., Page], path: str, width: int) -> None:
    page = opened(width=width, height=740, path=path)
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("width", [360, 400, 1256, 1400])
def test_hostile_names_are_text_and_fit(browser: Browser, settings: Settings, upstream: Upstream, width: int) -> None:
    names = {
        1: "<img src=/none onerror=document.title=1>",
        3: "\u202eexe.txt\x1b[2J\U000e0041",
        5: "x" * 64,
    }
    listed = [one.model_copy(update={"name": names.get(one.number, one.name)}) for one in settings.validators]
    with served(settings.model_copy(update={"validators": tuple(listed)}), upstream) as url:
        page = browser.new_page(viewport={"width": width, "height": 740})
        page.goto(url)
        shown = page.locator("tbody th a").all_text_contents()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.locator("main img").count() == 0
        page.close()
    assert {names[1], "\\u202eexe.txt\\x1b[2J\\U000e0041", names[5]} < set(shown)


def test_contrast_is_enough(opened: Callable[..., Page]) -> None:
    """WCAG AA: 4.5 to 1 for every colour of text against its background, light and dark."""
    script = Path(__file__).with_name("contrast.js").read_text()
    page = opened()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(script) == []


def test_the_page_works_without_its_script(browser: Browser, url: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(url)
    assert len(names(page)) == 21
    # It renews itself all the same.
    expect(page.locator("meta[http-equiv=refresh]")).to_have_attribute("content", "1")
    context.close()
