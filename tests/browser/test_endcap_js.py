"""`endcap.js` in Chromium: draws, reports, and never harms the page."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from service.stores.event_schema import KIND_NAMES
from tests.browser.shop_page import SETTLE, opened
from tests.end_to_end.running_server import RunningServer, eventually

pytestmark = [pytest.mark.browser, pytest.mark.untimed]


@pytest.fixture
def page(chromium: Browser, server: RunningServer) -> Iterator[Page]:
    """Open the page and wait until the hero is drawn."""
    with opened(chromium, server.address, server.keys["publishable"]) as made:
        made.wait_for_selector("#hero .new")
        yield made


def reports(home: Path, exposure_id: str) -> list[tuple[str, str | None]]:
    """Return kind and banner of what was stored for an exposure, in order."""
    with sqlite3.connect(home / "events.sqlite") as connection:
        rows = connection.execute(
            "SELECT kind, banner_id FROM events WHERE exposure_id = ? AND flags = 0 ORDER BY kind",
            (exposure_id,),
        )
        return [(KIND_NAMES[kind], banner) for kind, banner in rows]


def exposures(home: Path, placement: str) -> list[str]:
    """Return the exposures of a placement, the newest first."""
    with sqlite3.connect(home / "events.sqlite") as connection:
        query = "SELECT exposure_id FROM exposures WHERE placement_id = ? ORDER BY seq DESC"
        return [one for (one,) in connection.execute(query, (placement,))]


def is_unharmed(page: Page) -> bool:
    """Say whether no error was seen and nothing moved."""
    found = page.evaluate("[window.errors, window.shifts]")
    assert found == [[], 0]
    return True


def test_page_is_filled_watched_and_clicked(page: Page, home: Path, server: RunningServer) -> None:
    """Rendered at once, viewable after a second, a click with its exposure, nothing moved."""
    hero = page.locator("#hero .new")
    assert (hero.get_attribute("title"), hero.locator("b").text_content()) == ("Sale", "Sale")
    assert page.locator("#hero .old").count() == 0
    assert page.locator("#low .new").text_content() == "mug"
    eventually(lambda: len(exposures(home, "hero")) > 0, True)
    exposure_id = exposures(home, "hero")[0]
    eventually(lambda: reports(home, exposure_id), [("rendered", None), ("viewable", None)])
    low = exposures(home, "low")[0]
    assert reports(home, low) == [("rendered", None)]
    hero.click()
    clicked = [("click", "sale"), ("rendered", None), ("viewable", None)]
    eventually(lambda: reports(home, exposure_id), clicked)
    page.locator("#low").scroll_into_view_if_needed()
    eventually(lambda: reports(home, low), [("rendered", None), ("viewable", None)])
    assert is_unharmed(page)


def test_element_taller_than_the_window_is_viewable(
    chromium: Browser, server: RunningServer, home: Path
) -> None:
    """Of 1,500 px in a window of 600 half never shows: 300 px for a second are enough, 280 not."""

    def set_up(page: Page) -> None:
        page.clock.install(time=0)
        page.add_init_script("""window.slates = {};
