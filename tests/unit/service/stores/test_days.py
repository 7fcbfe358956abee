"""Sums by day over a real store, with every number worked out by hand."""

from collections.abc import Callable, Sequence

import pytest

from service.exposure import Exposure
from service.stores.days import (
    MAX_CHANNELS,
    OTHER_CHANNELS,
    Buyers,
    DayEvents,
    DayOrders,
    read_days,
    read_shown,
)
from service.stores.event_log import EventLog
from service.stores.event_schema import EventFlag
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from service.stores.retention import expire_rows
from service.stores.rollout_sums import STAGES
from service.stores.rollup import open_rollup
from service.stores.rollup_days import DAY_MS
from service.stores.rollup_erasing import erase_units
from tests.unit.service.intake.samples import slate

Commit = Callable[..., EventLog]


@pytest.fixture
def commit(event_log: EventLog) -> Commit:
    path = event_log

    def write(exposures: Sequence[Exposure] = (), events: Sequence[StoredEvent] = ()) -> EventLog:
        store = open_event_store(path, opened_ms=1)
        store.commit(Batch(events, exposures))
        store.close(2)
        return path

    return write


def on_day(exposure_id: str, day: int, **fields: object) -> Exposure:
    return slate(exposure_id, at_ms=day * DAY_MS + 1_000, **fields)


def did(event_id: str, kind: int, day: int, **fields: object) -> StoredEvent:
    at_ms = day * DAY_MS + 2_000
    row = StoredEvent(event_id, kind, at_ms, at_ms, user_key="u", item_id="p1")
    return row._replace(**fields)  # type: ignore[arg-type]  # one dict for every field


def bought(event_id: str, day: int, price: float, **fields: object) -> StoredEvent:
    return did(event_id, 3, day, quantity=1.0, price=price, **fields)


def funnel(path: EventLog, day: int) -> dict[str, int]:
    counts: dict[str, int] = {}
    for stage in read_days(path, day, day).stages:
        name = STAGES[stage.stage]
        counts[name] = counts.get(name, 0) + stage.n
    return counts


def test_stages_stand_on_the_day_of_the_exposure(commit: Commit) -> None:
    """Two slates of day 3, one drawn and clicked twice, the click a day later; day 4 has none.

    A slate without a rollout counts too, and one of a crawler does not.
    """
    path = commit(
        [
            on_day("x1", 3),
            on_day("x2", 3, rollout_key=None, variant=None, reason=None, epoch=None),
            on_day("x3", 3, reason="ROBOT"),
        ],
        [
            did("e1", 16, 3, exposure_id="x1", item_id=None),
            did("e2", 1, 4, exposure_id="x1"),
            did("e3", 1, 4, exposure_id="x1"),
        ],
    )
    assert funnel(path, 3) == {"served": 2, "rendered": 1, "click": 1}
    assert funnel(path, 4) == {}


def test_events_count_by_day_kind_and_channel(commit: Commit) -> None:
    """Two views of the web are one row; a bot's is nobody's; a future one is of its arrival."""
    path = commit(
        events=[
            did("e1", 0, 5, channel="web"),
            did("e2", 0, 5, channel="web"),
            did("e3", 0, 5, channel="web", flags=int(EventFlag.BOT)),
            did("e4", 3, 9, received_ms=5 * DAY_MS, quantity=2.0, price=3.0),
        ]
    )
    assert read_days(path, 0, 99).events == [
        DayEvents(5, 0, "web", 2, 2.0, 0.0),
        DayEvents(5, 3, "", 1, 2.0, 6.0),
    ]


