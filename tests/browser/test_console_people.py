"""Shoppers, catalogue, models and insights, as people use them in Chromium."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from models.artifact import ArtifactStore
from models.pseudonym import load_pseudonymiser
from service.privacy.erase import search
from tests.browser.console_pages import Look, assert_fit_for_all, opened_console
from tests.end_to_end.running_server import (
    RunningServer,
    assert_live_everywhere,
    wait_until,
)
from tests.snapshots import tiny_snapshot

pytestmark = pytest.mark.browser

PICTURE = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 4 3'><path d='M0 0h4v3H0z'/></svg>"
BUYER = "shopper-who-bought@example.org"
LEAVER = "shopper-who-leaves@example.org"
LIVE_S = 3
"""Workers look at the pointer once a second, and then open the model."""


@pytest.fixture(scope="module")
def home(shop: RunningServer) -> Path:
    """Say where the shop keeps its files."""
    arguments = list(shop.process.args)  # type: ignore[arg-type]  # the server is started by a list
    return Path(str(arguments[arguments.index("--home") + 1]))


@pytest.fixture(scope="module", autouse=True)
def bought(shop: RunningServer) -> set[str]:
    """Let two people buy something that they were shown; return the day, or both at midnight."""
    days = {datetime.now(UTC).date().isoformat()}
    for number, who in enumerate((BUYER, LEAVER)):
        (slate,) = shop.serve("home_recs", user={"user_id": who, "anonymous_id": f"{who}-phone"})
        item_id = slate["items"][0]["id"]
        shared = {
            "item_id": item_id,
            "user_id": who,
            "channel": "web",
            "exposure_id": slate["exposure_id"],
        }
        events = [
            {"event": "view", "event_id": f"v{number}", **shared},
            {"event": "click", "event_id": f"c{number}", **shared},
            {"event": "purchase", "event_id": f"p{number}", "order_id": f"o{number}",
             "quantity": 2, "price": 12.5, **shared},
        ]  # fmt: skip
        assert shop.call("POST", "/v1/events", events).json()["rejected"] == 0
    return days | {datetime.now(UTC).date().isoformat()}


@contextmanager
def opened(
    chromium: Browser, shop: RunningServer, path: str, scope: str = "admin", **options: Look
) -> Iterator[Page]:
    """Open a page of the console; the pictures of the simulated items are drawn here."""
    with opened_console(chromium, shop, scope=scope, **options) as page:
        page.route(
            "**/demo/pictures/**",
            lambda route: route.fulfill(content_type="image/svg+xml", body=PICTURE),
        )
        expect(page.get_by_role("navigation", name="Console")).to_be_visible()  # signed in
        page.goto(f"{shop.address}{path}")
        yield page


def look_up(page: Page, who: str) -> None:
    page.get_by_label("Id", exact=True).fill(who)
    page.get_by_role("button", name="Look up").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Shopper ")


def table_of(page: Page, link: Locator) -> list[list[str]]:
    """Download a CSV and read it."""
    with page.expect_download() as download:
        link.click()
    text = Path(download.value.path()).read_text("utf-8-sig")
    return list(csv.reader(text.splitlines()))


def test_shopper_is_one_page(chromium: Browser, shop: RunningServer) -> None:
    """What they did, what they saw and would see; the id that was typed stands nowhere."""
    with opened(chromium, shop, "/console/shoppers", scope="support") as page:
        assert_fit_for_all(page)
        look_up(page, BUYER)
        assert_fit_for_all(page)
        expect(page.get_by_text("1 order worth 25.00 with 2 items.")).to_be_visible()
        seen = page.get_by_role("region", name="What they were shown")
        expect(seen).to_contain_text("bought")
        now = page.get_by_role("region", name="What they would see now")
        assert now.get_by_role("listitem").count() >= 6  # and what other modules put up
        assert BUYER not in page.url
        assert BUYER not in page.content()
        assert page.get_by_role("link", name="Erase").count() == 0


def test_shopper_is_exported_and_erased(chromium: Browser, shop: RunningServer, home: Path) -> None:
    """The wrong id erases nobody; after the right one no file holds a trace of them."""
    people = load_pseudonymiser(home)
    key, phone = (
        people.pseudonym("user_id", LEAVER),
        people.pseudonym("anonymous_id", f"{LEAVER}-phone"),
    )
    with opened(chromium, shop, "/console/shoppers") as page:
        look_up(page, LEAVER)
        with page.expect_download() as download:
            page.get_by_role("link", name="Export").click()
        copy = json.loads(Path(download.value.path()).read_text())
        assert [row["kind"] for row in copy["rows"]["events"]] == [0, 1, 3]
        assert search(home, [key])
        page.get_by_role("link", name="Erase").click()
        assert_fit_for_all(page)
        page.get_by_label("Type the id once more").fill(BUYER)
        page.get_by_role("button", name="Erase for good").click()
        expect(page.get_by_text("nothing was erased")).to_be_visible()
        assert_fit_for_all(page)
        page.get_by_label("Type the id once more").fill(LEAVER)
        page.get_by_role("button", name="Erase for good").click()
        expect(page.get_by_text("Nothing is left.")).to_be_visible()
        assert_fit_for_all(page)
        assert search(home, [key, phone, LEAVER]) == []
        page.get_by_role("link", name="Look up another").click()
        look_up(page, LEAVER)
        expect(page.get_by_text("Nothing is kept of this customer.")).to_be_visible()


def test_wrong_role_is_refused(chromium: Browser, shop: RunningServer) -> None:
    """What a role may not see is not in its navigation, and its address is refused."""
    closed = {
        "merchandiser": ["Shoppers", "Models"],
        "trainer": ["Shoppers", "Catalogue", "Insights"],
        "support": ["Models", "Catalogue", "Insights"],
    }
    for scope, titles in closed.items():
        with opened(chromium, shop, "/console", scope=scope) as page:
            for title in titles:
                menu = page.get_by_role("navigation", name="Console")
                assert menu.get_by_role("link", name=title).count() == 0, (scope, title)
                answer = page.goto(f"{shop.address}/console/{title.lower()}")
                assert answer is not None
                assert answer.status == 403, (scope, title)


@pytest.mark.parametrize("has_script", [True, False])
def test_hidden_item_leaves_pages_within_a_second(
    chromium: Browser, shop: RunningServer, has_script: bool
) -> None:
    """Found by its id, hidden with one button, gone everywhere; shown again it is back."""

    def served() -> list[str]:
        (slate,) = shop.serve("home_recs")
        return [item["id"] for item in slate["items"]]

    item_id = served()[0]
    look = Look(has_script=has_script)
    with opened(chromium, shop, "/console/catalogue", scope="merchandiser", look=look) as page:
        page.get_by_label("Title, id, category or brand").fill(item_id)
        with page.expect_navigation():
            page.get_by_role("button", name="Search").click()
        page.get_by_role("button", name="Hide").click()
        assert_live_everywhere(lambda: item_id not in served())
        expect(page.get_by_text("is hidden: it leaves every page within a second")).to_be_visible()
        with page.expect_navigation():
            page.get_by_role("link", name="Hidden 1").click()
        page.get_by_role("button", name="Show").click()
        assert_live_everywhere(lambda: item_id in served())
        expect(page.get_by_text("No item is like that")).to_be_visible()


def test_catalogue_is_searched_and_downloaded(chromium: Browser, shop: RunningServer) -> None:
    """Cold items name what they stand next to; the file has every one; an item has a page."""
    with opened(chromium, shop, "/console/catalogue", scope="merchandiser") as page:
        assert_fit_for_all(page)
        with page.expect_navigation():
            page.get_by_role("link", name="Cold").click()
        n_cold = int(page.get_by_role("link", name="Cold").inner_text().split()[-1])
        assert n_cold > 0
        rows = table_of(page, page.get_by_role("link", name="CSV of these items"))
        assert len(rows) == 1 + n_cold
        assert all(row[rows[0].index("Recommended next to")] for row in rows[1:])
        page.get_by_role("group", name="Items").get_by_role("link").first.click()
        expect(page.get_by_role("heading", name="Recommended next to")).to_be_visible()
        assert_fit_for_all(page)
        page.goto(f"{shop.address}/console/catalogue?search=no-such-thing")
        expect(page.get_by_text("No item is like that")).to_be_visible()
        assert_fit_for_all(page)


def is_answered_by(shop: RunningServer, version: str | None) -> bool:
    """Tell whether twenty pages, of either worker, come from a version of the model."""
    ask = {"placements": [{"id": "home_recs"}]}
    return all(
        shop.call("POST", "/v1/serve", ask).json()["model_version"] == version for _ in range(20)
    )


def test_model_is_promoted_and_rolled_back(
    chromium: Browser, shop: RunningServer, home: Path
) -> None:
    """It asks first, the other version answers, and going back is one button."""
    artifacts = ArtifactStore(home)
    first = artifacts.live_version()
    other = artifacts.publish(tiny_snapshot())
    with opened(chromium, shop, "/console/models", scope="trainer") as page:
        assert_fit_for_all(page)
        page.get_by_role("link", name=f"Promote {other}").click()
        assert_fit_for_all(page)
        assert artifacts.live_version() == first
        page.get_by_role("button", name="Make it live").click()
        expect(page.get_by_text(f"Model {other} is live")).to_be_visible()
        wait_until(lambda: is_answered_by(shop, other), LIVE_S)
        page.get_by_role("button", name="Roll back").click()
        page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
        expect(page.get_by_text(f"model {first} is live again")).to_be_visible()
        wait_until(lambda: is_answered_by(shop, first), LIVE_S)
        page.get_by_role("link", name=str(first)).click()
        assert_fit_for_all(page)
        rows = table_of(page, page.get_by_role("link", name="CSV of Metrics of every recommender"))
        assert {row[0] for row in rows[1:]} >= {"hybrid", "popularity"}


def test_insights_are_drawn_and_downloaded(
    chromium: Browser, shop: RunningServer, bought: set[str]
) -> None:
    """Pictures with their tables; the files hold the days of the period."""
    with opened(chromium, shop, "/console/insights", scope="merchandiser") as page:
        assert_fit_for_all(page)
        for title in ("Value of orders", "Average order value", "From served to bought"):
            assert page.get_by_role("img", name=title).count() >= 1, title
        page.get_by_text("Table of “From served to bought”").click()
        funnel = page.get_by_role("group", name="Table of From served to bought")
        expect(funnel.get_by_role("row").nth(1)).to_contain_text("Served")
        assert_fit_for_all(page)
        rows = table_of(page, page.get_by_role("link", name="CSV of Value of orders"))
        assert len(rows) == 1 + 28
        place = rows[0].index("Average order value")
        sold = {row[0]: float(row[place]) for row in rows[1:] if row[place]}
        assert sold
        assert set(sold) <= bought
        assert set(sold.values()) == {25.0}
        page.get_by_role("link", name="365 days").click()
        expect(page).to_have_url(re.compile("days=365"))
        rows = table_of(page, page.get_by_role("link", name="CSV of the channels"))
        assert {row[0] for row in rows[1:]} >= {"web"}


def test_looking_up_needs_no_script(chromium: Browser, shop: RunningServer) -> None:
    """Forms are forms."""
    look = Look(has_script=False)
    with opened(chromium, shop, "/console/shoppers", scope="support", look=look) as page:
        look_up(page, BUYER)
        expect(page.get_by_role("heading", name="In short")).to_be_visible()
