"""The catalogue of the tiny shop, whose table stands in `tests.snapshots`."""

from dataclasses import replace

import numpy as np
import pytest

from models.errors import NotFoundError
from models.ragged import Texts
from models.snapshot import Snapshot
from service.catalogue.index import CatalogueIndex
from service.catalogue.reader import CatalogueReader
from service.catalogue.views import CatalogueView, Status
from service.control.configuration import Configuration
from service.control.documents import ItemStatus
from tests.snapshots import tiny_snapshot
from tests.unit.models.small_snapshot import make_snapshot


def view(*statuses: ItemStatus, shown: dict[str, int] | None = None) -> CatalogueView:
    configuration = Configuration.compile(1, statuses)
    return CatalogueView(CatalogueIndex(tiny_snapshot()), configuration, shown or {})


def found(
    catalogue: CatalogueView, query: str = "", status: Status = "all", limit: int = 50
) -> list[str]:
    return [item.id for item in catalogue.search(query, status, 0, limit).items]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("mug", ["mug", "cup", "newmug"]),
        ("MUG", ["mug", "cup", "newmug"]),
        ("the pan", ["pan"]),
        ("acme kitchen", ["mug", "cup", "newmug"]),
        ("basil", ["pan", "pot"]),
        ("KÖPEK", ["köpek"]),
        ("no such thing", []),
    ],
)
def test_search_holds_every_word(query: str, ids: list[str]) -> None:
    """Words are parts of id, title, category and brand; the id itself is first, then the popular.

    The title of the mug is "The mug", and cup and new mug are in the category of mugs.
    """
    assert sorted(found(view(), query)) == sorted(ids)
    assert found(view(), query)[:1] == ids[:1]


def test_search_without_words_lists_by_popularity() -> None:
    """The rose is the most popular; the page after the first two begins with the third."""
    assert found(view())[:3] == ["rose", "gone", "mug"]
    page = view().search("", "all", 2, 1)
    assert (page.total, page.offset, [item.id for item in page.items]) == (11, 2, ["mug"])


@pytest.mark.parametrize(
    ("status", "ids"),
    [
        ("hidden", ["rose"]),
        ("unavailable", ["mug"]),
        ("cold", ["newmug"]),
        ("unmatched", ["köpek"]),
        ("incomplete", ["köpek"]),
        ("not_shown", ["gone", "lamp", "pan", "cup", "spade", "bulb", "pot", "köpek", "newmug"]),
    ],
)
def test_statuses_tell_what_is_the_matter(status: Status, ids: list[str]) -> None:
    """The rose is hidden, the mug sold out; what was gone is back, so it could have been shown.

    An item that the model does not know has no row to be counted on.
    """
    catalogue = view(
        ItemStatus(item_id="rose", hidden=True),
        ItemStatus(item_id="mug", available=False),
        ItemStatus(item_id="gone", available=True),
        ItemStatus(item_id="unknown", hidden=True),
    )
    assert found(catalogue, status=status) == ids


def test_listed_item_says_what_is_set_and_missing() -> None:
    """Gone is sold out in the catalogue and was set to available; köpek has but a title and price.

    No picture is known of anything.
    """
    catalogue = view(ItemStatus(item_id="gone", available=True), shown={"gone": 7})
    gone = catalogue.search("gone", "all", 0, 1).items[0]
    assert (gone.available, gone.available_in_catalogue, gone.available_set) == (True, False, True)
    assert (gone.shown, gone.price, gone.missing) == (7, 8.0, ["image_url"])
    stranger = catalogue.search("köpek", "all", 0, 1).items[0]
    assert stranger.missing == ["category", "brand", "image_url"]
    assert stranger.available_set is None


def test_cold_item_names_whom_it_stands_next_to() -> None:
    """The new mug is recommended by the cup with 0.5 and by the mug with 0.4."""
    item = view().search("", "cold", 0, 9).items[0]
    assert [(one.id, one.weight) for one in item.next_to] == [("cup", 0.5), ("mug", 0.4)]


