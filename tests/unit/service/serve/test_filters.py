"""What never stands on a page: twice the same, excluded, hidden, unavailable, over a cap."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from models.events import InteractionKind
from service.control.documents import ItemStatus, Placement
from service.serve.page import ItemSlate
from service.serve.request import Context, PlacementRequest
from tests.snapshots import ALICE, ITEM_IDS
from tests.unit.service.serve.pages import (
    TINY,
    Recent,
    decide,
    items_of,
    items_placement,
    make_shelf,
    make_visit,
)

_RECIPES = ["for_you", "similar_items", "bought_together", "trending", "recently_viewed", "static"]
_item_ids = st.sampled_from(ITEM_IDS)
_placements = st.lists(
    st.builds(
        items_placement,
        recipe=st.sampled_from(_RECIPES),
        count=st.integers(1, 12),
        static_ids=st.lists(st.sampled_from([*ITEM_IDS, "outside"]), unique=True, max_size=5),
        explore_share=st.sampled_from([0.0, 0.3, 0.5]),
        max_per_brand=st.none() | st.integers(1, 3),
        max_per_category=st.none() | st.integers(1, 3),
    ),
    min_size=1,
    max_size=3,
)


@given(
    placements=_placements,
    hidden=st.sets(_item_ids, max_size=3),
    sold_out=st.sets(_item_ids, max_size=3),
    excluded=st.sets(_item_ids, max_size=3),
    bought=st.sets(_item_ids, max_size=3),
    viewed=st.lists(_item_ids, max_size=5),
    context_ids=st.lists(_item_ids, max_size=3, unique=True),
    has_model=st.booleans(),
    unit=st.integers(0, 1_000),
)
def test_page_obeys_every_rule(  # noqa: PLR0917  # hypothesis names what it draws
    placements: list[Placement],
    hidden: set[str],
    sold_out: set[str],
    excluded: set[str],
    bought: set[str],
    viewed: list[str],
    context_ids: list[str],
    has_model: bool,
    unit: int,
) -> None:
    """Whatever is asked: no item twice, no more than asked, nothing filtered, no cap broken."""
    placements = [
        msgspec.structs.replace(one, id=f"recs{number}") for number, one in enumerate(placements)
    ]
    statuses = [ItemStatus(item_id=item_id, hidden=True) for item_id in hidden] + [
        ItemStatus(item_id=item_id, available=False) for item_id in sold_out - hidden
    ]
    shelf = make_shelf(*placements, *statuses, snapshot=TINY if has_model else None)
    events = [Recent(item_id) for item_id in viewed]
    events += [Recent(item_id, InteractionKind.PURCHASE) for item_id in bought]
    visit = make_visit(
        shelf, user_key=f"u{unit}", recent=events, context=Context(item_ids=tuple(context_ids))
    )
    asked = [PlacementRequest(id=one.id, exclude_item_ids=tuple(excluded)) for one in placements]
    pages = decide(shelf, visit, *asked)

    shown = [item_id for page in pages for item_id in items_of(page)]
    assert len(shown) == len(set(shown))
    barred = hidden | sold_out | excluded | set(context_ids)
    barred |= {"gone"} if has_model else set()
    assert not barred & set(shown)
    for placement, page in zip(placements, pages, strict=True):
        if has_model and page.exposure.recipe != "recently_viewed":
            assert not bought & set(items_of(page))
        assert len(items_of(page)) <= placement.size
        assert all(0 < one.propensity <= 1 for one in page.exposure.shown)
        if has_model and isinstance(page.slate, ItemSlate):
            _check_caps(placement, page.slate)


def _check_caps(placement: Placement, slate: ItemSlate) -> None:
    for cap, rows in (
        (placement.max_per_brand, TINY.items.brand_rows),
        (placement.max_per_category, TINY.items.category_rows),
    ):
        known = [rows[ITEM_IDS.index(one.id)] for one in slate.items if one.id in ITEM_IDS]
        counted = [row for row in known if row >= 0]
        assert cap is None or all(counted.count(row) <= cap for row in counted)


def test_earlier_placement_chooses_first() -> None:
    """The second placement goes on where the first one stopped."""
    shelf = make_shelf(items_placement("first", count=2), items_placement("second", count=2))
    first, second = decide(shelf, make_visit(shelf), "first", "second")
    assert (items_of(first), items_of(second)) == (["rose", "mug"], ["lamp", "pan"])


def test_available_again_overrides_the_catalogue() -> None:
    """An item that the catalogue calls unavailable stands there once it is set to available."""
    shelf = make_shelf(items_placement(), ItemStatus(item_id="gone", available=True))
    [page] = decide(shelf, make_visit(shelf), "recs")
    assert items_of(page) == ["rose", "gone", "mug"]


def test_unavailable_items_may_stand_where_the_placement_allows_it() -> None:
    """`only_available` off shows what cannot be bought, but never what is hidden."""
    placement = items_placement(only_available=False, count=11)
    shelf = make_shelf(placement, ItemStatus(item_id="mug", hidden=True))
    [page] = decide(shelf, make_visit(shelf), "recs")
    assert items_of(page)[:2] == ["rose", "gone"]
    assert "mug" not in items_of(page)


def test_hidden_item_that_the_model_does_not_know_leaves_the_static_list() -> None:
    """A hide works on the id, with or without a model."""
    placement = items_placement(static_ids=["x", "y", "z"])
    statuses = [ItemStatus(item_id="x", hidden=True), ItemStatus(item_id="y", available=False)]
    shelf = make_shelf(placement, *statuses, snapshot=None)
    [page] = decide(shelf, make_visit(shelf), "recs")
    assert items_of(page) == ["z"]


def test_cap_leaves_room_for_others() -> None:
    """One of a brand: alice's list would start with two of the mugs."""
    shelf = make_shelf(items_placement(max_per_brand=1))
    [page] = decide(shelf, make_visit(shelf, user_key=ALICE), "recs")
    assert items_of(page) == ["pot", "mug", "rose"]


def test_answer_carries_the_card_as_it_is() -> None:
    """The attributes are the catalogue's bytes, encoded once."""
    shelf = make_shelf(items_placement(count=1))
    [page] = decide(shelf, make_visit(shelf), "recs")
    answer = msgspec.json.decode(msgspec.json.encode(page.slate))
    assert answer["kind"] == "items"
    assert answer["items"][0]["attributes"] == {
        "title": "The rose",
        "category": "Garden",
        "brand": "Flora",
    }
    assert "parts" not in answer["items"][0]


def test_explained_parts_add_up_to_the_score() -> None:
    """With `explain` a personal score is split into its summands, others are not."""
    shelf = make_shelf(items_placement(count=9))
    [page] = decide(shelf, make_visit(shelf, user_key=ALICE, explain=True), "recs")
    assert isinstance(page.slate, ItemSlate)
    explained = [item for item in page.slate.items if item.parts]
    assert [item.id for item in explained[:3]] == ["pot", "mug", "cup"]
    for item in explained:
        assert item.parts
        total = item.parts.graph + item.parts.factors + item.parts.popularity
        assert abs(total - (item.score or 0)) < 1e-5
    assert page.slate.items[-1].parts is None
