"""The storefront in Chromium: it follows a share, learns from a click, and never breaks."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from models.artifact import ArtifactStore
from models.pseudonym import load_pseudonymiser
from service.stores.event_schema import KIND_NAMES
from tests.browser.console_pages import assert_accessible, opened_console
from tests.browser.shop_page import PERSON, WATCH_SHIFTS
from tests.end_to_end.running_server import WITHIN_S, RunningServer, eventually, run_server
from tests.snapshots import tiny_snapshot

pytestmark = pytest.mark.browser

SIGN = '{"name": "Tiny", "personas": [{"user_id": "alice", "name": "Alice", "about": "mugs"}]}'
STATIC = ["The rose", "The lamp", "The bulb"]
RECS = '[data-endcap-placement="home_recs"]'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish the tiny shop, in which Alice is known."""
    home = tmp_path_factory.mktemp("home")
    alice = load_pseudonymiser(home).pseudonym("user_id", "alice")
    artifacts = ArtifactStore(home)
    artifacts.promote(artifacts.publish(tiny_snapshot(user_key=alice)))
    (home / "storefront.json").write_text(SIGN)
    return home


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[RunningServer]:
    """Start the shop with slots on each page."""
    with run_server(home, "--storefront") as running:
        mugs = {
            "title": "Mugs for slow mornings",
            "image_url": "/demo/banners/mugs.svg",
            "link_url": "/demo/shop/home/kitchen/mugs",
            "categories": ["Home > Kitchen > Mugs"],
        }
        running.put("/v1/banners/mugs", mugs)
        static = ["rose", "lamp", "bulb"]
        for placement_id, document in {
            "home_hero": {"kind": "banners", "static_ids": ["mugs"]},
            "home_recs": {"kind": "items", "count": 3, "static_ids": static},
            "category_picks": {"kind": "items", "count": 2},
            "product_similar": {"kind": "items", "count": 3, "recipe": "similar_items"},
            "basket_together": {"kind": "items", "count": 2, "recipe": "bought_together"},
        }.items():
            running.put(f"/v1/placements/{placement_id}", document)
        running.put("/v1/rollouts/home_recs", {"share": 1.0})
        yield running


@contextmanager
def visiting(
    chromium: Browser, server: RunningServer, path: str = "/demo", **options: Any
) -> Iterator[Page]:
    """Open a page of the shop in a fresh profile."""
    options = {"viewport": {"width": 1280, "height": 900}} | options
    context = chromium.new_context(user_agent=PERSON, base_url=server.address, **options)
    context.add_init_script(WATCH_SHIFTS)
    page = context.new_page()
    page.goto(path)
    yield page
    assert page.evaluate("window.errors ?? []") == []
    context.close()


@pytest.fixture
def page(chromium: Browser, server: RunningServer) -> Iterator[Page]:
    """Open the home page and wait for its slots."""
    with visiting(chromium, server) as opened:
        opened.wait_for_selector(f"{RECS}[data-tier]")
        yield opened


def titles(page: Page) -> list[str]:
    """Read the titles in the slot under the rollout."""
    return page.locator(f"{RECS} .title").all_text_contents()


def stored(home: Path, kind: str) -> list[tuple[Any, ...]]:
    """Return item, exposure and order of the events of a kind, the newest first."""
    number = next(number for number, name in KIND_NAMES.items() if name == kind)
    with sqlite3.connect(home / "events.sqlite") as connection:
        query = "SELECT item_id, exposure_id, order_id FROM events WHERE kind = ? ORDER BY seq DESC"
        return connection.execute(query, (number,)).fetchall()


def newest(home: Path, kind: str) -> tuple[Any, ...]:
    """Return item and exposure of the newest event of a kind, if there is one."""
    return next((row[:2] for row in stored(home, kind)), ())


def become(page: Page, name: str) -> None:
    """Choose whom to be."""
    page.locator("#who summary").click()
    with page.expect_navigation():
        page.locator("#who button", has_text=name).click()
    page.wait_for_selector(f"{RECS}[data-tier]")


def move_share(server: RunningServer, share: float) -> None:
    """Move the share as an API client does."""
    answer = server.call(
        "PATCH", "/v1/rollouts/home_recs?confirm=true", {"share": share}, scope="admin"
    )
    assert answer.status_code == 200, answer.text