def test_item_has_its_neighbourhood() -> None:
    """Of the mug: cup and pan speak for it; it speaks for three, resembles three, sells a pan."""
    mug = view().item("mug")
    assert mug is not None
    assert [one.id for one in mug.item.next_to] == ["cup", "pan"]
    assert [one.id for one in mug.speaks_for] == ["cup", "pan", "newmug"]
    assert [one.id for one in mug.similar] == ["newmug", "cup", "pan"]
    assert [one.title for one in mug.bought_together] == ["The pan"]
    assert view().item("unknown") is None


def test_summary_counts_the_catalogue() -> None:
    """Nine of ten shown times fall on rose and mug (8 + 1 of 10); köpek is in no department."""
    shown = {"rose": 8, "mug": 1, "lamp": 1, "of an older catalogue": 9}
    summary = view(ItemStatus(item_id="rose", hidden=True), shown=shown).summary()
    assert (summary.items, summary.available, summary.hidden, summary.unavailable) == (11, 9, 1, 1)
    assert (summary.cold, summary.unmatched, summary.incomplete) == (1, 1, 1)
    assert (summary.shown, summary.not_shown, summary.effective) == (3, 7, 2)
    assert summary.missing["category"] == 1
    departments = {one.name: (one.items, one.shown, one.share) for one in summary.departments}
    assert departments == {
        "": (1, 0, 0.0),
        "Garden": (3, 1, 1 / 3),
        "Home": (7, 2, 2 / 7),
    }


def test_speakers_of_all_items_are_those_of_the_graph_turned_round() -> None:
    """Every weight of the graph comes out once, under the item that it speaks for."""
    index = CatalogueIndex(tiny_snapshot())
    speakers = index.speakers(list(range(len(index))), 99)
    graph = index.snapshot.graph.to_csr(len(index)).toarray()
    for row, found_speakers in speakers.items():
        turned = np.zeros(len(index), dtype=np.float32)
        for speaker in found_speakers:
            turned[speaker.row] = speaker.weight
        np.testing.assert_allclose(turned, graph[:, row])


@pytest.mark.parametrize(
    ("card", "is_unmatched"),
    [
        (b'{"price": 3.5}', True),
        (b'{"attributes": []}', True),
        (b'{"attributes": ["colour:blue"]}', False),
        (b'{"attributes": {"colour": "blue"}}', False),
        (b'{"title": "A lamp"}', False),
        (b"", True),
        (b"[]", True),
    ],
)
def test_price_alone_matches_nothing(card: bytes, is_unmatched: bool) -> None:
    """A price band gives an item content, and hundreds of others the same."""
    snapshot = tiny_snapshot()
    row = snapshot.items.ids.row("köpek")
    cards = [snapshot.items.cards[each] for each in range(11)]
    cards[row] = card
    content = np.ones_like(snapshot.items.content)
    items = replace(snapshot.items, cards=Texts.of(cards), content=content)
    index = CatalogueIndex(replace(snapshot, items=items))
    assert index.is_unmatched[row] == is_unmatched
    assert index.is_unmatched.sum() == is_unmatched


def test_reader_makes_the_index_once_a_model() -> None:
    """Without a model there is nothing to look into; another one is another index."""
    live: list[Snapshot] = []
    reader = CatalogueReader(lambda: live[-1] if live else None, Configuration, lambda _days: {})
    with pytest.raises(NotFoundError, match="endcap train"):
        reader.index()
    live.append(tiny_snapshot())
    assert reader.index() is reader.index()
    before = reader.index()
    live.append(make_snapshot())
    assert reader.index() is not before
    assert reader.view(7).summary().items == 3


def test_item_without_a_card_is_listed_by_its_id() -> None:
    """The lamp of the small snapshot has an empty card, no category, and a price."""
    index = CatalogueIndex(make_snapshot())
    lamp = CatalogueView(index, Configuration(), {}).item("lamp")
    assert lamp is not None
    assert (lamp.item.title, lamp.item.category, lamp.item.price) == (None, None, 3.0)
    assert lamp.item.missing == ["title", "category", "brand", "image_url"]
