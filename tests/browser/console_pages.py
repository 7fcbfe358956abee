"""Looking at the console: signing in, every width and colour scheme, what a checker finds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from playwright.sync_api import Browser, Page

from tests.end_to_end.running_server import RunningServer

AXE_OPTIONS = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
WATCH = """window.broken = [];
addEventListener("error", (e) => window.broken.push(e.message || String(e.target?.src)), true);
addEventListener("unhandledrejection", (e) => window.broken.push(String(e.reason)));
addEventListener("securitypolicyviolation",
  (e) => window.broken.push(`${e.violatedDirective} ${e.blockedURI}`));"""


@dataclass(frozen=True)
class Look:
    """How someone looks at a page."""

    width: int = 1440
    scheme: Literal["light", "dark"] = "light"
    has_script: bool = True
    zone: str | None = None


LOOKS = (Look(360, "light"), Look(1440, "dark"))
"""Both widths and both schemes; all four pairs would find no more and take twice as long."""
ALL_LOOKS = (*LOOKS, Look(360, "dark"), Look(1440, "light"))
"""For pages with drawings of their own, whose colours may fail in one pair alone."""


@contextmanager
def opened_console(
    chromium: Browser,
    server: RunningServer,
    *,
    scope: str | None = "admin",
    look: Look | None = None,
) -> Iterator[Page]:
    """Open the console in a profile of its own, signed in with a key of a scope or not."""
    look = look or Look()
    context = chromium.new_context(
        viewport={"width": look.width, "height": 900},
        color_scheme=look.scheme,
        java_script_enabled=look.has_script,
        reduced_motion="reduce",
        timezone_id=look.zone,
    )
    context.set_default_timeout(8_000)
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(f"{server.address}/console")
    if scope is not None:
        # A click may be over before the page that it leads to is asked for: who goes elsewhere then
        # is not signed in, or comes here after all.
        with page.expect_navigation():
            sign_in(page, server.keys[scope])
    try:
        yield page
    finally:
        context.close()


def sign_in(page: Page, key: str) -> None:
    """Fill in the form."""
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def look_at(page: Page, look: Look) -> None:
    """Look at the same page otherwise."""
    page.set_viewport_size({"width": look.width, "height": 900})
    page.emulate_media(color_scheme=look.scheme)


def assert_accessible(page: Page) -> None:
    """Assert that axe-core finds nothing in the page as it stands."""
    if not page.evaluate("'axe' in window"):  # half a megabyte of script, once for a document
        page.evaluate(AXE_SCRIPT)
    found = AxeResults(page.evaluate("options => axe.run(options)", AXE_OPTIONS))
    assert found.violations_count == 0, found.generate_report()


def assert_sound(page: Page) -> None:
    """Assert that the page fits the window, and that nothing in it failed or was forbidden."""
    page.wait_for_load_state()  # a click does not wait for the page that it leads to
    wide: Any = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide[0] <= wide[1], f"{page.url} is {wide[0]} wide in a window of {wide[1]}"
    broken = page.evaluate("window.broken ?? []")
    assert broken == [], broken


def assert_fit_for_all(page: Page, looks: tuple[Look, ...] = LOOKS) -> None:
    """Assert the above narrow and light, wide and dark, or in other looks."""
    for look in looks:
        look_at(page, look)
        assert_sound(page)
        assert_accessible(page)
    look_at(page, Look())
