"""Getting into the console, and being kept out of it."""

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.console_pages import Look, assert_fit_for_all, opened_console, sign_in
from tests.end_to_end.running_server import RunningServer

pytestmark = pytest.mark.browser


def test_signing_in_and_out(chromium: Browser, shop: RunningServer) -> None:
    """A wrong key is told so and may try again; signing out ends it."""
    with opened_console(chromium, shop, scope=None) as page:
        assert_fit_for_all(page)
        sign_in(page, "wrong")
        expect(page.get_by_role("alert")).to_contain_text("unknown or was revoked")
        sign_in(page, shop.keys["publishable"])
        expect(page.get_by_role("alert")).to_contain_text("publishable key")
        sign_in(page, shop.keys["merchandiser"])
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.goto(f"{shop.address}/console")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_over_session_leads_back_to_where_one_was(chromium: Browser, shop: RunningServer) -> None:
    """A cookie that does not hold asks for the key, then shows the page that was asked for."""
    with opened_console(chromium, shop) as page:
        page.goto(f"{shop.address}/console?tab=2")
        [cookie] = page.context.cookies()
        page.context.add_cookies(
            [
                {
                    "name": str(cookie.get("name")),
                    "value": f"{cookie.get('value')}x",
                    "domain": cookie.get("domain"),
                    "path": "/console",
                }
            ]
        )
        page.reload()
        expect(page.get_by_text("Your session is over")).to_be_visible()
        sign_in(page, shop.keys["admin"])
        expect(page).to_have_url(f"{shop.address}/console?tab=2")


def test_signing_in_needs_no_script(chromium: Browser, shop: RunningServer) -> None:
    """The form is a form."""
    with opened_console(chromium, shop, look=Look(has_script=False)) as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_unknown_address_is_a_page(chromium: Browser, shop: RunningServer) -> None:
    """With the way back."""
    with opened_console(chromium, shop) as page:
        page.goto(f"{shop.address}/console/nothing")
        expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")
        assert_fit_for_all(page)
        page.get_by_role("link", name="Go to the overview").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
