"""Slates that are asked for again: kept as JSON, and nobody can tell."""

import asyncio
from typing import Any

import msgspec
import pytest

from service.control.configuration import Configuration
from service.control.documents import Banner, Document, Placement
from service.exposure import Exposure
from service.serve.engine import Clock, Engine
from service.serve.page import ItemSlate, Page
from service.serve.remembered import Filled, Texts
from service.serve.request import PlacementRequest, ServeRequest, User
from service.serve.stages import Stopwatch
from service.stores.exposure_rows import exposure_rows
from tests.snapshots import TRAINED_MS
from tests.unit.service.serve.pages import TINY, Recent, items_placement
from tests.unit.service.serve.test_engine import PSEUDONYMS, Store

OFFER = Banner(id="offer", title="Offer", image_url="https://i", link_url="https://l")
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

    def usual(self) -> tuple[Page, list[Exposure]]:
        """Ask for it as the route does."""
        return asyncio.run(self.engine.serve(self.asked, Stopwatch(lambda: 0.0)))


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


def test_third_time_it_is_text_and_the_usual_way_never() -> None:
    """Whoever reads a page has structs."""
    shop = Shop(items_placement("recs"))
    for ask, kind in (
        (shop.at_once, tuple),
        (shop.at_once, tuple),
        (shop.at_once, msgspec.Raw),
        (shop.usual, tuple),
        (shop.at_once, msgspec.Raw),
    ):
        page, (exposure,) = ask()
        assert _kind_of(page) is type(exposure.shown) is kind


def test_log_that_counts_views_gets_no_text() -> None:
    """A cap on any banner asks each exposure what it shows."""
    capped = msgspec.convert(
        {**msgspec.to_builtins(OFFER), "cap": {"max_views": 1, "hours": 1}}, Banner
    )
    shop = Shop(items_placement("recs"), capped)
    for _ in range(4):
        page, (exposure,) = shop.at_once()
        assert [one.position for one in exposure.shown] == [1, 2, 3]
        assert _kind_of(page) is tuple


def test_texts_are_as_many_as_there_is_room_for() -> None:
    """The oldest goes; its slate is remembered all the same."""
    texts = Texts(2)
    slates: list[Filled[Any]] = [Filled((), (), (str(n),), "static", None) for n in range(3)]
    assert [texts.make(one).ids for one in slates] == [("0",), ("1",), ("2",)]
    kept = [one.text is not None and one.text.filled is not None for one in slates]
    assert kept == [False, True, True]


def test_slate_whose_text_had_to_go_gets_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the page is the same, whoever pushed it out."""
    monkeypatch.setattr("service.serve.remembered._texts", Texts(1))
    shop = Shop(items_placement("recs"), items_placement("other"))
    alone = [
        msgspec.structs.replace(shop.asked, placements=(one,)) for one in shop.asked.placements
    ]
    pages = []
    for asked in (*alone * 4, alone[0], alone[0]):
        shop.asked = asked
        page, _ = shop.at_once()
        pages.append((_kind_of(page), msgspec.json.encode(page)))
    assert [kind for kind, _ in pages] == [tuple] * 4 + [msgspec.Raw] * 6
    assert {text for _, text in pages[::2]} == {pages[0][1]}
    assert {text for _, text in pages[1:9:2]} == {pages[1][1]}


def _json(shop: Shop) -> bytes:
    return msgspec.json.encode(shop.at_once()[0])


def _kind_of(page: Page) -> type:
    slate = page.placements[0]
    assert isinstance(slate, ItemSlate)
    return type(slate.items)