def test_channels_beyond_the_busiest_stand_together(commit: Commit) -> None:
    """Of 61 channels the 50 with most events of these days stand alone, and nothing is lost.

    Each has an order of 1.0 on day 5, and fifty a view besides; one of the other eleven is called
    as all of them together are, and one has more views than any, but on another day.
    """
    names = [f"ch{number:02}" for number in range(60)]
    orders = [
        bought(f"e{name}", 5, 1.0, order_id=f"o{name}", channel=name)
        for name in [*names, OTHER_CHANNELS]
    ]
    views = [did(f"v{name}", 0, 6, channel=name) for name in names[-MAX_CHANNELS:]]
    later = [did(f"w{number}", 0, 9, channel="ch00") for number in range(3)]
    path = commit(events=[*orders, *views, *later])
    found = read_days(path, 5, 6)
    assert {one.channel for one in found.events} == {*names[10:], OTHER_CHANNELS}
    assert {one.channel for one in found.orders} == {*names[10:], OTHER_CHANNELS}
    others = [one for one in found.orders if one.channel == OTHER_CHANNELS]
    assert others == [DayOrders(5, OTHER_CHANNELS, 11, 11, 11.0, 11.0)]
    assert sum(one.n for one in found.events) == 61 + MAX_CHANNELS
    assert "ch00" in {one.channel for one in read_days(path, 5, 9).events}


def test_lines_make_orders(commit: Commit) -> None:
    """Two lines of one number are one order, also when they come apart; so are two of a day."""
    commit(events=[bought("e1", 5, 10.0, order_id="o1"), bought("e2", 5, 1.0, user_key="v")])
    path = commit(
        events=[
            bought("e3", 5, 2.0, order_id="o1"),
            bought("e4", 5, 4.0, user_key="v"),
            bought("e5", 5, 7.0, user_key=None),
            did("e6", 3, 6, user_key="v"),
        ]
    )
    found = read_days(path, 5, 6)
    assert found.orders == [
        DayOrders(5, "", 3, 3, 5.0, 10 + 1 + 2 + 4 + 7),
        DayOrders(6, "", 1, 0, 1.0, 0.0),
    ]
    assert found.buyers == Buyers(n=2, n_repeat=1, n_orders=3)


def test_items_count_as_often_as_they_were_shown(commit: Commit) -> None:
    """Three slates of two items; a banner is no item, and day 9 was not asked for."""
    path = commit(
        [
            on_day("x1", 3),
            on_day("x2", 4),
            on_day("x3", 4, reason="NO_UNIT"),
            on_day("x4", 4, kind="banners"),
            on_day("x5", 9),
        ]
    )
    assert read_shown(path, 3, 4) == {"p1": 3, "p2": 3}


@pytest.mark.parametrize(
    ("first", "last"), [(3, 3), (0, 6), (0, 7), (1, 13), (6, 7), (5, 29), (7, 20), (0, 34)]
)
def test_long_period_counts_each_day_once(commit: Commit, first: int, last: int) -> None:
    """One slate a day for five weeks: a period has as many as it has days, however blocks lie."""
    path = commit([on_day(f"x{day}", day) for day in range(35)])
    assert read_shown(path, first, last) == dict.fromkeys(("p1", "p2"), last - first + 1)


def test_erased_buyer_leaves_the_sums(commit: Commit) -> None:
    """The orders stay in the sums and nothing names who made them."""
    path = commit(events=[bought("e1", 5, 10.0), bought("e2", 5, 5.0, order_id="secret-number")])
    assert read_days(path, 5, 5).buyers.n == 1
    # Two orders, what was bought twice, the visit and the key.
    assert erase_units(path, ["u"]) == 6
    found = read_days(path, 5, 5)
    assert (found.buyers.n, found.orders[0].n, found.orders[0].value) == (0, 2, 15.0)
    assert _order_keys(path) == {"gone:1", "gone:2"}


def test_expired_purchases_name_no_buyer(commit: Commit) -> None:
    """With purchases kept for two days, an order of day 5 is nobody's on day 9; one of 8 stays."""
    path = commit(events=[bought("e1", 5, 10.0), bought("e2", 8, 5.0)])
    expire_rows(path, {"purchase": 2}, now_ms=9 * DAY_MS)
    found = read_days(path, 0, 9)
    assert (found.buyers.n, sum(one.n for one in found.orders)) == (1, 2)


def test_no_day_has_nothing(commit: Commit) -> None:
    """An empty store answers with nothing, and no division."""
    found = read_days(commit(), 0, 9)
    assert found == ([], [], [], Buyers(0, 0, 0), 0, [])


def _order_keys(path: EventLog) -> set[str]:
    connection = open_rollup(path, max_new=0)
    try:
        return {key for (key,) in connection.execute("SELECT order_key FROM orders")}
    finally:
        connection.close()
