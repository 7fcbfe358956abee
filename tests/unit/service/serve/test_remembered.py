"""Slates that are asked for again: kept as text, and nobody can tell."""

import asyncio

import msgspec

from service.control.configuration import Configuration
from service.control.documents import Banner, Document, Placement
from service.exposure import Exposure
from service.serve.engine import Clock, Engine
from service.serve.page import ItemSlate, Page
from service.serve.profiles import Profiles
from service.serve.remembered import OTHER_BYTES, FilledText, Key, RememberedSlates, Room
from service.serve.request import Context, Options, PlacementRequest, ServeRequest, User
from service.serve.shelf import Shelf
from service.serve.slate_text import SlateText
from service.serve.stock import Stock
from service.stores.exposure_rows import exposure_rows
from service.telemetry.stages import Stopwatch
from tests.snapshots import TRAINED_MS
from tests.unit.service.serve.pages import TINY, Recent, items_placement
from tests.unit.service.serve.test_engine import PSEUDONYMS, Store

OFFER = Banner(id="offer", title="Offer", image_url="https://i", link_url="https://l")
TEXT = FilledText(
    SlateText(msgspec.Raw(b"[]"), msgspec.Raw(b"[]")), ids=(), tier="static", degraded=None
)
TOP = Placement(id="top", kind="banners", count=1)


class Shop:
    """An engine that knows what ann did, whose every id is the same and whose clock stands."""

    def __init__(self, *documents: Document) -> None:
        configuration = Configuration.compile(1, documents)
        store = Store()
        store.held[PSEUDONYMS.pseudonym("user_id", "ann")] = (Recent("rose"),)
        self.engine = Engine(
            configuration=lambda: configuration,
            snapshot=lambda: TINY,
            recent=store,
            pseudonymiser=PSEUDONYMS,
            clock=Clock(now_ms=lambda: TRAINED_MS, monotonic_s=lambda: 0.0),
            make_id=lambda: "id",
        )
        self.asked = ServeRequest(
            placements=tuple(
                PlacementRequest(id=one.id) for one in documents if isinstance(one, Placement)
            ),
            user=User(user_id="ann"),
        )

    def at_once(self) -> tuple[Page, list[Exposure]]:
        """Ask for the page the short way."""
        found = self.engine.serve_at_once(self.asked, Stopwatch(lambda: 0.0))
        assert found is not None
        return found

    def usual(self, *, as_text: bool = False) -> tuple[Page, list[Exposure]]:
        """Ask for it as a batch does, or as the route does."""
        watch = Stopwatch(lambda: 0.0)
        return asyncio.run(self.engine.serve(self.asked, watch, as_text=as_text))


def test_page_and_log_are_the_same_however_often_it_is_asked_for() -> None:
    """Banners and items, the first time, as text, and the usual way in between."""
    shop = Shop(TOP, items_placement("recs"), items_placement("more"), OFFER)
    page, exposures = shop.usual()
    answer, rows = msgspec.json.encode(page), exposure_rows(exposures)
    assert b'"offer"' in answer
    for ask in (*[shop.at_once] * 4, shop.usual, *[shop.at_once] * 3):
        again, logged = ask()
        assert msgspec.json.encode(again) == answer
        assert exposure_rows(logged) == rows


def test_slot_behind_a_remembered_one_repeats_nothing() -> None:
    """Which ids stand in text is known without reading it."""
    shop = Shop(items_placement("recs"), items_placement("more"))
    pages = [msgspec.json.decode(_json(shop)) for _ in range(4)]
    for page in pages:
        first, second = ({item["id"] for item in slot["items"]} for slot in page["placements"])
        assert first
        assert not first & second


def test_only_who_encodes_gets_text() -> None:
    """Whoever reads a page has structs, of a slate that was remembered as text, too."""
    shop = Shop(items_placement("recs"))
    for ask, kind in (
        (shop.at_once, msgspec.Raw),
        (shop.usual, tuple),
        (shop.at_once, msgspec.Raw),
        (shop.usual, tuple),
    ):
        page, (exposure,) = ask()
        assert _kind_of(page) is type(exposure.shown) is kind
    _, (exposure,) = shop.usual()
    assert [one.position for one in exposure.shown] == [1, 2, 3]