def test_storefront_follows_a_share_within_a_second(page: Page, server: RunningServer) -> None:
    """An open page shows the merchandiser's list as soon as the share is 0, and is back at 1."""
    before = titles(page)
    assert before != STATIC
    try:
        move_share(server, 0.0)
        began = time.monotonic()
        eventually(lambda: titles(page), STATIC)
        assert time.monotonic() - began < WITHIN_S
        expect(page.locator("#shelf-home_recs")).to_have_text("Best sellers")
        expect(page.locator(f"{RECS}[data-tier=static]")).to_have_count(1)
    finally:
        move_share(server, 1.0)
    page.wait_for_selector(f"{RECS}[data-tier=popular]", timeout=3_000)
    assert titles(page) == before


def test_storefront_follows_the_slider_of_the_console(
    chromium: Browser, page: Page, server: RunningServer
) -> None:
    """The drawer leads to the rollout; the slider there, moved by keys, changes the open page."""
    link = page.locator("#drawer").get_by_role("link", name="Move its share")
    address = link.get_attribute("href")
    with opened_console(chromium, server) as console:
        console.goto(f"{server.address}{address}")
        console.get_by_role("slider").press("Home")
        console.get_by_role("button", name="Move the share").click()
        try:
            eventually(lambda: titles(page), STATIC)
        finally:
            move_share(server, 1.0)
    page.wait_for_selector(f"{RECS}[data-tier=popular]", timeout=3_000)


def test_storefront_follows_a_hidden_item(page: Page, server: RunningServer) -> None:
    """An item that somebody hides leaves the open page, and comes back to it."""
    before = titles(page)
    hidden = before[0].removeprefix("The ")
    server.call("PATCH", f"/v1/items/{hidden}", {"hidden": True}, scope="admin")
    eventually(lambda: before[0] in titles(page), False)
    server.call("PATCH", f"/v1/items/{hidden}", {"hidden": False}, scope="admin")
    eventually(lambda: titles(page), before)


def test_persona_changes_the_page_and_a_new_visitor_changes_it_back(page: Page) -> None:
    """Alice likes mugs: her page is personal; a new visitor's is what most people like."""
    visitor = page.evaluate("localStorage.endcap_visitor")
    popular = titles(page)
    become(page, "Alice")
    assert page.locator(f"{RECS}[data-tier=personal]").count() == 1
    assert "The cup" in titles(page)
    assert page.evaluate("localStorage.endcap_visitor") != visitor
    become(page, "Yourself")
    assert page.evaluate("localStorage.endcap_visitor") == visitor
    assert titles(page) == popular
    become(page, "A new visitor")
    assert page.evaluate("localStorage.endcap_visitor") != visitor


def test_click_view_and_order_carry_the_exposure(page: Page, home: Path) -> None:
    """One exposure goes from the click to the purchase, which a reload does not count twice."""
    page.locator(f"{RECS} .card").first.click()
    page.wait_for_selector("#product")
    item_id = page.locator("#product").get_attribute("data-id")
    page.wait_for_selector('[data-endcap-placement="product_similar"][data-tier]')
    page.locator("#put-in button").click()
    eventually(lambda: page.locator("#n-in-basket").text_content(), "1")
    page.locator(".to-basket").click()
    page.get_by_role("button", name="Buy now").click()
    page.wait_for_selector("#order")
    eventually(lambda: stored(home, "purchase")[:1] != [], True)
    (bought, exposure_id, order_id), *others = stored(home, "purchase")
    assert (bought, others, order_id in page.url) == (item_id, [], True)
    for kind in ("click", "view", "add_to_cart"):
        eventually(partial(newest, home, kind), (item_id, exposure_id))
    page.reload()
    page.locator(".verdict.duplicate").first.wait_for()
    assert len(stored(home, "purchase")) == 1


def test_what_was_looked_at_is_on_the_next_page(page: Page) -> None:
    """After one look at the lamp a stranger's home page is personal, and says because of what."""
    page.goto("/demo/items/lamp")
    page.locator(".log", has_text="view").locator(".verdict.accepted").first.wait_for()
    page.goto("/demo")
    page.wait_for_selector(f"{RECS}[data-tier=personal]")
    expect(page.locator("#shelf-home_recs")).to_have_text("Picked for you")
    assert titles(page)[0] == "The bulb"
    page.locator(".drawer .because", has_text="The lamp").first.wait_for()


def test_drawer_tells_the_request_the_answer_and_why(page: Page) -> None:
    """Tier, variant, reason, epoch and exposure of each slot are in it; Escape closes it."""
    drawer = page.locator("#drawer")
    recs = drawer.locator("details", has=page.locator("summary", has_text="home_recs"))
    for fact in ("popular", "personal of home_recs", "SPLIT", "epoch", "exposure_id"):
        assert fact in recs.inner_text()
    drawer.locator("summary", has_text="Request").click()
    assert '"placements"' in drawer.locator("pre").first.inner_text()
    drawer.locator(".log li", has_text="rendered").first.wait_for()
    assert drawer.get_by_role("link", name="Console").get_attribute("href") == "/console"
    drawer.press("Escape")
    assert not drawer.is_visible()
    assert page.evaluate("document.activeElement.id") == "behind"
    page.reload()
    assert not drawer.is_visible()
    page.keyboard.press("Tab")
    page.locator("#behind").press("Enter")
    assert drawer.is_visible()


