"""The catalogue of the storefront, on the tiny shop, whose lists are worked out by hand."""

from dataclasses import replace

import msgspec
import pytest

from models.ragged import Texts
from service.control.configuration import Configuration
from service.control.documents import Banner, ItemStatus, Placement
from service.storefront.catalogue import Catalogue, slug_of
from service.storefront.slots import slots_of
from tests.snapshots import tiny_snapshot

EMPTY = Configuration()


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """Read the tiny shop."""
    return Catalogue(tiny_snapshot())


def _ids(catalogue: Catalogue, path: str, configuration: Configuration = EMPTY) -> list[str]:
    return [product.id for product in catalogue.listing(path, configuration)[0]]


def test_category_lists_what_is_below_it_by_popularity(catalogue: Catalogue) -> None:
    """Kitchen holds mugs too; `gone` cannot be bought, and `köpek` is in no category."""
    assert _ids(catalogue, "Home > Kitchen") == ["mug", "pan", "cup", "pot", "newmug"]
    assert _ids(catalogue, "Garden") == ["rose", "spade"]
    assert _ids(catalogue, "")[:3] == ["rose", "mug", "lamp"]
    assert "köpek" in _ids(catalogue, "")
    assert catalogue.listing("Home", EMPTY, page=2) == ([], 7)


def test_changes_of_the_control_plane_are_seen_at_once(catalogue: Catalogue) -> None:
    """What is hidden or out of stock leaves the lists, what came back is in them."""
    changed = Configuration.compile(
        1,
        [
            ItemStatus(item_id="mug", hidden=True),
            ItemStatus(item_id="pan", available=False),
            ItemStatus(item_id="gone", available=True),
            ItemStatus(item_id="of another model", hidden=True),
        ],
    )
    assert _ids(catalogue, "Home > Kitchen", changed) == ["cup", "pot", "newmug"]
    assert _ids(catalogue, "Garden", changed) == ["rose", "gone", "spade"]
    assert catalogue.product("mug", changed) is None
    pan = catalogue.product("pan", changed)
    assert pan is not None
    assert not pan.is_available


def test_departments_are_a_tree_with_addresses(catalogue: Catalogue) -> None:
    """Every level of a path has an address, and its children below it."""
    assert [one.name for one in catalogue.departments] == ["Garden", "Home"]
    home = catalogue.by_slug["home"]
    assert [child.path for child in home.children] == ["Home > Kitchen", "Home > Light"]
    assert catalogue.by_slug["home/kitchen/mugs"].url == "/demo/shop/home/kitchen/mugs"
    assert slug_of("Früh & Spät > 50 % off!") == "früh-spät/50-off"


def test_item_without_a_picture_is_drawn(catalogue: Catalogue) -> None:
    """The tiny shop has no pictures, so each item gets the address of its drawing."""
    known = catalogue.product("köpek", EMPTY)
    assert known is not None
    assert known.image_url == "/demo/pictures/k%C3%B6pek.svg"
    assert known.url == "/demo/items/k%C3%B6pek"
    assert catalogue.product("nobody", EMPTY) is None


def test_slot_shows_the_list_of_the_merchandiser(catalogue: Catalogue) -> None:
    """First the static list, then the best, no item twice on the page; no placement, no slot."""
    configuration = Configuration.compile(
        1,
        [
            Banner(id="sale", title="Sale", image_url="/a", link_url="/b", enabled=False),
            Banner(id="new", title="New", image_url="/a", link_url="/b"),
            Placement(id="home_hero", kind="banners", static_ids=("nobody", "sale", "new")),
            Placement(id="home_recs", kind="items", count=3, static_ids=("pot", "gone", "pan")),
            Placement(id="home_trending", kind="items", count=2),
            Placement(id="category_picks", kind="items", enabled=False),
        ],
    )
    hero, recs, trending = slots_of("home", configuration, catalogue)
    assert hero.banner is not None
    assert hero.banner.id == "new"
    assert [product.id for product in recs.products] == ["pot", "pan", "rose"]
    assert [product.id for product in trending.products] == ["mug", "lamp"]
    assert slots_of("category", configuration, catalogue) == []
    assert slots_of("home", EMPTY, catalogue) == []


def test_item_with_a_structured_card_is_read() -> None:
    """Attributes given as a struct become words; a card may be empty."""
    snapshot = tiny_snapshot()
    card = msgspec.json.encode({"attributes": {"colour": "sage"}, "image_url": "https://x/y.jpg"})
    cards = Texts.of([card, *(b"" for _ in range(len(snapshot.items.ids) - 1))])
    catalogue = Catalogue(replace(snapshot, items=replace(snapshot.items, cards=cards)))
    mug, cup = catalogue.product("mug", EMPTY), catalogue.product("cup", EMPTY)
    assert mug is not None
    assert (mug.attributes, mug.image_url) == (("colour:sage",), "https://x/y.jpg")
    assert cup is not None
    assert (cup.title, cup.price) == ("cup", None)
