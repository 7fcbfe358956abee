"""Placements, rules, banners and the preview, as a merchandiser uses them."""

from collections.abc import Iterator
from contextlib import contextmanager
from struct import pack
from zlib import compress, crc32

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.console_pages import Look, assert_fit_for_all, opened_console
from tests.end_to_end.running_server import RunningServer

pytestmark = pytest.mark.browser

SVG = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1 1'/>"


@pytest.fixture(scope="module", autouse=True)
def furnished(shop: RunningServer) -> None:
    """Add a place for banners to the shop."""
    shop.put("/v1/placements/home_hero", {"kind": "banners"})


@contextmanager
def merchandiser(
    chromium: Browser, shop: RunningServer, *, has_script: bool = True
) -> Iterator[Page]:
    """Sign in; the pictures of the simulated catalogue are those of /demo."""
    look = Look(has_script=has_script)
    with opened_console(chromium, shop, scope="merchandiser", look=look) as page:
        page.route(
            "**/demo/pictures/*",
            lambda route: route.fulfill(content_type="image/svg+xml", body=SVG),
        )
        yield page


def png(red: int, size: int = 3) -> bytes:
    """Make a small picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + kind + data + pack(">I", crc32(kind + data))

    rows = b"".join(b"\0" + bytes((red, 90, 60)) * size for _ in range(size))
    head = pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", compress(rows))
        + chunk(b"IEND", b"")
    )


def served(shop: RunningServer, placement: str = "home_recs", **request: object) -> list[str]:
    """List what a shopper sees."""
    [slate] = shop.serve(placement, **request)
    return [one["id"] for one in slate.get("items") or slate.get("banners") or []]


def test_rule_is_seen_before_it_is_saved_and_undone_after(
    chromium: Browser, shop: RunningServer
) -> None:
    """Find the item by its name, see it pinned beside the form, save, look at a page, undo."""
    with merchandiser(chromium, shop) as page:
        page.goto(f"{shop.address}/console/rules")
        page.get_by_role("link", name="Make the first rule").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("New rule")
        assert_fit_for_all(page)
        page.get_by_label("Name (optional)", exact=True).fill("Product of the week")
        page.get_by_label("Find items by name").fill("mug")
        found = page.get_by_role("button", name="Add")
        expect(found.last).to_be_visible()
        item_id = str(found.last.get_attribute("value"))
        assert served(shop)[0] != item_id
        found.last.click()
        beside = page.locator("#beside")
        expect(beside.locator(".ware.pinned").first).to_be_visible()
        expect(beside.locator(".ware.pinned .ware-mark")).to_be_visible()
        assert served(shop)[0] != item_id
        assert_fit_for_all(page)
        with page.expect_navigation():
            page.get_by_role("button", name="Make the rule").click()
        expect(page.get_by_role("status")).to_contain_text("Saved")
        shop.assert_live()
        assert served(shop)[0] == item_id
        page.get_by_label("Position", exact=True).fill("3")
        expect(beside.locator(".ware.pinned .ware-place")).to_contain_text("3")
        with page.expect_navigation():
            page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("status")).to_contain_text("Saved")
        shop.assert_live()
        assert served(shop)[2] == item_id
        assert_fit_for_all(page)
        page.get_by_role("button", name="Go back to this").last.click()
        page.get_by_role("dialog").get_by_role("button", name="Go back to this").click()
        expect(page.get_by_role("status")).to_contain_text("as it was")
        shop.assert_live()
        assert served(shop)[0] == item_id
        page.goto(f"{shop.address}/console/rules")
        assert_fit_for_all(page)
        page.get_by_role("button", name="Switch off").click()
        expect(page.get_by_role("status")).to_contain_text("is off")
        shop.assert_live()
        assert served(shop)[0] != item_id


def test_two_editors_of_a_rule(chromium: Browser, shop: RunningServer) -> None:
    """The second one sees what differs and by whom, and may save all the same."""
    shop.put(
        "/v1/rules/shared",
        {"action": "hide", "select": {"item_ids": ["p00001"]}, "name": "Shared"},
    )
    with merchandiser(chromium, shop, has_script=False) as page:
        page.goto(f"{shop.address}/console/rules/shared")
        page.get_by_label("Name (optional)", exact=True).fill("Mine")
        shop.put(
            "/v1/rules/shared",
            {"action": "hide", "select": {"item_ids": ["p00001"]}, "name": "Theirs"},
        )
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Somebody else was quicker")
        assert "Theirs" in str(page.locator(".diff").text_content())
        page.get_by_role("button", name="Save mine instead").click()
        expect(page.get_by_label("Name (optional)", exact=True)).to_have_value("Mine")
    stored = shop.call("GET", "/v1/rules/shared", scope="admin").json()
    assert (stored["name"], stored["select"]["item_ids"]) == ("Mine", ["p00001"])
    shop.call("DELETE", "/v1/rules/shared", scope="admin")


def test_rule_is_made_without_script(chromium: Browser, shop: RunningServer) -> None:
    """The button shows the preview, a wrong field says what is wrong, and the rule is saved."""
    with merchandiser(chromium, shop, has_script=False) as page:
        page.goto(f"{shop.address}/console/rules/new")
        page.get_by_label("It", exact=True).select_option("bury")
        page.get_by_label("Brands").fill("Kestette")
        page.get_by_label("How strongly").fill("0.5")
        page.get_by_role("button", name="Make the rule").click()
        assert "the strength is above 1" in str(page.locator(".error").first.text_content())
        page.get_by_label("How strongly").fill("5")
        page.get_by_label("What, line 1").select_option("country")
        page.get_by_label("Values, line 1").fill("AE, SA")
        page.get_by_role("button", name="Preview").click()
        expect(page.locator("#beside .filled")).not_to_have_count(0)
        page.get_by_role("button", name="Make the rule").click()
        expect(page).to_have_url(f"{shop.address}/console/rules/rule")
    stored = shop.call("GET", "/v1/rules/rule", scope="admin").json()
    assert (stored["action"], stored["factor"]) == ("bury", 0.2)
    assert stored["audience"] == {"op": "in", "attribute": "country", "values": ["AE", "SA"]}
    shop.call("DELETE", "/v1/rules/rule", scope="admin")


def test_placement_is_changed_beside_its_preview(chromium: Browser, shop: RunningServer) -> None:
    """A shorter slate is seen at once, on both sides of the rollout, and served once saved."""
    with merchandiser(chromium, shop) as page:
        page.goto(f"{shop.address}/console/placements")
        assert_fit_for_all(page)
        with page.expect_navigation():  # a preview follows what is typed once the script is there
            page.get_by_role("link", name="home_recs").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("home_recs")
        beside = page.locator("#beside")
        expect(beside.locator(".filled")).to_have_count(2)
        page.get_by_label("How many").fill("4")
        page.get_by_label("Your list, one id a line").fill("p00003\np00004")
        expect(beside.get_by_text("No longer here").first).to_be_visible()
        expect(beside.locator(".filled").last.locator(".ware").first).to_contain_text("your list")
        assert_fit_for_all(page)
        with page.expect_navigation():
            page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("status")).to_contain_text("Saved")
        shop.assert_live()
        assert served(shop)[:2] == ["p00003", "p00004"]
        assert len(served(shop)) == 4
        page.get_by_role("button", name="Go back to this").click()
        page.get_by_role("dialog").get_by_role("button", name="Go back to this").click()
        expect(page.get_by_role("status")).to_contain_text("as it was")
        shop.assert_live()
        assert len(served(shop)) == 6


def test_new_schedule_is_on_the_clock_of_who_makes_it(
    chromium: Browser, shop: RunningServer
) -> None:
    """Midnight in UTC is one in the morning of Berlin; what has times keeps their zone."""
    timed = {"starts_at": "2026-11-27T00:00:00", "time_zone": "Asia/Dubai"}
    about = {"action": "hide", "select": {"item_ids": ["p00001"]}, "enabled": False}
    shop.put("/v1/rules/timed", {**about, **timed})
    look = Look(zone="Europe/Berlin")
    with opened_console(chromium, shop, scope="merchandiser", look=look) as page:
        for path, zone in (
            ("banners/new", "Europe/Berlin"),
            ("rules/new", "Europe/Berlin"),
            ("rules/timed", "Asia/Dubai"),
        ):
            page.goto(f"{shop.address}/console/{path}")
            expect(page.get_by_label("On the clock of")).to_have_value(zone)
    with opened_console(chromium, shop, look=Look(zone="Asia/Kathmandu")) as page:
        page.goto(f"{shop.address}/console/rules/new")
        expect(page.get_by_label("On the clock of")).to_have_value("UTC")
    shop.call("DELETE", "/v1/rules/timed", scope="admin")


def test_enter_in_a_search_saves_nothing(chromium: Browser, shop: RunningServer) -> None:
    """What is half written would be in effect within a second; it goes to what is found."""
    shop.put("/v1/rules/searched", {"action": "hide", "select": {"item_ids": ["p00001"]}})
    with merchandiser(chromium, shop) as page:
        page.goto(f"{shop.address}/console/rules/searched")
        page.get_by_label("Name (optional)", exact=True).fill("Half written")
        page.get_by_label("Find items by name").fill("mug")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Add").first).to_be_focused()
        page.set_viewport_size({"width": 480, "height": 600})
        with page.expect_navigation():
            page.keyboard.press("Enter")
        expect(page.get_by_label("Items, one id a line")).to_be_in_viewport()
        rule = shop.call("GET", "/v1/rules/searched", scope="admin").json()
        assert rule.get("name") is None
        shop.call("DELETE", "/v1/rules/searched", scope="admin")
        shop.assert_live()
        page.goto(f"{shop.address}/console/rules")
        gap = """(card) => card.getBoundingClientRect().top
          - card.previousElementSibling.getBoundingClientRect().bottom"""
        assert page.get_by_role("region", name="Deleted").evaluate(gap) >= 16


def test_refused_form_leads_to_what_is_wrong(chromium: Browser, shop: RunningServer) -> None:
    """Which in a narrow window is far below what says that something is."""
    with merchandiser(chromium, shop) as page:
        page.set_viewport_size({"width": 480, "height": 600})
        page.goto(f"{shop.address}/console/banners/new")
        for label, typed in (
            ("Title", "Sale"),
            ("or link one", "/sale.jpg"),
            ("Leads to", "/sale"),
            ("From", "2026-11-27T00:00"),
            ("Until", "2026-11-26T00:00"),
        ):
            page.get_by_label(label).first.fill(typed)
        with page.expect_navigation():
            page.get_by_role("button", name="Make the banner").click()
        expect(page.get_by_text("swap them or leave one out")).to_be_in_viewport()


def test_banner_is_uploaded_seen_and_capped(chromium: Browser, shop: RunningServer) -> None:
    """Its picture is on the page that is served; the third look finds it resting."""
    with merchandiser(chromium, shop) as page:
        page.goto(f"{shop.address}/console/banners")
        page.get_by_role("link", name="Make the first banner").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("New banner")
        assert_fit_for_all(page)
        page.get_by_label("Title").fill("Tea time")
        page.get_by_label("Leads to").fill("/tea")
        picture = {"name": "tea.svg", "mimeType": "image/png", "buffer": b"<svg onload='1'/>"}
        page.get_by_label("Upload a picture").set_input_files(picture)  # type: ignore[arg-type]  # a dict of its shape
        page.get_by_role("button", name="Make the banner").click()
        expect(page.get_by_text("this is an SVG, which may run scripts")).to_be_visible()
        picture = {"name": "tea.png", "mimeType": "image/png", "buffer": png(200)}
        page.get_by_label("Upload a picture").set_input_files(picture)  # type: ignore[arg-type]  # as above
        page.get_by_label("Rests after being seen").fill("2")
        page.get_by_role("button", name="Make the banner").click()
        expect(page.get_by_role("status")).to_contain_text("Saved")
        shown = page.locator("#beside img").first
        expect(shown).to_be_visible()
        assert shown.evaluate("img => img.decode().then(() => img.naturalWidth)") == 3
        assert_fit_for_all(page)
        visitor = {"anonymous_id": "banner-test"}
        [slate] = shop.serve("home_hero", user=visitor)
        [banner] = slate["banners"]
        assert banner["image_url"].startswith("/v1/pictures/")
        assert served(shop, "home_hero", user=visitor) == ["tea-time"]
        resting = page.get_by_text("has seen it as often as its cap allows")
        for _ in range(20):  # another worker knows of a view some tenths of a second later
            page.goto(
                f"{shop.address}/console/preview?as_anonymous=banner-test&as_why=tea-time"
                "&placement=home_hero"
            )
            if resting.count():
                break
        expect(resting).to_be_visible()
        page.goto(f"{shop.address}/console/banners")
        expect(page.get_by_role("row", name="Tea time")).to_contain_text("live")
        assert_fit_for_all(page)


def test_banner_is_made_without_script(chromium: Browser, shop: RunningServer) -> None:
    """A picture that is linked, a schedule on the clock of Dubai."""
    with merchandiser(chromium, shop, has_script=False) as page:
        page.goto(f"{shop.address}/console/banners/new")
        page.get_by_label("Title").fill("Later")
        page.get_by_label("or link one").fill("/later.png")
        page.get_by_label("Leads to").fill("/later")
        page.get_by_label("From (optional)").fill("2099-01-01T00:00")
        page.get_by_label("On the clock of").fill("Asia/Dubai")
        page.get_by_role("button", name="Make the banner").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Later")
        expect(page.get_by_text("scheduled")).not_to_have_count(0)
    stored = shop.call("GET", "/v1/banners/later", scope="admin").json()
    assert (stored["starts_at"], stored["time_zone"]) == ("2099-01-01T00:00:00", "Asia/Dubai")
    shop.call("DELETE", "/v1/banners/later", scope="admin")


def test_preview_as_a_shopper_says_why(chromium: Browser, shop: RunningServer) -> None:
    """Somebody's own list with the pinned product on top, and the reason for what is missing."""
    shop.put(
        "/v1/rules/first",
        {"action": "pin", "position": 1, "select": {"item_ids": ["p00009"]}, "name": "The first"},
    )
    shop.put("/v1/rules/never", {"action": "hide", "select": {"item_ids": ["p00010"]}})
    with merchandiser(chromium, shop) as page:
        page.goto(f"{shop.address}/console/preview")
        page.get_by_label("Shopper (optional)").fill("shopper-1")
        page.get_by_label("Variant").select_option("personal")
        page.get_by_label("Why is it not here?").fill("p00010, nothing-like-it")
        page.get_by_role("button", name="Look").click()
        card = page.locator(".card", has=page.get_by_role("heading", name="home_recs"))
        expect(card.locator(".ware").first).to_contain_text("pinned")
        expect(card.get_by_text("The rule “never” hides it.")).to_be_visible()
        expect(card.get_by_text("It is not in the catalogue.")).to_be_visible()
        expect(card.get_by_text("personal (forced)")).to_be_visible()
        assert_fit_for_all(page)
        page.get_by_label("Segments").fill("value:regular")
        page.get_by_label("At (UTC)").fill("2030-01-01T10:00")
        page.get_by_role("button", name="Look").click()
        expect(page.get_by_label("At (UTC)")).to_have_value("2030-01-01T10:00")
    for rule_id in ("first", "never"):
        shop.call("DELETE", f"/v1/rules/{rule_id}", scope="admin")
