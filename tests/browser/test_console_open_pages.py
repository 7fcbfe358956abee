"""Pages of the console that are open while what they show, or the session, comes to its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

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


def test_form_that_followed_a_change_still_previews(chromium: Browser, shop: RunningServer) -> None:
    """And the cursor is where it was: the field of the new state has it."""
    shop.put("/v1/rollouts/followed", {"share": 0.1})
    with opened_console(chromium, shop, scope="merchandiser") as page:
        page.goto(f"{shop.address}/console/rollouts/followed")
        share = page.get_by_label("Share of the people who are treated", exact=True)
        share.focus()
        shop.call("PATCH", "/v1/rollouts/followed", {"share": 0.2}, scope="admin")
        expect(share).to_have_value("20")
        expect(share).to_be_focused()
        share.fill("40")
        expect(page.locator("#reach")).to_contain_text("people seen in the last 30 days")
    shop.call("DELETE", "/v1/rollouts/followed", scope="admin")


def test_keyboard_stays_where_it_is_while_a_page_follows(
    chromium: Browser, shop: RunningServer
) -> None:
    """On the first link of a part, on a table that scrolls, and on the button of its own line."""
    for key in ("b", "c"):
        shop.put(f"/v1/rollouts/{key}", {"share": 0.1})
    with opened_console(chromium, shop, scope="merchandiser") as page:
        page.goto(f"{shop.address}/console/rollouts/b")
        link = page.get_by_role("link", name="How long will it take")
        with _drawn_anew(page, "report", link):
            shop.put("/v1/rollouts/d", {"share": 0.1})
        page.goto(f"{shop.address}/console/rollouts/b")
        with _drawn_anew(page, "history", page.get_by_role("group", name="History")):
            shop.call("DELETE", "/v1/rollouts/d", scope="admin")
        page.goto(f"{shop.address}/console/rollouts")
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name="c", exact=True))
        with _drawn_anew(page, "rollouts", row.get_by_role("button", name="Kill")):
            shop.put("/v1/rollouts/a", {"share": 0.1})
    for key in ("a", "b", "c"):
        shop.call("DELETE", f"/v1/rollouts/{key}", scope="admin")


@contextmanager
def _drawn_anew(page: Page, part: str, focused: Locator) -> Iterator[None]:
    """Have a part of a page follow a change, and see that the focus is in the new one."""
    focused.focus()
    page.evaluate("id => { document.getElementById(id).dataset.before = '1'; }", part)
    yield
    expect(page.locator(f"#{part}[data-before]")).to_have_count(0)
    expect(focused).to_be_focused()


def test_question_is_about_what_stood_there(chromium: Browser, shop: RunningServer) -> None:
    """What others change while it is open is drawn after the answer, which does what it says."""
    first = {**HIDE, "name": "First"}
    shop.put("/v1/rules/asked", first)
    shop.put("/v1/rules/asked", {**HIDE, "name": "Second"})
    with opened_console(chromium, shop, scope="merchandiser") as page:
        page.goto(f"{shop.address}/console/rules/asked")
        page.get_by_role("button", name="Go back to this").click()
        with page.expect_response("**/console/rules/asked"):
            shop.put("/v1/rules/other", HIDE)
        page.evaluate("new Promise((done) => setTimeout(done))")
        page.get_by_role("dialog").get_by_role("button", name="Go back to this").click()
        expect(page.get_by_role("status")).to_contain_text("It is as it was")
    assert shop.call("GET", "/v1/rules/asked", scope="admin").json()["name"] == "First"
    for rule in ("asked", "other"):
        shop.call("DELETE", f"/v1/rules/{rule}", scope="admin")


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