def test_log_that_counts_views_has_them_of_banners() -> None:
    """A cap on any banner asks each exposure of banners what it shows."""
    capped = msgspec.convert(
        {**msgspec.to_builtins(OFFER), "cap": {"max_views": 1, "hours": 1}}, Banner
    )
    shop = Shop(TOP, items_placement("recs"), capped)
    for _ in range(3):
        _, (banners, items) = shop.at_once()
        assert [one.id for one in banners.shown] == ["offer"]
        assert _is_text(items.shown)


def test_explained_page_is_never_text() -> None:
    """What explains it would go into the log with it."""
    shop = Shop(items_placement("recs"))
    shop.asked = msgspec.structs.replace(shop.asked, options=Options(explain=True))
    for ask in (shop.at_once, lambda: shop.usual(as_text=True)):
        page, (exposure,) = ask()
        assert _kind_of(page) is type(exposure.shown) is tuple


def test_slates_that_are_not_remembered_are_text_as_well() -> None:
    """A page about an item: the bytes of the answer and of the row are those of structs."""
    shop = Shop(items_placement("recs"))
    shop.asked = msgspec.structs.replace(shop.asked, context=Context(item_ids=("rose",)))
    structs, logged = shop.usual()
    text, logged_text = shop.at_once()
    assert _kind_of(structs) is tuple
    assert _kind_of(text) is msgspec.Raw
    assert msgspec.json.encode(text) == msgspec.json.encode(structs)
    assert exposure_rows(logged_text) == exposure_rows(logged)


def test_what_is_remembered_is_counted_until_it_is_forgotten() -> None:
    """In a room that many share; a full memory is emptied, and one that is gone takes none."""
    room = Room()
    each = OTHER_BYTES + TEXT.text.n_bytes
    memory, other = (RememberedSlates(max_bytes=2 * each, room=room) for _ in range(2))
    other.keep(_key(0), TEXT)
    for n in range(2):
        memory.keep(_key(n), TEXT)
    assert room.n_bytes == 3 * each
    memory.keep(_key(2), TEXT)
    assert [memory.get(_key(n)) for n in range(3)] == [None, None, TEXT]
    assert room.n_bytes == 2 * each
    del memory
    assert room.n_bytes == each


def test_shoppers_who_were_seen_last_keep_their_slates() -> None:
    """Who was there longest ago goes when slates take too much room, and what they took with it."""
    stock = Stock(TINY)
    shelf = Shelf(stock, Configuration.compile(1, ()))
    each = OTHER_BYTES + TEXT.text.n_bytes
    profiles = Profiles(max_slate_bytes=3 * each)
    for name in ("ann", "ben", "cem", "ann", "dia", "eva"):
        remembered = profiles.get(stock, name, None, ()).remembered(shelf)
        if remembered.get(_key(0)) is None:
            remembered.keep(_key(0), TEXT)
        del remembered
    shoppers = ("ann", "ben", "cem", "dia", "eva")
    assert [one for one in shoppers if profiles.last_as(one, None)] == ["ann", "cem", "dia", "eva"]
    profiles.get(stock, "fay", None, ())
    assert profiles.room.n_bytes == 3 * each
    profiles.forget_all()
    assert profiles.room.n_bytes == 0


def _key(n: int) -> Key:
    return ("recs", "for_you", n, None, 0, 0)


def _json(shop: Shop) -> bytes:
    return msgspec.json.encode(shop.at_once()[0])


def _is_text(value: object) -> bool:
    return isinstance(value, msgspec.Raw)


def _kind_of(page: Page) -> type:
    slate = page.placements[0]
    assert isinstance(slate, ItemSlate)
    return type(slate.items)
