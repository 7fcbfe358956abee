"""Pages of the console that are open while what they show, or the session, comes to its end."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.console_pages import opened_console, sign_in
from tests.end_to_end.running_server import RunningServer

pytestmark = pytest.mark.browser
HIDE = {"action": "hide", "select": {"item_ids": ["p00001"]}, "name": "Short"}


def test_open_form_of_a_deleted_rule_says_so(chromium: Browser, shop: RunningServer) -> None:
    """At once, and again when it is sent: it is made again only by whoever says so."""
    shop.put("/v1/rules/short", HIDE)
    with opened_console(chromium, shop, scope="merchandiser") as page:
        page.goto(f"{shop.address}/console/rules/short")
        page.get_by_label("Name (optional)", exact=True).fill("Mine")
        shop.call("DELETE", "/v1/rules/short", scope="admin")
        expect(page.get_by_role("alert")).to_contain_text("Somebody deleted this")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("so nothing was saved")).to_be_visible()
        assert "short" not in str(shop.call("GET", "/v1/rules", scope="admin").json()["rules"])
        page.get_by_role("button", name="Make it again").click()
        expect(page.get_by_label("Name (optional)", exact=True)).to_have_value("Mine")
    shop.call("DELETE", "/v1/rules/short", scope="admin")


def test_open_page_of_a_deleted_rollout_says_so(chromium: Browser, shop: RunningServer) -> None:
    """A page that nothing was typed into, too."""
    shop.put("/v1/rollouts/short", {"share": 0.1})
    with opened_console(chromium, shop, scope="merchandiser") as page:
        page.goto(f"{shop.address}/console/rollouts/short")
        shop.call("DELETE", "/v1/rollouts/short", scope="admin")
        expect(page.get_by_text("Somebody deleted this").first).to_be_visible()


def test_form_outlives_its_session(chromium: Browser, shop: RunningServer) -> None:
    """It says that the session has ended; signed in again elsewhere, what was typed is sent."""
    shop.put("/v1/rules/kept", HIDE)
    with opened_console(chromium, shop, scope="merchandiser") as page:
        page.goto(f"{shop.address}/console/rules/kept")
        page.get_by_label("Name (optional)", exact=True).fill("Typed")
        page.context.clear_cookies()
        _look_again(page)
        expect(page.get_by_text("Your session has ended")).to_be_visible()
        expect(page.get_by_text("The server does not answer")).to_be_hidden()
        page.get_by_role("button", name="Save").click()
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="sign in in another tab").click()
        sign_in(opened.value, shop.keys["merchandiser"])
        expect(opened.value.get_by_role("heading", level=1)).to_have_text("Overview")
        _look_again(page)
        expect(page.get_by_text("Your session has ended")).to_be_hidden()
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("status")).to_contain_text("Saved")
    assert shop.call("GET", "/v1/rules/kept", scope="admin").json()["name"] == "Typed"
    shop.call("DELETE", "/v1/rules/kept", scope="admin")


def test_form_without_preview_outlives_its_session(chromium: Browser, shop: RunningServer) -> None:
    """Nothing told of the end before it was sent: what was typed stays, and is sent afterwards."""
    with opened_console(chromium, shop, scope="merchandiser") as page:
        page.clock.install()
        page.goto(f"{shop.address}/console/layers/new")
        page.get_by_label("Name (optional)", exact=True).fill("Typed")
        page.context.clear_cookies()
        page.clock.fast_forward("02:00")
        page.get_by_role("button", name="Make the layer").click()
        expect(page.get_by_text("Your session has ended")).to_be_visible()
        expect(page.get_by_label("Name (optional)", exact=True)).to_have_value("Typed")
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="sign in in another tab").click()
        sign_in(opened.value, shop.keys["merchandiser"])
        expect(opened.value.get_by_role("heading", level=1)).to_have_text("Overview")
        page.get_by_role("button", name="Make the layer").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Typed")
    deleted = shop.call("DELETE", "/v1/layers/typed", scope="admin")
    assert deleted.status_code == 204


def _look_again(page: Page) -> None:
    """Do as a browser does when one comes back to the tab."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
