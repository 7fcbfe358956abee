"""Rollouts in the console, clicked through in Chromium."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.console_pages import (
    LOOKS,
    Look,
    assert_fit_for_all,
    assert_sound,
    look_at,
    opened_console,
)
from tests.end_to_end.running_server import WITHIN_S, RunningServer, wait_until

pytestmark = pytest.mark.browser

_keys = (f"test_{number}" for number in count(1))


@pytest.fixture
def key(shop: RunningServer) -> str:
    """Make a rollout at 10 % of its own, and a placement that it steers."""
    made = next(_keys)
    shop.put(f"/v1/rollouts/{made}", {"share": 0.1})
    shop.put(f"/v1/placements/{made}", {"kind": "items", "count": 4, "static_ids": ["mug"]})
    wait_until(lambda: all(is_known(shop, made) for _ in range(8)), 5)
    return made


def is_known(shop: RunningServer, key: str) -> bool:
    """Ask one of the workers whether it has heard of a placement."""
    ask = {"placements": [{"id": key}]}
    return shop.call("POST", "/v1/serve", ask).status_code == 200


@contextmanager
def rollout_page(
    chromium: Browser, shop: RunningServer, key: str, **options: object
) -> Iterator[Page]:
    """Open the page of a rollout."""
    with opened_console(chromium, shop, scope="merchandiser", **options) as page:  # type: ignore[arg-type]  # passed on
        page.goto(f"{shop.address}/console/rollouts/{key}")
        expect(page.get_by_role("heading", level=1)).to_have_text(key)
        yield page


def stored(shop: RunningServer, key: str) -> dict[str, object]:
    """Read a rollout."""
    found: dict[str, object] = shop.call("GET", f"/v1/rollouts/{key}", scope="admin").json()
    return found


def variants(shop: RunningServer, key: str, n: int = 20) -> set[str]:
    """Ask both workers what some people get."""
    return {shop.serve(key, user={"user_id": f"p{i}"})[0]["rollout"]["variant"] for i in range(n)}


def wait_for(shop: RunningServer, key: str, expected: set[str]) -> float:
    """Wait until all pages are so, and return how long that took, in s."""
    begin = time.monotonic()
    wait_until(lambda: variants(shop, key, 6) == expected, 5)
    return time.monotonic() - begin


def set_share(page: Page, percent: str) -> None:
    """Type a share."""
    page.get_by_label("Share of the people who are treated", exact=True).fill(percent)


def test_moved_share_is_in_effect_within_a_second(
    chromium: Browser, shop: RunningServer, key: str
) -> None:
    """A jump of ten times asks first, with whom it moves; then pages follow in both workers."""
    with rollout_page(chromium, shop, key) as page:
        slider = page.get_by_role("slider")
        slider.fill("60")
        expect(page.get_by_label("Share of the people who are treated", exact=True)).to_have_value(
            "60"
        )
        expect(page.locator("#reach")).to_contain_text("people seen in the last 30 days")
        set_share(page, "100")
        expect(slider).to_have_value("100")
        page.get_by_role("button", name="Move the share").click()
        expect(page.get_by_role("heading", name="Please confirm")).to_be_visible()
        assert stored(shop, key)["share"] == 0.1
        assert_fit_for_all(page)
        page.get_by_role("button", name="Yes, move it to 100 %").click()
        assert wait_for(shop, key, {"personal"}) < WITHIN_S
        expect(page.locator("[data-toast]")).to_contain_text("treats 100 % of its units now")


def test_kill_switch_is_one_click(chromium: Browser, shop: RunningServer, key: str) -> None:
    """Everyone is in control within a second; resuming brings them back."""
    shop.call("PATCH", f"/v1/rollouts/{key}", {"share": 1.0, "confirm": True}, scope="admin")
    wait_for(shop, key, {"personal"})
    with rollout_page(chromium, shop, key) as page:
        page.get_by_role("button", name="Kill").click()
        assert wait_for(shop, key, {"control"}) < WITHIN_S
        expect(page.locator("#switch")).to_contain_text("killed")
        page.get_by_role("button", name="Resume").click()
        assert wait_for(shop, key, {"personal"}) < WITHIN_S


def test_undo_takes_a_change_back(chromium: Browser, shop: RunningServer, key: str) -> None:
    """From the history."""
    with rollout_page(chromium, shop, key) as page:
        set_share(page, "20")
        page.get_by_role("button", name="Move the share").click()
        expect(page.locator("#history")).to_contain_text("share 10 % → 20 %")
        page.get_by_role("button", name="Back to here").first.click()
        expect(page.locator("#share-now")).to_contain_text("now 10 %")
        assert stored(shop, key)["share"] == 0.1


def test_two_editors_see_each_other(chromium: Browser, shop: RunningServer, key: str) -> None:
    """An open page follows at once; who had typed already is told, keeps it, and can apply it."""
    with (
        rollout_page(chromium, shop, key) as first,
        rollout_page(chromium, shop, key) as second,
        rollout_page(chromium, shop, key) as reader,
    ):
        set_share(second, "40")
        set_share(first, "30")
        first.get_by_role("button", name="Move the share").click()
        expect(reader.locator("#share-now")).to_contain_text("now 30 %")
        expect(reader.get_by_role("slider")).to_have_value("30")
        expect(second.get_by_role("alert")).to_contain_text("was changed by merchandiser Ann")
        second.get_by_role("button", name="Move the share").click()
        expect(second.locator("#conflict")).to_contain_text("changed this while you were editing")
        expect(second.locator("#conflict del")).to_have_text(["10 %", "1"])
        assert_fit_for_all(second)
        assert stored(shop, key)["share"] == 0.3
        second.get_by_role("button", name="Apply to the new state").click()
        expect(second.locator("#share-now")).to_contain_text("now 40 %")


def test_report_is_drawn(chromium: Browser, shop: RunningServer) -> None:
    """Verdict, pictures, the tables behind them, a file."""
    with rollout_page(chromium, shop, "home_recs") as page:
        expect(page.locator(".verdict")).to_contain_text("Too early")
        lift = page.get_by_role("img", name="Lift of click-through by epoch")
        expect(lift.first).to_be_visible()
        with page.expect_navigation():
            page.get_by_role("link", name="Conversion").click()
        page.get_by_text("Table of “Lift of every metric”").click()
        table = page.get_by_role("group", name="Table of Lift of every metric")
        expect(table.get_by_role("row")).not_to_have_count(1)
        with page.expect_download() as download:
            page.get_by_role("link", name="CSV of Lift of every metric").click()
        text = download.value.path().read_text(encoding="utf-8")
        assert text.startswith("\ufeffMetric,Variant,Lift")  # the mark by which Excel knows UTF-8
        assert_fit_for_all(page)


def test_forms_work_without_script(chromium: Browser, shop: RunningServer, key: str) -> None:
    """Preview, share, edit, kill: each is a form and a page."""
    with rollout_page(chromium, shop, key, look=Look(has_script=False)) as page:
        set_share(page, "30")
        page.get_by_role("button", name="Whom does it move?").click()
        expect(page.locator("#reach")).to_contain_text("people seen in the last 30 days")
        page.get_by_role("button", name="Move the share").click()
        wait_until(lambda: stored(shop, key)["share"] == 0.3, WITHIN_S)
        page.get_by_role("link", name="Edit").click()
        page.get_by_label("Countries").fill("AE, SA")
        page.get_by_label("Starts").fill("2099-01-01T10:00")
        page.get_by_role("button", name="Save the changes").click()
        expect(page.locator("#facts")).to_contain_text("country is AE or SA")
        expect(page.locator("#switch")).to_contain_text("starts in")
        page.get_by_role("button", name="Kill").click()
        wait_until(lambda: stored(shop, key)["killed"] is True, WITHIN_S)


def test_every_page_is_fit_for_all(chromium: Browser, shop: RunningServer, key: str) -> None:
    """axe-core finds nothing, nothing scrolls sideways, light and dark, at 360 and 1440 px."""
    ramp = {
        "steps": [{"share": 0.1, "min_hours": 1}, {"share": 0.5, "min_hours": 1, "min_units": 9}]
    }
    shop.call("PATCH", f"/v1/rollouts/{key}", {"ramp": ramp}, scope="admin")
    with opened_console(chromium, shop, scope="merchandiser") as page:
        rollout = f"/console/rollouts/{key}"
        for path in (
            "/console",
            "/console/rollouts",
            "/console/rollouts/new",
            rollout,
            f"{rollout}/edit",
            f"{rollout}/json",
            f"{rollout}/plan?baseline=5",
        ):
            page.goto(shop.address + path)
            assert_fit_for_all(page)


def test_long_keys_wrap(chromium: Browser, shop: RunningServer) -> None:
    """One of 200 characters without a place to break leaves every column in the window."""
    key = "k" * 200
    shop.put(f"/v1/rollouts/{key}", {"share": 0.5, "name": "n" * 200})
    try:
        with opened_console(chromium, shop) as page:
            page.goto(f"{shop.address}/console/rollouts")
            row = page.get_by_role("row").filter(has_text=key)
            for look in LOOKS:
                look_at(page, look)
                assert_sound(page)
                box = row.get_by_role("button", name="Kill").bounding_box()
                assert box is not None
                assert box["x"] + box["width"] <= look.width
    finally:
        shop.call("DELETE", f"/v1/rollouts/{key}", scope="admin")


def test_keyboard_reaches_the_slider(chromium: Browser, shop: RunningServer, key: str) -> None:
    """Skip link, then the form; arrows move the share."""
    with rollout_page(chromium, shop, key) as page:
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        page.get_by_role("slider").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_label("Share of the people who are treated", exact=True)).to_have_value(
            "11"
        )


def test_enter_in_a_field_saves(chromium: Browser, shop: RunningServer, key: str) -> None:
    """And does not press the button that draws the fields of a flag's values."""
    with rollout_page(chromium, shop, key) as page:
        page.goto(f"{shop.address}/console/rollouts/{key}/edit")
        page.get_by_label("Name (optional)", exact=True).fill("By keyboard")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("Saved.")
        assert stored(shop, key)["name"] == "By keyboard"
        page.goto(f"{shop.address}/console/rollouts/new")
        page.get_by_label("Key", exact=True).fill(f"{key}_too")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text(f"{key}_too")