addEventListener("endcap", (e) => { window.slates[e.detail.id] = e.detail.exposure_id; });""")

    with opened(chromium, server.address, server.keys["publishable"], set_up) as page:
        page.wait_for_selector("#low .new")
        page.clock.pause_at(60_000)
        slot = page.locator("#low")
        slot.evaluate("(slot) => { slot.style.height = '1500px'; }")
        start = slot.evaluate("(slot) => slot.getBoundingClientRect().top + scrollY")
        low = page.evaluate("window.slates.low")

        def show(covered_px: int, for_ms: int) -> bool:
            """Scroll until so much of the window is covered, stay, and say what was reported."""
            page.evaluate(f"scrollTo(0, {start - 600 + covered_px})")
            page.evaluate(SETTLE)
            page.clock.run_for(for_ms)
            waiting = json.loads(page.evaluate("localStorage.endcap_queue"))
            told = [one["grade"] for one in waiting if one.get("exposure_id") == low]
            return "viewable" in told or ("viewable", None) in reports(home, low)

        assert not show(280, for_ms=3_000)
        # All of the window, but not for a second.
        assert not show(600, for_ms=900)
        assert not show(0, for_ms=3_000)
        # A strip at the side is as tall as the window, and shows a tenth of it.
        slot.evaluate("(slot) => { slot.style.marginLeft = '90vw'; slot.style.width = '100vw'; }")
        assert not show(600, for_ms=3_000)
        assert not show(0, for_ms=3_000)
        slot.evaluate("(slot) => { slot.style.marginLeft = slot.style.width = ''; }")
        # Scrolled through from its top to its end, a hundred pixels each tenth of a second.
        seen = [show(320 + 100 * n, for_ms=100) for n in range(15)]
        assert seen == [False] * 9 + [True] * 6
        assert page.evaluate("window.errors") == []


def test_page_stays_as_written_while_the_service_is_down(
    chromium: Browser, server: RunningServer
) -> None:
    """Neither the script that cannot load nor an answer that never comes changes a thing."""

    def refuse(page: Page) -> None:
        page.route("**/v1/**", lambda route: route.abort())

    key = server.keys["publishable"]
    with opened(chromium, server.address, key, refuse) as page:
        page.evaluate("endcap.track({event: 'view', item_id: 'mug'})")
        page.wait_for_timeout(600)
        assert page.locator(".old").count() == 2
        assert len(json.loads(page.evaluate("localStorage.endcap_queue"))) == 1
        assert is_unharmed(page)
    with opened(chromium, "http://127.0.0.1:9", key) as page:
        assert page.locator(".old").count() == 2


def test_queue_is_bounded_and_sent_when_the_service_is_back(
    chromium: Browser, server: RunningServer, home: Path
) -> None:
    """What could not be sent is kept, at most a hundred, and arrives once."""

    def refuse(page: Page) -> None:
        # What is not drawn is not reported either: a report would take a place in the queue.
        page.route("**/v1/**", lambda route: route.abort())

    with opened(chromium, server.address, server.keys["publishable"], refuse) as page:
        page.evaluate(
            "for (let i = 0; i < 150; i++) endcap.track({event: 'view', item_id: `back-${i}`})"
        )
        page.wait_for_timeout(500)
        assert len(json.loads(page.evaluate("localStorage.endcap_queue"))) == 100
        page.unroute("**/v1/**")
        page.evaluate("endcap.flush()")

        def n_back() -> int:
            with sqlite3.connect(home / "events.sqlite") as connection:
                query = "SELECT count(*) FROM events WHERE item_id LIKE 'back-%'"
                found: int = connection.execute(query).fetchone()[0]
                return found

        eventually(n_back, 100)
        eventually(lambda: page.evaluate("localStorage.endcap_queue"), "[]")
        assert is_unharmed(page)


def test_tracking_is_no_reason_to_retry_early(
    chromium: Browser, server: RunningServer, home: Path
) -> None:
    """With the service down, 20 events in 8 s are sent at 0.2, 2.2 and 6.2 s: 3 requests, not 21.

    What waited then arrives with the next retry, and what is tracked after it goes out at once.
    """
    n_tried = 0

    def refuse(route: Route) -> None:
        nonlocal n_tried
        n_tried += 1
        route.abort()

    def set_up(page: Page) -> None:
        page.clock.install(time=0)
        page.route("**/v1/serve", lambda route: route.abort())
        page.route("**/v1/events**", refuse)

    def pass_time(page: Page, ms: int) -> None:
        """Let a time pass, and the browser hear what came of the requests of it."""
        page.clock.run_for(ms)
        page.wait_for_timeout(50)

    def n_arrived() -> int:
        with sqlite3.connect(home / "events.sqlite") as connection:
            query = "SELECT count(*) FROM events WHERE item_id LIKE 'early-%'"
            found: int = connection.execute(query).fetchone()[0]
            return found

    with opened(chromium, server.address, server.keys["publishable"], set_up) as page:
        page.clock.pause_at(60_000)
        for n in range(20):
            page.evaluate(f"endcap.track({{event: 'view', item_id: 'early-{n}'}})")
            pass_time(page, 400)
        assert n_tried == 3
        page.unroute("**/v1/events**")
        # The fourth comes 8 s after the third.
        pass_time(page, 5_500)
        assert n_arrived() == 0
        pass_time(page, 8_000)
        eventually(n_arrived, 20)
        eventually(lambda: page.evaluate("localStorage.endcap_queue"), "[]")
        page.evaluate("endcap.track({event: 'view', item_id: 'early-20'})")
        pass_time(page, 400)
        eventually(n_arrived, 21)
        assert is_unharmed(page)


def test_leaving_the_page_sends_a_beacon(
    chromium: Browser, server: RunningServer, home: Path
) -> None:
    """What was tracked last is not lost with the page."""
    with opened(chromium, server.address, server.keys["publishable"]) as page:
        page.wait_for_selector("#hero .new")
        page.evaluate("endcap.track({event: 'view', item_id: 'left'})")
        page.goto("about:blank")

        def n_left() -> int:
            with sqlite3.connect(home / "events.sqlite") as connection:
                query = (
                    "SELECT count(*) FROM events WHERE item_id = 'left' AND user_key IS NOT NULL"
                )
                found: int = connection.execute(query).fetchone()[0]
                return found

        eventually(n_left, 1)


def test_device_whose_clock_is_behind_is_put_right(
    chromium: Browser, server: RunningServer, home: Path
) -> None:
    """An event of a device ten minutes behind is stored with the time that it really was."""

    def set_back(page: Page) -> None:
        page.add_init_script("const right = Date.now; Date.now = () => right() - 600000;")

    def is_right() -> list[bool]:
        with sqlite3.connect(home / "events.sqlite") as connection:
            query = "SELECT received_ms - at_ms FROM events WHERE item_id = 'clock'"
            return [0 <= age < 300_000 for (age,) in connection.execute(query)]

    with opened(chromium, server.address, server.keys["publishable"], set_back) as page:
        page.evaluate("endcap.track({event: 'view', item_id: 'clock'})")
        eventually(is_right, [True])
        assert is_unharmed(page)


@pytest.mark.parametrize("consent", ["false", "denied", "", "no"])
def test_without_consent_nothing_is_kept(
    chromium: Browser, server: RunningServer, consent: str
) -> None:
    """The page is filled, and no id is written to the browser, unless it is a clear yes."""
    key = server.keys["publishable"]
    with opened(chromium, server.address, key, options=f'data-consent="{consent}"') as page:
        page.wait_for_selector("#hero .new")
        names = page.evaluate("[...Object.keys(localStorage), ...Object.keys(sessionStorage)]")
        assert "endcap_visitor" not in names


def test_consent_that_changes_holds_for_the_next_call(
    chromium: Browser, server: RunningServer
) -> None:
    """A page that stays open hears a yes and a no that come later: of pages and of events."""
    asked: list[dict[str, Any]] = []

    def listen(page: Page) -> None:
        page.on(
            "request",
            lambda one: (
                asked.append(json.loads(one.post_data or "{}")["user"])
                if one.url.endswith("/v1/serve") and one.method == "POST"
                else None
            ),
        )

    ask_and_track = """(consent) => {
      document.querySelector("script").dataset.consent = consent;
      delete document.querySelector("#low").dataset.endcapAsked;
      endcap.track({event: "view", item_id: consent});
      return endcap.serve().then(() => JSON.parse(localStorage.endcap_queue)
        .find((event) => event.item_id === consent));
    }"""
    key = server.keys["publishable"]
    with opened(chromium, server.address, key, listen, options='data-consent="denied"') as page:
        # What is tracked stays to be looked at.
        page.route("**/v1/events*", lambda route: route.abort())
        page.wait_for_selector("#hero .new")
        granted, denied = (page.evaluate(ask_and_track, one) for one in ("granted", "denied"))
        names = {"anonymous_id", "session_id"}
        assert [names & set(one) for one in (*asked, granted, denied)] == [
            set(), names, set(), names, set()
        ]  # fmt: skip
        assert [one.get("consent") for one in (*asked, granted, denied)] == [
            False, None, False, None, False
        ]  # fmt: skip
        assert is_unharmed(page)


@pytest.mark.parametrize(
    "link", ["javascript:1", " jAvA\tscript:1", "data:text/html,x", "http://["]
)
def test_hostile_value_runs_nothing(chromium: Browser, server: RunningServer, link: str) -> None:
    """A link that is a script, or none, is left out, and a title with markup is text."""
    evil = {"title": "<img src=x onerror=alert(1)>", "image_url": "/x", "link_url": link}
    slate = {"id": "hero", "exposure_id": "x", "kind": "banners", "banners": [{"id": "b", **evil}]}

    def answer(page: Page) -> None:
        body = json.dumps({"placements": [slate]})
        headers = {"access-control-allow-origin": "*"}
        page.route("**/v1/serve", lambda route: route.fulfill(body=body, headers=headers))

    with opened(chromium, server.address, server.keys["publishable"], answer) as page:
        page.wait_for_selector("#hero .new")
        assert page.locator("#hero .new").get_attribute("href") is None
        assert page.locator("#hero .new b").text_content() == evil["title"]
        assert is_unharmed(page)
