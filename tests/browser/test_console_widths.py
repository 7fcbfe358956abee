"""The console in the windows of small laptops: nothing is cut, and no field lies over another."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.browser.console_pages import Look, look_at, opened_console
from tests.end_to_end.running_server import RunningServer

pytestmark = pytest.mark.browser

LISTS = ("catalogue", "rollouts", "placements", "rules", "banners", "models")
FORMS = ("preview", "rules/new", "banners/new", "rollouts/home_recs/edit", "layers/new")
CUT = """() => [...document.querySelectorAll(".table-wrap")]
  .filter((one) => one.scrollWidth > one.clientWidth + 1)
  .map((one) => `${one.getAttribute("aria-label")}: ${one.scrollWidth} in ${one.clientWidth}`)"""
STICKS_OUT = """() => [...document.querySelectorAll(".field input, .field select, .field textarea")]
  .filter((one) => one.getBoundingClientRect().width && one.getBoundingClientRect().right >
    one.closest(".field").getBoundingClientRect().right + 1)
  .map((one) => one.name)"""
UNDER = """() => {
  const one = document.activeElement, menu = document.querySelector(".side");
  const top = one.getBoundingClientRect().top;
  return !menu.contains(one) && top < menu.getBoundingClientRect().bottom && one.id + one.name;
}"""
LONG = "Sommerschlussverkauf" * 15


@pytest.mark.parametrize("width", [1024, 1280])
def test_lists_and_forms_fit(chromium: Browser, shop: RunningServer, width: int) -> None:
    """A banner whose title is one word of 300 letters, too."""
    shop.put("/v1/banners/long", {"title": LONG, "image_url": "/i.png", "link_url": "/l"})
    shop.put("/v1/rules/any", {"action": "hide", "select": {"item_ids": ["nothing"]}})
    with opened_console(chromium, shop) as page:
        look_at(page, Look(width))
        for path in LISTS:
            page.goto(f"{shop.address}/console/{path}")
            assert page.evaluate(CUT) == [], path
        for path in FORMS:
            page.goto(f"{shop.address}/console/{path}")
            assert page.evaluate(STICKS_OUT) == [], path
    shop.call("DELETE", "/v1/banners/long", scope="admin")
    shop.call("DELETE", "/v1/rules/any", scope="admin")


def test_focus_does_not_go_under_the_menu(chromium: Browser, shop: RunningServer) -> None:
    """In a narrow window the menu stays on top; nothing that has the focus hides behind it."""
    with opened_console(chromium, shop) as page:
        look_at(page, Look(480))
        page.goto(f"{shop.address}/console/rules/new")
        page.get_by_role("link", name="Cancel").focus()
        hidden = []
        for _ in range(30):
            page.keyboard.press("Shift+Tab")
            hidden.append(page.evaluate(UNDER))
        assert not any(hidden), hidden
