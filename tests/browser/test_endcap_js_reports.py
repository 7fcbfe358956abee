"""`endcap.js` in Chromium: each report once, of what was shown, from whatever browser it is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response, Route

from tests.browser.shop_page import SETTLE, opened
from tests.end_to_end.running_server import RunningServer, eventually

pytestmark = [pytest.mark.browser, pytest.mark.untimed]

FILL_STORAGE = """let text = "x".repeat(1 << 20);
while (text) {
  try { localStorage.setItem(Math.random(), text); } catch { text = text.slice(text.length / 2); }
  if (text.length === 1) text = "";
}"""
ASK_AGAIN = """(slot) => {
  slot.removeAttribute("data-endcap-asked");
  return endcap.serve();
}"""
HIDE = """(isHidden) => {
  Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def hold_reports(page: Page) -> None:
    """Let what is reported wait in the page, in which time only passes when it is told to."""
    page.context.route("**/v1/events*", lambda route: route.abort())
    page.clock.install(time=0)
    page.clock.pause_at(60_000)


def hold_and(script: str) -> Callable[[Page], None]:
    """Hold the reports of a page in which a script runs first."""

    def set_up(page: Page) -> None:
        hold_reports(page)
        page.add_init_script(script)

    return set_up


def waiting(page: Page) -> list[dict[str, Any]]:
    """Return what waits to be sent."""
    found: list[dict[str, Any]] = json.loads(page.evaluate("localStorage.endcap_queue || '[]'"))
    return found


def clicked(page: Page) -> list[str]:
    """Return what was clicked, of what waits."""
    return [one["banner_id"] for one in waiting(page) if one["event"] == "click"]


def told_of(page: Page, grade: str) -> list[str]:
    """Return the exposures that came so far, of what waits."""
    return [one["exposure_id"] for one in waiting(page) if one.get("grade") == grade]


def answer_with(*titles: str) -> Callable[[Route], None]:
    """Answer each call for a page with the next title, as an exposure of the same name."""
    left = iter(titles)

    def answer(route: Route) -> None:
        title = next(left)
        shown = {"id": "b", "title": title, "link_url": "#b"}
        slate = {"id": "hero", "exposure_id": title, "kind": "banners", "banners": [shown]}
        headers = {"access-control-allow-origin": "*"}
        route.fulfill(body=json.dumps({"placements": [slate]}), headers=headers)

    return answer


def n_stored(home: Path, item_id: str) -> int:
    """Count the events about an item."""
    with sqlite3.connect(home / "events.sqlite") as connection:
        query = "SELECT count(*) FROM events WHERE item_id = ?"
        found: int = connection.execute(query, (item_id,)).fetchone()[0]
        return found


def test_each_way_to_follow_a_link_is_a_click(chromium: Browser, server: RunningServer) -> None:
    """Left and middle button, with a key, and Enter; the right button opens a menu."""
    # A tab that opens would send what waits, for the queue is one.
    stay = """for (const kind of ["click", "auxclick"])
      addEventListener(kind, (event) => event.preventDefault());"""
    key = server.keys["publishable"]
    with opened(chromium, server.address, key, hold_and(stay)) as page:
        hero = page.locator("#hero .new")
        hero.click()
        hero.click(button="middle")
        hero.click(modifiers=["ControlOrMeta"])
        hero.press("Enter")
        assert clicked(page) == ["sale"] * 4
        hero.click(button="right")
        assert clicked(page) == ["sale"] * 4


def test_element_asked_again_reports_its_new_slate_only(
    chromium: Browser, server: RunningServer
) -> None:
    """What was drawn over is not seen any more, and a click is one click, on what stands there."""

    def set_up(page: Page) -> None:
        hold_reports(page)
        page.route("**/v1/serve", answer_with("first", "second"))

    with opened(chromium, server.address, server.keys["publishable"], set_up) as page:
        page.wait_for_selector("#hero .new")
        page.evaluate(SETTLE)
        page.clock.run_for(900)
        page.locator("#hero").evaluate(ASK_AGAIN)
        page.locator("#hero .new[title=second]").click()
        page.clock.run_for(2_000)
        told = [(one.get("grade", one["event"]), one["exposure_id"]) for one in waiting(page)]
        assert told == [
            ("rendered", "first"),
            ("rendered", "second"),
            ("click", "second"),
            ("viewable", "second"),
        ]


def test_late_answer_of_an_earlier_call_is_not_drawn(
    chromium: Browser, server: RunningServer
) -> None:
    """A page for somebody who withdrew consent is not drawn over by the one from before."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    key = server.keys["publishable"]
    with opened(chromium, server.address, key, hold_reports) as page:
        page.wait_for_selector("#hero .new")
        page.route("**/v1/serve", hold)
        for name in ("early", "late"):
            page.locator("#hero").evaluate(f"(slot) => {{ window.{name} = ({ASK_AGAIN})(slot); }}")
        eventually(lambda: (page.title(), len(held))[1], 2)
        for name, route in (("late", held[1]), ("early", held[0])):
            answer_with(name)(route)
            page.evaluate(f"window.{name}")
        assert page.locator("#hero b").text_content() == "late"
        assert told_of(page, "rendered")[2:] == ["late"]


def test_time_in_a_hidden_tab_is_not_seen(chromium: Browser, server: RunningServer) -> None:
    """Shown for .9 s, then hidden for a minute: viewable a second after it is shown again."""
    key = server.keys["publishable"]
    with opened(chromium, server.address, key, hold_reports) as page:
        page.wait_for_selector("#hero .new")
        page.evaluate(SETTLE)
        seen = []
        for is_hidden, for_ms in ((False, 900), (True, 60_000), (False, 900), (False, 200)):
            page.evaluate(HIDE, is_hidden)
            page.clock.run_for(for_ms)
            seen.append(len(told_of(page, "viewable")))
        assert seen == [0, 0, 0, 1]


def test_hidden_tab_sends_a_beacon(chromium: Browser, server: RunningServer) -> None:
    """A tab that is put away may never come back, so what waits goes out before its turn, once."""
    sent: list[str] = []
    key = server.keys["publishable"]
    with opened(chromium, server.address, key, hold_reports) as page:
        page.wait_for_selector("#hero .new")
        page.on("request", lambda one: sent.append(f"{one.resource_type} {one.post_data}"))
        page.evaluate("endcap.track({ event: 'view', item_id: 'put away' })")
        for is_hidden in (True, False):
            page.evaluate(HIDE, is_hidden)
        # This is asked after whatever the script sends on its own.
        page.evaluate("fetch(document.querySelector('script').src).then((one) => one.text())")
        beacons = [one for one in sent if one.startswith("ping ")]
        assert [one.count("put away") for one in beacons] == [1]


def test_page_drawn_ahead_asks_when_somebody_comes(
    chromium: Browser, server: RunningServer
) -> None:
    """A prerendered page that nobody opens has asked for nothing and drawn nothing."""
    ahead = "Object.defineProperty(document, 'prerendering', { value: true, configurable: true });"
    asked: list[str] = []

    def set_up(page: Page) -> None:
        hold_and(ahead)(page)
        page.on("request", lambda one: asked.append(one.url))

    with opened(chromium, server.address, server.keys["publishable"], set_up) as page:
        # This is asked after whatever the script asks for on its own.
        page.evaluate("fetch(document.querySelector('script').src).then((one) => one.text())")
        assert not [url for url in asked if url.endswith("/v1/serve")]
        page.evaluate("""Object.defineProperty(document, "prerendering", { value: false });
          document.dispatchEvent(new Event("prerenderingchange"))""")
        page.wait_for_selector("#hero .new")
        assert len(told_of(page, "rendered")) == 2


def test_full_storage_loses_neither_reports_nor_the_visitor(
    chromium: Browser, server: RunningServer, home: Path
) -> None:
    """Where a shop has filled the storage, memory holds what waits and who the visitor is."""
    sent: list[dict[str, Any]] = []

    def note(route: Route) -> None:
        sent.extend(json.loads(route.request.post_data or "[]"))
        route.continue_()

    def set_up(page: Page) -> None:
        page.add_init_script(FILL_STORAGE)
        page.route("**/v1/events*", note)

    key = server.keys["publishable"]
    with opened(chromium, server.address, key, set_up, options="") as page:
        page.wait_for_selector("#hero .new")
        assert page.evaluate("localStorage.endcap_visitor") is None
        page.evaluate("for (const n of '12') endcap.track({event: 'view', item_id: 'full'})")
        eventually(lambda: (page.title(), n_stored(home, "full"))[1], 2)
        assert len({one["anonymous_id"] for one in sent}) == 1


def test_other_tab_that_writes_at_once_loses_nothing(
    chromium: Browser, server: RunningServer, home: Path
) -> None:
    """What a second tab saves without having read what was just tracked leaves it in its own."""
    key = server.keys["publishable"]
    with opened(chromium, server.address, key) as page:
        page.evaluate("""endcap.track({ event: "view", item_id: "beside" });
          localStorage.endcap_queue = "[]";""")
        eventually(lambda: n_stored(home, "beside"), 1)
        eventually(lambda: page.evaluate("localStorage.endcap_queue"), "[]")


def test_older_browser_is_served_and_clicks(chromium: Browser, server: RunningServer) -> None:
    """What Safari 15 and Chrome 100 lack costs at most what it is about."""
    lacking = "delete AbortSignal.timeout; delete window.IntersectionObserver;"
    key = server.keys["publishable"]
    with opened(chromium, server.address, key, hold_and(lacking)) as page:
        page.locator("#hero .new").click()
        assert len(told_of(page, "rendered")) == 2
        assert clicked(page) == ["sale"]


def test_odd_events_do_not_hold_up_others(
    chromium: Browser, server: RunningServer, home: Path
) -> None:
    """One too large to outlive the page, two that are none, and one whose id is undefined."""

    def set_up(page: Page) -> None:
        page.add_init_script("localStorage.endcap_queue ||= '[null]';")

    with opened(chromium, server.address, server.keys["publishable"], set_up) as page:
        page.evaluate("""for (const item_id of ["x".repeat(70_000), 1n, "odd"])
          endcap.track({ event: "view", item_id, event_id: undefined })""")
        eventually(lambda: n_stored(home, "odd"), 1)
        eventually(lambda: page.evaluate("localStorage.endcap_queue"), "[]")


def test_page_about_many_items_is_served(chromium: Browser, server: RunningServer) -> None:
    """Of 150 items of a listing the first hundred are told, which is what a page may be about."""
    many = " ".join(f"i{n}" for n in range(150))
    key = server.keys["publishable"]
    with opened(
        chromium, server.address, key, hold_reports, options=f'data-items="{many}"'
    ) as page:
        page.wait_for_selector("#hero .new")


def test_page_of_more_elements_than_a_call_takes_is_served(
    chromium: Browser, server: RunningServer
) -> None:
    """All are asked for, fifty at a time; one that names no placement stops none of them."""
    asked: list[str] = []
    statuses: list[int] = []

    def hear(response: Response) -> None:
        if response.url.endswith("/v1/serve"):
            sent = json.loads(response.request.post_data or "")
            asked.extend(one["id"] for one in sent["placements"])
            statuses.append(response.status)

    with opened(chromium, server.address, server.keys["publishable"], hold_reports) as page:
        page.wait_for_selector("#hero .new")
        page.on("response", hear)
        page.evaluate("""for (const id of ["", ...Array(119).fill("hero")]) {
          const slot = document.body.appendChild(document.createElement("p"));
          slot.dataset.endcapPlacement = id;
        }""")
        page.evaluate("endcap.serve()")
        assert statuses == [200, 200, 200]
        assert (len(asked), asked.count("hero")) == (120, 119)
        assert page.evaluate("window.errors") == []


def test_reports_that_hang_are_sent_again(chromium: Browser, server: RunningServer) -> None:
    """A service that takes a report and never answers is given up after 30 s, tried after 32."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    def set_up(page: Page) -> None:
        page.clock.install(time=0)
        page.clock.pause_at(60_000)
        page.route("**/v1/serve", lambda route: route.abort())
        page.route("**/v1/events*", hold)

    def n_held(page: Page) -> int:
        page.wait_for_timeout(50)  # in which the browser tells of requests
        return len(held)

    with opened(chromium, server.address, server.keys["publishable"], set_up) as page:
        page.evaluate("endcap.track({event: 'view', item_id: 'hung'})")
        page.clock.run_for(300)
        eventually(lambda: n_held(page), 1)
        for ms in (29_000, 1_000):
            page.clock.run_for(ms)
            assert n_held(page) == 1
        page.clock.run_for(2_100)
        eventually(lambda: n_held(page), 2)
