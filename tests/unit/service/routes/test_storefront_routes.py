"""The shop at ``/demo`` without a script: every page, every form, and nothing where it is off."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.artifact import ArtifactStore
from service.storefront.shop import ASSETS
from tests.snapshots import tiny_snapshot
from tests.unit.service.routes.samples import Shop, open_client

SIGN = """{"name": "Acme & Co", "currency": "£",
           "personas": [{"user_id": "u1", "name": "Alice", "about": "mugs"}]}"""
BROWSER = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Open a storefront over the tiny shop."""
    home = tmp_path_factory.mktemp("home")
    artifacts = ArtifactStore(home)
    artifacts.promote(artifacts.publish(tiny_snapshot()))
    (home / "storefront.json").write_text(SIGN)
    with open_client(home, storefront=True) as client:
        shop = Shop(client)
        banner = {
            "title": "Mugs <b>now</b>",
            "image_url": "/demo/banners/mugs.svg",
            "link_url": "/demo/shop/home",
            "categories": ["Home > Kitchen > Mugs"],
        }
        hero = {"kind": "banners", "static_ids": ["mugs"]}
        shop.call("PUT", "/v1/banners/mugs", json=banner)
        shop.call("PUT", "/v1/placements/home_hero", json=hero)
        shop.call("PUT", "/v1/placements/home_recs", json={"kind": "items", "static_ids": ["pot"]})
        yield shop


@pytest.fixture(autouse=True)
def _new_browser(front: Shop) -> None:
    front.client.cookies.clear()


def test_shop_is_off_by_default(strict_shop: Shop) -> None:
    """Without the setting there is nothing at /demo, and no key for it."""
    for path in ("/demo", "/demo/items/mug", "/demo/pictures/mug.svg"):
        assert strict_shop.call("GET", path, scope=None).status_code == 404
    assert "storefront" not in strict_shop.call("GET", "/v1/keys").text


def test_home_page_is_marked_up_as_any_shop(front: Shop) -> None:
    """The key is publishable, the slots hold static content, and names are text."""
    page = front.call("GET", "/demo", scope=None)
    assert page.status_code == 200
    assert 'data-key="endcap_publishable_' in page.text
    assert 'data-endcap-placement="home_recs"' in page.text
    assert "The pot" in page.text
    assert "Mugs &lt;b&gt;now&lt;/b&gt;" in page.text
    assert "Acme &amp; Co" in page.text
    assert "home_trending" not in page.text  # it is not configured


def test_pages_allow_no_inline_script(front: Shop) -> None:
    """The policy names no 'unsafe-…', and no page has a script or a style in it."""
    for path in ("/demo", "/demo/shop/home", "/demo/items/mug", "/demo/basket", "/demo/items/x"):
        page = front.call("GET", path, scope=None)
        policy = page.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert page.text.count("<script") == page.text.count("<script src=")
        assert " style=" not in page.text
        assert " onclick=" not in page.text


def _keys(front: Shop) -> list[dict[str, str]]:
    keys = front.call("GET", "/v1/keys").json()["keys"]
    return [key for key in keys if key["name"].startswith("storefront")]


def test_key_of_the_shop_is_made_once(front: Shop) -> None:
    """It opens the serving routes only, and a second start finds the same one."""
    (key,) = _keys(front)
    assert key["scope"] == "publishable"
    with open_client(front.services.settings.home, storefront=True) as client:
        again = client.get("/demo").text
    secret = front.call("GET", "/demo", scope=None).text.split('data-key="')[1].split('"')[0]
    assert f'data-key="{secret}"' in again
    assert len(_keys(front)) == 1
    answer = front.client.post(
        "/v1/serve", json={"placements": [{"id": "home_recs"}]}, headers={"X-API-Key": secret}
    )
    assert answer.status_code == 200


def test_departments_and_items_have_pages(front: Shop) -> None:
    """A category lists its items, an item shows itself; what is not there is told on a page."""
    kitchen = front.call("GET", "/demo/shop/home/kitchen", scope=None)
    assert "5 items" in kitchen.text
    assert kitchen.text.index("The mug") < kitchen.text.index("The pan")
    assert "Add to basket" in front.call("GET", "/demo/items/mug", scope=None).text
    gone = front.call("GET", "/demo/items/gone", scope=None)
    assert "Out of stock" in gone.text
    for path in ("/demo/shop/nowhere", "/demo/items/nobody", "/demo/orders/nobody"):
        missing = front.call("GET", path, scope=None)
        assert (missing.status_code, "Not here" in missing.text) == (404, True)


def test_basket_and_order_work_without_a_script(front: Shop) -> None:
    """Put in twice, take out, buy: the forms lead through, and the order is confirmed once."""
    for item_id in ("mug", "mug", "nobody"):
        front.client.post("/demo/basket", data={"item_id": item_id}, headers=BROWSER)
    answer = front.client.post("/demo/basket", data={"item_id": "pan"}, headers=BROWSER)
    assert "2 ×" in answer.text
    assert "The pan" in answer.text
    answer = front.client.post("/demo/basket", data={"item_id": "pan", "do": "take_out"})
    assert "The pan" not in answer.text
    order = front.client.post("/demo/checkout", headers=BROWSER)
    assert 'data-item="mug" data-quantity="2"' in order.text
    assert front.client.get(order.url.path).status_code == 200
    assert "It is empty" in front.client.get("/demo/basket").text
    assert front.client.post("/demo/checkout").url.path == "/demo/basket"


