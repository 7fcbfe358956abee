"""Insights worked out by hand from sums by day."""

from datetime import date
from pathlib import Path

import msgspec
import pytest

from models.artifact import ArtifactStore
from models.manifest import SegmentSummary
from service.insights.figures import (
    by_day,
    channels,
    coverage,
    funnels,
    segment_sizes,
    sum_orders,
)
from service.insights.reader import KEPT_MS, InsightsReader
from service.stores.days import OTHER_CHANNELS, Buyers, DayEvents, DayOrders, DayStage, DaySums
from service.stores.event_database import open_event_database
from service.stores.events import Batch, StoredEvent
from service.stores.rollup_days import DAY_MS
from service.stores.sqlite_events import SqliteEventStore
from tests.snapshots import tiny_snapshot
from tests.unit.models.small_snapshot import make_manifest

SUMS = DaySums(
    stages=[
        DayStage(10, "home", "items", "personal", 15, 8),
        DayStage(10, "home", "items", "personal", 16, 6),
        DayStage(10, "home", "items", "personal", 1, 3),
        DayStage(11, "home", "items", "popular", 15, 2),
        DayStage(11, "cart", "items", "popular", 15, 4),
        DayStage(11, "cart", "items", "popular", 3, 1),
    ],
    events=[
        DayEvents(10, 0, "web", 20, 20.0, 0.0),
        DayEvents(10, 3, "web", 3, 4.0, 40.0),
        DayEvents(11, 3, "app", 1, 2.0, 20.0),
        DayEvents(11, 4, "app", 1, 1.0, 10.0),
    ],
    orders=[DayOrders(10, "web", 2, 2, 4.0, 40.0), DayOrders(11, "app", 2, 1, 2.0, 20.0)],
    buyers=Buyers(n=2, n_repeat=1, n_orders=3),
)
NOTHING = DaySums([], [], [], Buyers(0, 0, 0))


def test_orders_are_summed() -> None:
    """60 over the 3 orders with a price is 20; 6 units over 4 orders; 3 orders of 2 buyers."""
    found = sum_orders(SUMS)
    assert (found.orders, found.value, found.refunded) == (4, 60.0, 10.0)
    assert (found.average_order_value, found.items_per_order) == (20.0, 1.5)
    assert (found.buyers, found.orders_per_buyer, found.repeat_share) == (2, 1.5, 0.5)


def test_empty_period_divides_nothing() -> None:
    """Without an order there is no average, and without an exposure no funnel that drops."""
    found = sum_orders(NOTHING)
    assert (found.average_order_value, found.items_per_order, found.orders_per_buyer) == (None,) * 3
    assert channels(NOTHING) == []
    overall, placements = funnels(NOTHING)
    assert [step.exposures for step in overall] == [0] * 6
    assert placements == []


def test_every_day_of_the_period_is_there() -> None:
    """Day 9 has nothing, day 10 has 8 exposures and 40 over 2 orders, day 11 two placements."""
    nothing, tenth, eleventh = by_day(SUMS, 9, 11)
    assert (nothing.date, nothing.served, nothing.average_order_value) == (
        date(1970, 1, 10),
        0,
        None,
    )
    assert (tenth.served, tenth.clicked, tenth.views, tenth.orders) == (8, 3, 20, 2)
    assert (tenth.average_order_value, tenth.items_per_order) == (20.0, 2.0)
    assert (eleventh.served, eleventh.orders, eleventh.average_order_value) == (6, 2, 20.0)


def test_funnel_drops_off_from_stage_to_stage() -> None:
    """Of 14 served 6 were drawn, half of these clicked; the busiest placement comes first."""
    overall, placements = funnels(SUMS)
    counts = {step.stage: step.exposures for step in overall}
    assert counts == {
        "served": 14, "rendered": 6, "viewable": 0, "click": 3, "add_to_cart": 0, "purchase": 1,
    }  # fmt: skip
    assert {step.stage: step.drop_off for step in overall}["click"] == 0.5
    assert [one.placement_id for one in placements] == ["home", "cart"]


def test_channels_share_the_interactions() -> None:
    """23 of 25 interactions came over the web, which sold 2 orders for 40."""
    web, app = channels(SUMS)
    assert (web.channel, web.interactions, web.share) == ("web", 23, 23 / 25)
    assert (web.orders, web.average_order_value) == (2, 20.0)
    assert (app.orders, app.value) == (2, 20.0)


def test_channels_that_stand_together_come_last() -> None:
    """The others are more than any channel of a name, and are none."""
    events = [DayEvents(10, 0, OTHER_CHANNELS, 90, 90.0, 0.0), DayEvents(10, 0, "web", 9, 9.0, 0.0)]
    found = channels(SUMS._replace(events=events))
    assert [one.channel for one in found] == ["web", OTHER_CHANNELS]
    assert [one.share for one in found] == [9 / 99, 90 / 99]


def test_coverage_counts_what_the_catalogue_holds() -> None:
    """Two of four shown items are in the catalogue of eight; nine tenths need three of the four."""
    shown = {"a": 50, "b": 30, "c": 15, "d": 5}
    found = coverage(8, shown, [True, True, False, False])
    assert (found.items, found.shown, found.share, found.effective) == (8, 2, 0.25, 3)
    assert coverage(0, {}, []).share is None


def test_segments_follow_the_versions() -> None:
    """An older version comes first; shares are of its own users."""
    few = SegmentSummary(
        users=5,
        orders=0,
        average_order_value=None,
        items_per_order=None,
        orders_per_month=None,
        channel_share={},
    )
    many = msgspec.structs.replace(few, users=30)
    new = make_manifest(version="b" * 16, created_at_ms=9, segments={"vip": many}, counts={})
    old = make_manifest(
        version="a" * 16, created_at_ms=1, segments={"vip": few}, counts={"users": 50}
    )
    found = segment_sizes([new, old])
    assert [(one.version[0], one.users, one.share) for one in found] == [
        ("a", 5, 0.1),
        ("b", 30, None),
    ]


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return open_event_database(tmp_path)


def test_reader_keeps_what_it_read(events: Path, tmp_path: Path) -> None:
    """An order that came since is seen once 15 seconds have passed, in the period of its day.

    The whole days to yesterday hold the order of 7 days ago, those before them that of 14.
    """
    now = [20 * DAY_MS + 1]
    reader = InsightsReader(events, ArtifactStore(tmp_path), tiny_snapshot, lambda: now[0])
    order(events, "e0", 6)
    order(events, "e1", 13)
    first = reader.read(7)
    assert (first.first_day, first.last_day) == (date(1970, 1, 15), date(1970, 1, 21))
    compared = first.compared
    assert (first.orders.orders, compared.sold.orders, compared.sold_before.orders) == (0, 1, 1)
    assert (compared.is_fair, compared.fair_from) == (False, date(1970, 1, 22))
    assert (first.coverage.items, first.coverage.shown) == (11, 0)
    order(events, "e2", 20)
    assert reader.read(7) is first
    now[0] += KEPT_MS + 1
    assert reader.read(7).orders.orders == 1
    assert reader.shown(7) == {}


def order(events: Path, event_id: str, day: int) -> None:
    at_ms = day * DAY_MS
    store = SqliteEventStore(events, opened_ms=1)
    line = StoredEvent(event_id, 3, at_ms, at_ms, user_key="u", item_id="p1", price=2.0)
    store.commit(Batch([line], []))
    store.close(2)