def test_deletion_asks_in_a_dialog(chromium: Browser, shop: RunningServer, key: str) -> None:
    """No leaves it, yes deletes it."""
    with rollout_page(chromium, shop, key) as page:
        page.get_by_text("More", exact=True).click()
        page.get_by_role("button", name="Delete this rollout").click()
        expect(page.get_by_role("dialog")).to_contain_text(f"Delete {key}?")
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Delete this rollout").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete this rollout").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Rollouts")
        assert shop.call("GET", f"/v1/rollouts/{key}", scope="admin").status_code == 404


def test_other_role_is_refused(chromium: Browser, shop: RunningServer, key: str) -> None:
    """Rollouts are not in a trainer's menu, and not to be had by address."""
    with opened_console(chromium, shop, scope="trainer") as page:
        expect(page.get_by_role("navigation", name="Console")).not_to_contain_text("Rollouts")
        page.goto(f"{shop.address}/console/rollouts/{key}")
        expect(page.get_by_role("heading", level=1)).to_have_text("You may not do this")
        assert_fit_for_all(page)


def test_foreign_form_changes_nothing(chromium: Browser, shop: RunningServer, key: str) -> None:
    """A form with another token is refused as a page."""
    with rollout_page(chromium, shop, key) as page:
        page.evaluate("document.querySelector('#share-form [name=form_token]').value = 'x'")
        set_share(page, "20")
        page.get_by_role("button", name="Move the share").click()
        expect(page.get_by_text("was not made for this session")).to_be_visible()
        assert stored(shop, key)["share"] == 0.1
