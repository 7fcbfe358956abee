"""Layers, the holdout, prerequisites, typed values and the planner, clicked through in Chromium."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.console_pages import ALL_LOOKS, Look, assert_fit_for_all, opened_console
from tests.end_to_end.running_server import RunningServer

pytestmark = [pytest.mark.browser, pytest.mark.untimed]


@pytest.fixture
def tidy(shop: RunningServer) -> Iterator[RunningServer]:
    """Take the layer, the flag and the holdout away again."""
    yield shop
    for path in ("rollouts/campaign", "rollouts/other", "rollouts/banner-text", "layers/home"):
        shop.call("DELETE", f"/v1/{path}", scope="admin")
    shop.call("DELETE", "/v1/holdout", scope="admin")


def merchandiser(page: Page, shop: RunningServer, path: str) -> None:
    """Go to a page of the console."""
    page.goto(f"{shop.address}/console/{path}")


def test_layer_is_made_and_divided(chromium: Browser, tidy: RunningServer) -> None:
    """Make one, give a rollout 40 % of it and another the rest; what is not left is refused."""
    tidy.put("/v1/rollouts/campaign", {"share": 0.1})
    tidy.put("/v1/rollouts/other", {"share": 0.1})
    with opened_console(chromium, tidy, scope="merchandiser") as page:
        merchandiser(page, tidy, "rollouts")
        page.get_by_role("link", name="Layers and holdout").click()
        assert_fit_for_all(page, ALL_LOOKS)
        page.get_by_role("link", name="Make the first layer").click()
        page.get_by_label("Name (optional)").fill("Home")
        assert_fit_for_all(page, ALL_LOOKS)
        page.get_by_role("button", name="Make the layer").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Home")
        for key, share in (("campaign", "40"), ("other", "70")):
            merchandiser(page, tidy, f"rollouts/{key}/edit")
            page.get_by_role("combobox", name="Layer").select_option("home")
            page.get_by_label("How much of it, % (optional)").fill(share)
            with page.expect_navigation():
                page.get_by_role("button", name="Save the changes").click()
        problem = page.locator("#e-layer_share")
        expect(problem).to_have_text("only 60 % of this layer can be had; others have the rest")
        assert_fit_for_all(page, ALL_LOOKS)
        page.get_by_label("How much of it, % (optional)").fill("60")
        page.get_by_role("button", name="Save the changes").click()
        expect(page.get_by_text("Saved.")).to_be_visible()
        merchandiser(page, tidy, "layers/home")
        expect(page.get_by_role("table", name="Parts of the layer")).to_contain_text("60 %")
        assert_fit_for_all(page, ALL_LOOKS)
    slots = tidy.call("GET", "/v1/layers/home/slots", scope="admin").json()["slots"]
    assert [(one["first"], one["last"], one["rollout"]) for one in slots] == [
        (0, 399, "campaign"),
        (400, 999, "other"),
    ]


def test_prerequisite_is_picked(chromium: Browser, tidy: RunningServer) -> None:
    """A rollout and its variant in one choice."""
    tidy.put("/v1/rollouts/campaign", {"share": 0.1})
    tidy.put("/v1/rollouts/other", {"share": 0.1})
    with opened_console(chromium, tidy, scope="merchandiser") as page:
        merchandiser(page, tidy, "rollouts/campaign/edit")
        page.get_by_role("combobox", name="Only if").select_option("other personal")
        page.get_by_role("button", name="Save the changes").click()
        expect(page.get_by_text("other is personal")).to_be_visible()
    found = tidy.call("GET", "/v1/rollouts/campaign", scope="admin").json()
    assert found["prerequisites"] == [{"rollout": "other", "variants": ["personal"]}]


def test_holdout_is_seen_before_it_is_set(chromium: Browser, tidy: RunningServer) -> None:
    """Slide, see who would be in it, save, see the history, end it."""
    with opened_console(chromium, tidy, scope="merchandiser") as page:
        merchandiser(page, tidy, "holdout")
        assert_fit_for_all(page, ALL_LOOKS)
        page.get_by_label("Share of everybody who is held out", exact=True).fill("20")
        expect(page.locator("#held")).to_contain_text("then")
        page.get_by_role("button", name="Hold them out").click()
        expect(page.get_by_text("20 % of everybody is held out.")).to_be_visible()
        assert_fit_for_all(page, ALL_LOOKS)
        assert tidy.call("GET", "/v1/holdout", scope="admin").json()["share"] == 0.2
        page.get_by_role("button", name="End it").click()
        page.get_by_role("dialog").get_by_role("button", name="End it").click()
        expect(page.get_by_text("Rollouts reach everybody again.")).to_be_visible()
    assert tidy.call("GET", "/v1/holdout", scope="admin").status_code == 404


@pytest.mark.parametrize("has_script", [True, False])
def test_flag_is_made_and_its_values_changed(
    chromium: Browser, tidy: RunningServer, has_script: bool
) -> None:
    """A text, then a number with another value for each variant; with and without script."""
    look = Look(has_script=has_script)
    with opened_console(chromium, tidy, scope="merchandiser", look=look) as page:
        merchandiser(page, tidy, "rollouts/new")
        page.get_by_label("Key").fill("banner-text")
        choose_type(page, "string", has_script)
        page.get_by_label("The treatment answers").fill("Free delivery")
        page.get_by_label("Control answers").fill("Welcome")
        page.get_by_role("button", name="Make it").click()
        expect(page.get_by_text("answers Free delivery")).to_be_visible()
        merchandiser(page, tidy, "rollouts/banner-text/edit")
        choose_type(page, "float", has_script)
        page.get_by_label("It answers").first.fill("a lot")
        page.get_by_label("Control answers").fill("1")
        page.get_by_role("button", name="Save the changes").click()
        expect(page.locator("#e-variant_value_1")).to_have_text(
            "'a lot' is no number; write it as 12.5"
        )
        page.get_by_label("It answers").first.fill("2,5")
        if has_script:
            assert_fit_for_all(page, ALL_LOOKS)
        page.get_by_role("button", name="Save the changes").click()
        expect(page.get_by_text("answers 2.5")).to_be_visible()
    found = tidy.call("GET", "/v1/rollouts/banner-text", scope="admin").json()
    assert (found["value_type"], found["control_value"]) == ("float", 1.0)
    assert found["variants"][0]["value"] == 2.5


def choose_type(page: Page, value: str, has_script: bool) -> None:
    """Choose what a flag answers; the fields follow by themselves, or after a button."""
    field = page.locator("#f-value_type")
    if not has_script:
        field.select_option(value)
    with page.expect_navigation():
        if has_script:
            field.select_option(value)
        else:
            page.get_by_role("button", name="Show its fields").click()
    expect(page.get_by_label("Control answers")).to_be_visible()


def test_planner_begins_with_what_was_seen(chromium: Browser, shop: RunningServer) -> None:
    """The rollout of the shop has traffic; another lift is one more line."""
    with opened_console(chromium, shop, scope="merchandiser") as page:
        merchandiser(page, shop, "rollouts/home_recs/plan")
        page.get_by_label("In control now, % (optional)").fill("5")
        page.get_by_label("Lift worth seeing, % (optional)").fill("7")
        page.get_by_role("button", name="Work it out").click()
        expect(page.get_by_role("row", name="+7 %")).to_be_visible()
        assert_fit_for_all(page, ALL_LOOKS)