def test_drawer_says_what_failed_at_a_proxy(page: Page) -> None:
    """Events that a page of HTML answers, as a proxy sends with 502, are not still on their way."""
    html = "<h1>Bad gateway</h1>"
    page.route("**/v1/events*", lambda route: route.fulfill(status=502, body=html))
    page.evaluate("endcap.track({event: 'view', item_id: 'lamp'})")
    page.locator(".log", has_text="view").locator(".verdict.failed").first.wait_for()


def test_refused_consent_sends_no_id(page: Page) -> None:
    """Without consent the request names nobody, and the slot is not personal."""
    with page.expect_navigation():
        page.get_by_role("switch", name="Consent").click()
    page.wait_for_selector(f"{RECS}[data-tier]")
    assert page.get_by_role("switch", name="Consent").get_attribute("aria-checked") == "false"
    request = page.evaluate("demo.calls.at(-1).request.user")
    assert request == {"consent": False}
    expect(page.locator("#drawer")).to_contain_text("there is no consent")


def test_shop_works_without_scripts(chromium: Browser, server: RunningServer) -> None:
    """The merchandiser's list stands there, and one can buy."""
    with visiting(chromium, server, java_script_enabled=False) as page:
        assert titles(page) == STATIC
        assert not page.locator("#drawer").is_visible()
        page.locator(f"{RECS} .card").first.click()
        page.locator("#put-in button").click()
        page.get_by_role("button", name="Buy now").click()
        expect(page.locator("h1")).to_contain_text("Thank you")


def test_shop_stays_whole_when_the_service_does_not_answer(
    chromium: Browser, server: RunningServer, home: Path
) -> None:
    """With the serving route dead the static list stays; an open page survives the end."""
    context = chromium.new_context(user_agent=PERSON, base_url=server.address)
    context.add_init_script(WATCH_SHIFTS)
    context.route("**/v1/serve", lambda route: route.abort())
    page = context.new_page()
    page.goto("/demo")
    page.locator("#drawer", has_text="The call failed").wait_for()
    assert titles(page) == STATIC
    context.route("**/*", lambda route: route.abort())
    page.evaluate("endcap.track({event: 'view', item_id: 'mug'})")
    page.wait_for_timeout(500)
    assert titles(page) == STATIC
    assert page.evaluate("window.errors") == []
    context.close()


@pytest.mark.parametrize("path", ["/demo", "/demo/shop/home", "/demo/items/mug", "/demo/basket"])
def test_page_fits_a_small_phone(chromium: Browser, server: RunningServer, path: str) -> None:
    """At 360 pixels nothing scrolls sideways, the drawer is a sheet at the bottom."""
    with visiting(chromium, server, path, viewport={"width": 360, "height": 740}) as page:
        page.wait_for_selector("[data-tier]" if path != "/demo/basket" else "main")
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert not page.locator("#drawer").is_visible()
        page.locator("#behind").click()
        box = page.locator("#drawer").bounding_box()
        assert box is not None
        assert (box["x"], box["width"], box["y"] > 150) == (0, 360, True)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        page.locator("#drawer .close").click()
        page.locator("#who summary").click()
        assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_filled_slots_do_not_move_the_page(chromium: Browser, server: RunningServer) -> None:
    """With the drawer as it was left, nothing shifts while slots are filled."""
    with visiting(chromium, server) as page:
        page.wait_for_selector(f"{RECS}[data-tier]")
        page.evaluate("window.shifts = 0")
        page.reload()
        page.wait_for_selector(f"{RECS}[data-tier]")
        page.wait_for_timeout(300)
        assert page.evaluate("window.shifts") < 0.01


def test_pages_are_accessible(chromium: Browser, server: RunningServer) -> None:
    """axe-core finds nothing on any page with the drawer open, in both palettes, and on a phone."""
    with visiting(chromium, server, reduced_motion="reduce") as page:
        for path in ("/demo/shop/home", "/demo/items/mug", "/demo/basket", "/demo"):
            page.goto(path)
            page.locator("#drawer .facts").first.wait_for()
            assert_accessible(page)
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        assert_accessible(page)
        page.locator("#who summary").click()
        page.set_viewport_size({"width": 360, "height": 740})
        assert_accessible(page)
