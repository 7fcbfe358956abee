"""The parts of the shopper view, with every number worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from models.events import InteractionKind
from models.snapshot import Snapshot
from models.vocabulary import MISSING_ROW
from service.exposure import Shown
from service.serve.profile import Profile
from service.serve.stock import Stock
from service.shopper.affinity import CategoryFactors
from service.shopper.story import tell
from service.shopper.view import (
    Affinity,
    Arm,
    Knowledge,
    SegmentOf,
    add_up,
    collect_orders,
    join_outcomes,
)
from service.stores.person_reads import PersonEvent, PersonExposure, Slates
from service.stores.rollup_days import DAY_MS
from tests.snapshots import tiny_snapshot
from tests.unit.service.serve.pages import Recent

PURCHASE, REFUND, CLICK = 3, 4, 1
NOBODY = Knowledge(version="v", is_known=False, history_items=0, purchased_items=0)


def did(kind: int, at_ms: int, item: str = "mug", **fields: object) -> PersonEvent:
    row = PersonEvent(at_ms, kind, at_ms, item, None, None, None, None, None, None, None)
    return row._replace(**fields)  # type: ignore[arg-type]  # one dict for every field


def test_lines_become_orders() -> None:
    """Order o: 2 × 5 + 1 × 3 less the 5 taken back; the lines of day 9 without a number are one.

    A refund of an order that is no longer kept makes none.
    """
    nine = 9 * DAY_MS
    orders = collect_orders(
        [
            did(PURCHASE, nine + 7, price=1.0),
            did(PURCHASE, nine + 5, "pan", price=2.0),
            did(REFUND, 400, price=5.0, order_id="o"),
            did(REFUND, 300, price=9.0, order_id="gone"),
            did(PURCHASE, 200, "pan", price=3.0, order_id="o"),
            did(PURCHASE, 100, quantity=2.0, price=5.0, order_id="o"),
        ],
        {"mug": "The mug"},
    )
    assert [(one.order_id, one.at_ms, one.value, one.items) for one in orders] == [
        (None, nine + 5, 3.0, 2.0),
        ("o", 100, 8.0, 3.0),
    ]
    assert [line.title for line in orders[0].lines] == ["The mug", None]


def test_order_that_the_server_told_of_is_as_it_says() -> None:
    """Page and server name other prices; one is given back. Lines without a number are no order."""
    page = did(3, 1, price=3.0, order_id="o1")
    told = did(3, 2, price=2.5, order_id="o1", by_server=32)
    back = did(4, 3, price=1.0, order_id="o1")
    for events in ([back, told, page], [page, told, back]):
        [order] = collect_orders(events, {})
        assert (order.value, order.items, order.at_ms, len(order.lines)) == (1.5, 1.0, 2, 2)
    [order] = collect_orders([did(3, 1, price=3.0), did(3, 2, price=2.5, by_server=32)], {})
    assert order.value == 5.5


def test_totals_add_up() -> None:
    """Two orders of 4 and of unknown value: 4 is the average of those with one, 1 item each."""
    events = [
        did(PURCHASE, 9 * DAY_MS, channel="app"),
        did(PURCHASE, 2 * DAY_MS, price=4.0, channel="app"),
        did(0, 1),
    ]
    totals = add_up(events, collect_orders(events, {}))
    assert totals.events == {"view": 1, "purchase": 2}
    assert (totals.first_ms, totals.last_ms) == (1, 9 * DAY_MS)
    assert (totals.orders, totals.average_order_value, totals.items_per_order) == (2, 4.0, 1.0)
    assert totals.channels == {"app": 2, "": 1}
    assert add_up([], []).average_order_value is None


def test_slates_are_presence() -> None:
    """An event on day 2 between slates of day 1 and day 3: from day 1 to day 3."""
    slates = Slates(4, DAY_MS, 3 * DAY_MS)
    totals = add_up([did(CLICK, 2 * DAY_MS)], [], slates)
    assert (totals.slates, totals.first_ms, totals.last_ms) == (4, DAY_MS, 3 * DAY_MS)
    totals = add_up([did(CLICK, 9 * DAY_MS), did(CLICK, 0)], [], slates)
    assert (totals.first_ms, totals.last_ms) == (0, 9 * DAY_MS)


def test_outcomes_come_from_sums_and_from_events_that_name_the_slate() -> None:
    """Slate 1 was drawn, by the sums, and its mug bought, by the event; a refund is no outcome."""
    slate = PersonExposure(
        1, "x1", 5, "home", "items", "for_you", "personal", "r", "personal", "SPLIT", ""
    )
    shown = [
        Shown(id=item, position=i, source="graph", propensity=1.0)
        for i, item in enumerate(("pan", "mug"), 1)
    ]
    events = [
        did(PURCHASE, 9, exposure_id="x1"),
        did(REFUND, 10, exposure_id="x1"),
        did(CLICK, 9, exposure_id="other"),
    ]
    (seen,) = join_outcomes([slate], {"x1": shown}, {1: {16}}, events, {"mug": "The mug"})
    assert (seen.outcomes, seen.taken) == (["rendered", "purchase"], ["mug"])
    assert (seen.shown, seen.titles) == (["pan", "mug"], [None, "The mug"])


def profile(snapshot: Snapshot, *recent: Recent) -> Profile:
    return Profile(Stock(snapshot), MISSING_ROW, recent)


def test_categories_without_factors_are_those_of_the_history() -> None:
    """The tiny shop has no factors: a purchase counts 5 of 6 and a view 1 of 6."""
    snapshot = tiny_snapshot()
    shopper = profile(
        snapshot,
        Recent("lamp", InteractionKind.VIEW, 5),
        Recent("rose", InteractionKind.PURCHASE, 5),
    )
    found = CategoryFactors(snapshot).nearest(shopper)
    assert [one.category for one in found] == ["Garden", "Home > Light"]
    assert [one.history_share for one in found] == pytest.approx([5 / 6, 1 / 6], abs=1e-4)
    assert found[0].nearness is None


def test_category_of_the_same_direction_is_nearest() -> None:
    """Three mugs lie at (1, 0), three of the garden at (0, 1), five items at (0, 0).

    Less the mean of all, (3, 3)/11, mugs point at (8, -3)/√73 and the garden at (-3, 8)/√73. Who
    viewed the mug points at (1, 0); other categories have too few items for a mean.
    """
    snapshot = tiny_snapshot()
    factors = np.zeros((11, 2), dtype=np.float32)
    factors[[0, 1, 9]], factors[[4, 5, 8]] = (1, 0), (0, 1)
    snapshot = replace(
        snapshot, items=replace(snapshot.items, factors=factors, fold_in=2 * factors)
    )
    categories = CategoryFactors(snapshot)
    (found,) = categories.nearest(profile(snapshot, Recent("mug", InteractionKind.VIEW)))
    assert found.category == "Home > Kitchen > Mugs"
    assert found.nearness == pytest.approx(8 / np.sqrt(73), abs=1e-4)
    assert found.history_share == 1.0
    assert categories.nearest(profile(snapshot)) == []


def test_story_of_a_regular() -> None:
    """Six sentences, in the order of who, what, taste, group, treatment, knowledge."""
    events = [did(PURCHASE, 9 * DAY_MS, price=4.0, channel="app"), did(0, 8 * DAY_MS)]
    told = tell(
        add_up(events, collect_orders(events, {})),
        [SegmentOf(key="vip", source="model", priority=1, users=3)],
        [
            Affinity(category="Home > Kitchen", nearness=0.9, history_share=0.5),
            Affinity(category="Garden", nearness=0.8, history_share=0.5),
        ],
        [
            Arm(key="home", variant="personal", reason="SPLIT", detail=None, epoch=1, share=0.5),
            Arm(key="cart", variant="control", reason="SPLIT", detail=None, epoch=1, share=0.5),
        ],
        Knowledge(version="v", is_known=True, history_items=2, purchased_items=1),
        now_ms=11 * DAY_MS,
    )
    assert told == [
        "Last here 2 days ago; 2 interactions over 2 days, mostly in the channel app.",
        "1 order worth 4.00 with 1 item.",
        "Nearest to Kitchen and Garden.",
        "In the segment vip.",
        "Gets personal in home.",
        "What they see rests on 2 items of theirs.",
    ]


def test_story_of_a_visitor_who_only_looks() -> None:
    """Who was shown pages was here; days 1 to 3 are three."""
    told = tell(
        add_up([], [], Slates(4, DAY_MS, 3 * DAY_MS)), [], [], [], NOBODY, now_ms=5 * DAY_MS
    )
    assert told[0] == (
        "Last here 2 days ago; was shown 4 slates over 3 days, and nothing that they did is kept."
    )


def test_story_of_a_stranger() -> None:
    """Nothing is made up of somebody who was never here."""
    told = tell(add_up([], []), [], [], [], NOBODY, now_ms=0)
    assert told == [
        "Nothing that they did is kept.",
        "The model knows nothing of them: they see what their context and everybody likes.",
    ]
