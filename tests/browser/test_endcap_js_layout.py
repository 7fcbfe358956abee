"""`endcap.js` in Chromium: what it draws moves nothing, and what is hidden takes no items."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, Request

from tests.browser.shop_page import opened
from tests.end_to_end.running_server import RunningServer, eventually

pytestmark = [pytest.mark.browser, pytest.mark.untimed]

# The page's policy forbids HTML in texts, so elements are made one by one.
MAKE = """
const make = (tag, style, ...inside) => {
  const made = document.createElement(tag);
  made.style.cssText = style;
  made.append(...inside);
  return made;
};
const slot = (style, ...inside) => {
  const template = make("template", ""), shown = make("a", "");
  shown.className = "new";
  shown.dataset.endcapText = "id";
  template.content.append(shown);
  const made = make("div", style, template, ...inside);
  made.dataset.endcapPlacement = "low";
  return made;
};
const old = () => make("p", "margin: 16px 0", "Written by the merchandiser");
"""
BLOCK = 'make("i", "display: block", "before")'
AFTER = 'make("b", "display: block", "after")'
LAYOUTS = {
    "alone": f'make("div", "", {BLOCK}, slot("", old()), {AFTER})',
    "beside smaller margins": """make("div", "", make("p", "margin: 0 0 10px", "before"),
      slot("", old()), make("p", "margin: 10px 0 0", "after"))""",
    "beside larger margins": """make("div", "", make("p", "margin: 0 0 40px", "before"),
      slot("", old()), make("p", "margin: 40px 0 0", "after"))""",
    "with margins of its own": f"""make("div", "", {BLOCK},
      slot("margin: 7px 0 -5px", old()), {AFTER})""",
    "with margins far inside": f"""make("div", "", {BLOCK},
      slot("", make("div", "", make("section", "", old(), old()))), {AFTER})""",
    "at both ends of a section": f"""make("div", "", {BLOCK}, make("section", "",
      slot("", old()), make("p", "display: none", "hidden")), make("footer", "", {AFTER}))""",
    "higher than what is in it": f"""make("div", "", {BLOCK},
      slot("min-height: 60px", old()), {AFTER})""",
    "of one height": f'make("div", "", {BLOCK}, slot("height: 20px", old()), {AFTER})',
    "in a row": f"""make("div", "display: flex; height: 90px; align-items: center",
      {BLOCK}, slot("", old()), {AFTER})""",
    "in a grid": f"""make("div", "display: grid; grid-template-rows: 80px 90px; place-items: end",
      {BLOCK}, slot("", old()), {AFTER})""",
    "out of the flow": f"""make("div", "position: relative; height: 99px", {BLOCK},
      slot("position: absolute; top: 9px", old()), {AFTER})""",
    "the last there is": f'make("div", "", {BLOCK}, slot("", old()))',
}
DRAW = """
  document.body.prepend(root);
  const watched = [...document.querySelectorAll("body *")]
    .filter((one) => !one.parentElement.closest("[data-endcap-placement]"));
  const places = () => watched.flatMap((one) => {
    const { left, top, height } = one.getBoundingClientRect();
    return [left, top, height];
  });
  const before = places();
  await endcap.serve(root);
  const answer = [root.querySelectorAll(".new").length, before, places()];
  root.remove();
  return answer;
"""


def test_margins_and_widths_inside_an_element_move_nothing(
    chromium: Browser, server: RunningServer
) -> None:
    """What stands there before reaches out of the element with its margins, what comes does not."""
    with opened(chromium, server.address, server.keys["publishable"]) as page:
        page.wait_for_selector("#hero .new")
        moved = {}
        for name, layout in LAYOUTS.items():
            script = f"async () => {{ {MAKE} const root = {layout}; {DRAW} }}"
            n_drawn, before, after = page.evaluate(script)
            if n_drawn != 1 or after != pytest.approx(before, abs=0.9):
                moved[name] = (n_drawn, before, after)
        assert moved == {}
        assert page.evaluate("window.errors") == []


def test_row_to_swipe_through_goes_on_scrolling(chromium: Browser, server: RunningServer) -> None:
    """In view, too, where the element keeps its height; one that does not scroll cuts off."""
    with opened(chromium, server.address, server.keys["publishable"]) as page:
        page.wait_for_selector("#hero .new")
        page.evaluate(
            f"""async () => {{
              {MAKE}
              window.row = slot("width: 120px; overflow-x: auto; display: flex", old());
              row.querySelector("template").content.firstChild.style.minWidth = "900px";
              document.body.prepend(row);
              await endcap.serve();
            }}"""
        )
        assert page.evaluate("row.querySelectorAll('.new').length") == 1
        box = page.evaluate("(({ left, top }) => [left + 9, top + 9])(row.getBoundingClientRect())")
        page.mouse.move(*box)
        page.mouse.wheel(200, 0)
        eventually(lambda: page.evaluate("row.scrollLeft") > 0, True)
        assert page.evaluate("getComputedStyle(hero).overflow") == "hidden"
        assert page.evaluate("window.errors") == []


def test_value_that_the_page_writes_is_drawn(chromium: Browser, server: RunningServer) -> None:
    """A template knows no currency: a listener writes the price as people read it."""
    with opened(chromium, server.address, server.keys["publishable"]) as page:
        page.wait_for_selector("#hero .new")
        drawn = page.evaluate(
            f"""async () => {{
              {MAKE}
              const made = slot("", old());
              made.querySelector("template").content.firstChild.dataset.endcapText = "price";
              made.addEventListener("endcap", ({{ detail }}) => {{
                for (const {{ attributes }} of detail.items) attributes.price = "6,50 €";
              }});
              document.body.prepend(made);
              await endcap.serve();
              return [...made.querySelectorAll(".new")].map((one) => one.textContent);
            }}"""
        )
        assert drawn == ["6,50 €"]
        assert page.evaluate("window.errors") == []


def test_hidden_copy_takes_no_items(chromium: Browser, server: RunningServer) -> None:
    """Of a slot that stands twice in the page, for phones and others, the one that shows is asked.

    The other is once it shows. What shows nowhere, as in a closed tab, is asked as ever.
    """
    asked: list[list[str]] = []

    def hear(request: Request) -> None:
        if request.url.endswith("/v1/serve") and request.method == "POST":
            placements: list[dict[str, Any]] = json.loads(request.post_data or "")["placements"]
            asked.append([one["id"] for one in placements])

    with opened(chromium, server.address, server.keys["publishable"]) as page:
        page.wait_for_selector("#hero .new")
        page.on("request", hear)
        page.evaluate(
            f"""async () => {{
              {MAKE}
              window.small = make("div", "display: none", slot("", old()));
              window.large = make("div", "", slot("", old()));
              const tab = make("div", "display: none", slot("", old()));
              tab.firstChild.dataset.endcapPlacement = 'no "where"';
              document.body.prepend(small, large, tab);
              await endcap.serve();
            }}"""
        )
        assert asked == [["low", 'no "where"']]
        drawn = "[small, large].map((one) => one.querySelectorAll('.new').length)"
        assert page.evaluate(drawn) == [0, 1]
        page.evaluate("small.style.display = ''; large.style.display = 'none'; endcap.serve()")
        page.wait_for_selector("a.new >> nth=0")
        assert asked[1:] == [["low"]]
        assert page.evaluate(drawn) == [1, 1]
        assert page.evaluate("window.errors") == []
