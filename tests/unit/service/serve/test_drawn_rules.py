"""Whatever rules are drawn, the page of the tiny shop obeys them."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.control.rule import Rule
from service.exposure import Exposure
from tests.snapshots import ITEM_IDS
from tests.unit.service.serve.pages import (
    TINY,
    Recent,
    decide,
    items_of,
    items_placement,
    make_shelf,
    make_visit,
)
from tests.unit.service.serve.test_rules import rule

_item_ids = st.sampled_from(ITEM_IDS)
_selects = st.one_of(
    st.lists(_item_ids, min_size=1, max_size=3, unique=True).map(lambda ids: {"item_ids": ids}),
    st.sampled_from(["Home", "Home > Kitchen", "Garden"]).map(lambda one: {"categories": [one]}),
    st.sampled_from(["Acme", "Flora"]).map(lambda one: {"brands": [one]}),
    st.just({"without_interactions": True}),
)
_scheduled: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {},
        {"starts_at": "1972-09-28T00:00:00Z"},
        {"ends_at": "1972-09-27T00:00:00Z"},
        {"enabled": False},
    ]
)


@st.composite
def _rules(draw: st.DrawFn) -> list[Rule]:
    drawn = []
    for number in range(draw(st.integers(1, 5))):
        action = draw(st.sampled_from(["pin", "boost", "bury", "hide", "cap"]))
        values: dict[str, dict[str, Any]] = {
            "pin": {"position": draw(st.integers(1, 6))},
            "boost": {"factor": draw(st.floats(1.5, 50))},
            "bury": {"factor": draw(st.floats(0.01, 0.9))},
            "hide": {},
            "cap": {
                "max_items": draw(st.integers(1, 3)),
                "per": draw(st.sampled_from(["brand", "category", "selection"])),
            },
        }
        fields = {**values[action], **draw(_scheduled), "priority": draw(st.integers(0, 2))}
        drawn.append(rule(f"r{number}", action, draw(_selects), **fields))
    return drawn


@given(
    rules=_rules(),
    recipe=st.sampled_from(["for_you", "trending", "static", "recently_viewed"]),
    count=st.integers(1, 12),
    explore_share=st.sampled_from([0.0, 0.5]),
    viewed=st.lists(_item_ids, max_size=4),
    unit=st.integers(0, 1_000),
)
def test_page_obeys_the_rules(  # noqa: PLR0917  # hypothesis names what it draws
    rules: list[Rule],
    recipe: str,
    count: int,
    explore_share: float,
    viewed: Sequence[str],
    unit: int,
) -> None:
    """No hidden item, no cap broken, nothing twice, pins where they should be."""
    placement = items_placement(
        recipe=recipe, count=count, explore_share=explore_share, static_ids=["pot", "mug", "rose"]
    )
    shelf = make_shelf(placement, *rules)
    visit = make_visit(shelf, user_key=f"u{unit}", recent=[Recent(one) for one in viewed])
    [page] = decide(shelf, visit, "recs")
    shown = items_of(page)
    live = [one for one in rules if one.enabled and one.starts_at is None and one.ends_at is None]
    assert len(shown) == len(set(shown)) <= count
    assert not _selected(live, "hide") & set(shown)
    for one in live:
        if one.action == "cap" and one.per == "selection":
            assert len(_selected([one], "cap") & set(shown)) <= (one.max_items or 0)
    _check_pins(page.exposure, live, count)
    if not live:
        bare = make_shelf(placement)
        [plain] = decide(bare, visit, "recs")
        assert items_of(plain) == shown


def _selected(rules: Sequence[Rule], action: str) -> set[str]:
    """List the ids that rules of an action select, worked out apart from the code."""
    found: set[str] = set()
    items = TINY.items
    for row, item_id in enumerate(ITEM_IDS):
        category, brand = int(items.category_rows[row]), int(items.brand_rows[row])
        for one in rules:
            select = one.select
            if (
                one.action == action
                and (not select.item_ids or item_id in select.item_ids)
                and (
                    not select.categories
                    or (
                        category >= 0
                        and f"{items.categories.id(category)} > ".startswith(
                            f"{select.categories[0]} > "
                        )
                    )
                )
                and (not select.brands or (brand >= 0 and items.brands.id(brand) in select.brands))
                and (not select.without_interactions or items.n_interactions[row] == 0)
            ):
                found.add(item_id)
    return found


def _check_pins(exposure: Exposure, live: Sequence[Rule], count: int) -> None:
    pinned = {one.position: one for one in exposure.shown if one.source == "pin"}
    n_shown = len(exposure.shown)
    assert all(one.propensity == 1.0 for one in pinned.values())
    wanted = {one.position for one in live if one.action == "pin" and one.position is not None}
    for position, one in pinned.items():
        # At its position, or closed up behind the last one where candidates ran out.
        assert position in wanted or any(later > position for later in wanted)
        assert one.id in _selected(live, "pin")
        assert position <= count
    pins = [one for one in live if one.action == "pin"]
    if len(pins) == 1 and not any(one.action in {"hide", "cap"} for one in live):
        [only] = pins
        if (only.position or 0) <= n_shown and set(only.select.item_ids) - {"gone"}:
            assert only.position in pinned