def test_form_that_no_page_has_is_refused(front: Shop) -> None:
    """One of thousands of fields."""
    form = {**BROWSER, "Content-Type": "application/x-www-form-urlencoded"}
    body = b"&".join([b"user_id=u1"] * 5_001)
    answer = front.client.post("/demo/visitor", content=body, headers=form)
    assert (answer.status_code, "5000 fields" in answer.text) == (400, True)


def test_visitor_may_be_somebody_else(front: Shop) -> None:
    """A persona and consent are kept, and the browser comes back to where it was."""
    data = {"user_id": "u1", "back": "/demo/items/mug"}
    page = front.client.post("/demo/visitor", data=data)
    assert page.url.path == "/demo/items/mug"
    assert 'data-user="u1"' in page.text
    assert "<strong>Alice</strong>" in page.text
    page = front.client.post("/demo/visitor", data={"user_id": 'köpek "42"', "consent": "no"})
    assert 'data-user="köpek &#34;42&#34;"' in page.text
    assert 'data-consent="false"' in page.text
    page = front.client.post("/demo/visitor", data={"user_id": "", "consent": "yes"})
    assert "data-user" not in page.text
    assert 'data-consent="true"' in page.text


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example", "/v1/keys", "/demonic"]
)
def test_form_leads_nowhere_else(front: Shop, back: str) -> None:
    """Only a page of the shop is gone back to."""
    data = {"user_id": "", "back": back}
    answer = front.client.post("/demo/visitor", data=data, follow_redirects=False)
    assert answer.headers["location"] == "/demo"


@pytest.mark.parametrize(
    ("back", "place"),
    [
        ("/demo/items/köpek 50%", "/demo/items/k%C3%B6pek%2050%25"),
        ("/demo/\r\nSet-Cookie: a=b", "/demo/%0D%0ASet-Cookie%3A%20a%3Db"),
    ],
)
def test_form_leads_back_to_any_page(front: Shop, back: str, place: str) -> None:
    """An address in another script, or with a line break, is quoted in the header."""
    data = {"user_id": "", "back": back}
    answer = front.client.post("/demo/visitor", data=data, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, place)


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}]
)
def test_form_of_another_site_is_refused(front: Shop, headers: dict[str, str]) -> None:
    """A page elsewhere cannot fill the basket, with or without Sec-Fetch-Site."""
    answer = front.client.post("/demo/basket", data={"item_id": "mug"}, headers=headers)
    assert answer.status_code == 400
    assert "another site" in answer.json()["detail"]


def test_pictures_are_cached_and_run_nothing(front: Shop) -> None:
    """A picture has a tag, is not sent twice, and may load nothing."""
    for path in (
        "/demo/pictures/mug.svg",
        "/demo/pictures/k%C3%B6pek.svg",
        "/demo/banners/mugs.svg",
    ):
        picture = front.call("GET", path, scope=None)
        assert picture.headers["content-type"].startswith("image/svg+xml")
        assert picture.headers["content-security-policy"] == "default-src 'none'"
        tag = {"If-None-Match": f"W/{picture.headers['etag']}"}
        again = front.call("GET", path, scope=None, headers=tag)
        assert (again.status_code, again.content) == (304, b"")
    for path in ("/demo/pictures/nobody.svg", "/demo/banners/nobody.svg", "/demo/assets/x.js"):
        assert front.call("GET", path, scope=None).status_code == 404


def test_assets_are_small_and_kept_forever(front: Shop) -> None:
    """All of them together are under 48 KB, and their addresses change with them."""
    sizes = 0
    for name, media_type in ASSETS.items():
        answer = front.call("GET", f"/demo/assets/{name}", scope=None)
        assert answer.headers["content-type"].startswith(media_type)
        assert "immutable" in answer.headers["cache-control"]
        sizes += len(answer.content)
    assert sizes < 48 * 1024


def test_names_are_told(front: Shop) -> None:
    """Titles by id; an unknown id is left out."""
    answer = front.call("GET", "/demo/names?id=mug&id=nobody&id=k%C3%B6pek", scope=None)
    assert answer.json() == {"mug": "The mug", "köpek": "The köpek"}
    assert front.call("GET", "/demo/names", scope=None).json() == {}


def test_shop_waits_for_its_first_model(tmp_path: Path) -> None:
    """Before there is a model the page says so and looks again."""
    with open_client(tmp_path, storefront=True) as client:
        page = client.get("/demo")
        assert "shelves are being filled" in page.text
        assert 'http-equiv="refresh"' in page.text
        assert client.get("/demo/basket").status_code == 200
        assert client.get("/demo/items/mug").status_code == 404
        assert client.get("/demo/pictures/mug.svg").status_code == 404
        assert client.post("/demo/basket", data={"item_id": "mug"}).status_code == 200
