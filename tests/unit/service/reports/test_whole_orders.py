"""An order is in one place, with all its lines and with what is paid back of it."""

from pathlib import Path

import pytest

from service.exposure import Exposure
from service.stores.event_database import connect_derived
from service.stores.event_log import ROLLUP, EventLog
from service.stores.event_schema import EventFlag
from service.stores.outcomes import read_outcomes
from service.stores.personal_rows import delete_rows
from service.stores.rollout_sums import ArmSums
from service.stores.rollup_erasing import erase_units
from tests.unit.service.reports.test_named_deeds import (
    AT_MS,
    CART,
    PURCHASE,
    REFUND,
    Store,
    did,
    rows_of_deeds,
    shown,
    store,
)

__all__ = ["store"]

CLICK = 1
DAY_MS = 86_400_000
LATER_MS = AT_MS + 5 * DAY_MS
"""When unit a is shown something again, in epoch 2 and as personal."""


def again(exposure_id: str = "x2", unit: str = "a") -> Exposure:
    return shown(exposure_id, unit, "personal", epoch=2, at_ms=LATER_MS)


def arms(log: EventLog) -> dict[str, ArmSums]:
    return {each.variant: each for each in read_outcomes(log, "r").arms}


def revenues(log: EventLog) -> dict[str, float]:
    return {name: each.revenue for name, each in arms(log).items()}


def test_refund_is_taken_off_where_its_order_is(store: Store, event_log: EventLog) -> None:
    """Bought for 3 and 5 in epoch 1, one given back when the unit is of epoch 2, by whomever."""
    store(
        shown("x1", "a"),
        again(),
        shown("x3", "b", "personal"),
        did("e1", PURCHASE, user_key="a", order_id="o1"),
        did("e2", PURCHASE, user_key="a", order_id="o1", price=5.0),
        did("e3", REFUND, user_key="b", order_id="o1", at_ms=LATER_MS + 1, price=2.0),
    )
    assert [each.revenue for each in read_outcomes(event_log, "r").arms] == [6.0, 0.0, 0.0]


def test_refund_without_ids_follows_its_order(store: Store, event_log: EventLog) -> None:
    """A shop's webhook sends nothing but the order, and may do so before the order arrives."""
    store(shown("x1", "a"), did("e1", REFUND, order_id="o1", at_ms=LATER_MS, price=2.0))
    assert revenues(event_log) == {"control": 0.0}
    store(did("e2", PURCHASE, exposure_id="x1", order_id="o1"))
    assert revenues(event_log) == {"control": 1.0}


@pytest.mark.parametrize("of", ["before", "nobody", "never sent"])
def test_refund_of_what_no_arm_has_is_taken_off_none(
    store: Store, event_log: EventLog, of: str
) -> None:
    """Of an order from before the first exposure, of one of nobody here, and of an unknown one."""
    bought = {
        "before": [did("e1", PURCHASE, user_key="a", order_id="o1", at_ms=AT_MS - 1)],
        "nobody": [did("e1", PURCHASE, user_key="c", order_id="o1")],
        "never sent": [],
    }[of]
    store(shown("x1", "a"), *bought, did("e2", REFUND, user_key="a", order_id="o1"))
    [sums] = read_outcomes(event_log, "r").arms
    assert (sums.revenue, sums.n_buyers) == (0.0, 0)
    assert (sums.n_bought_before, sums.before) == ((1, 3.0) if of == "before" else (0, 0.0))


def test_refund_without_an_order_is_its_users_at_its_time(
    store: Store, event_log: EventLog
) -> None:
    """Nothing says of what it is; one that names an exposure is of that, with an unknown order."""
    store(
        shown("x1", "a"),
        again(),
        did("e1", REFUND, user_key="a", at_ms=LATER_MS + 1),
        did("e2", REFUND, exposure_id="x1", order_id="o9", price=1.0),
    )
    assert revenues(event_log) == {"control": -1.0, "personal": -3.0}
    assert {each.n_orders for each in arms(event_log).values()} == {0}


@pytest.mark.parametrize("first", [0, 1])
def test_order_of_two_epochs_is_one(store: Store, event_log: EventLog, first: int) -> None:
    """One line names what was seen in epoch 1, the other nothing; whichever arrives first."""
    lines = [
        did("e1", PURCHASE, user_key="a", order_id="o1", exposure_id="x1", at_ms=LATER_MS + 2),
        did("e2", PURCHASE, user_key="a", order_id="o1", at_ms=LATER_MS + 1, price=5.0),
    ]
    store(shown("x1", "a"), again(), lines[first], lines[1 - first])
    found = arms(event_log)
    assert {name: (each.n_orders, each.revenue) for name, each in found.items()} == {
        "control": (1, 8.0),
        "personal": (0, 0.0),
    }
    assert (found["control"].n_purchases_named, found["control"].n_purchases_joined) == (1, 1)


@pytest.mark.parametrize("first", [0, 1])
def test_order_that_names_two_epochs_is_of_its_first_line(
    store: Store, event_log: EventLog, first: int
) -> None:
    """The earlier line names epoch 2; of lines of one moment it is the earlier epoch."""
    early, late = LATER_MS + 1, LATER_MS + 2
    lines = [
        did("e1", PURCHASE, order_id="o1", exposure_id="x1", at_ms=late),
        did("e2", PURCHASE, order_id="o1", exposure_id="x2", at_ms=early, price=5.0),
        did("e3", PURCHASE, order_id="o2", exposure_id="x2", at_ms=early, price=7.0),
        did("e4", PURCHASE, order_id="o2", exposure_id="x1", at_ms=early, price=11.0),
    ]
    store(shown("x1", "a"), again(), *(lines if first else reversed(lines)))
    assert revenues(event_log) == {"control": 18.0, "personal": 8.0}


def test_line_of_nobody_is_of_its_order(store: Store, event_log: EventLog) -> None:
    """Its first line says no person; without an order id each line is an order."""
    store(
        shown("x1", "a"),
        did("e1", PURCHASE, order_id="o1"),
        did("e2", PURCHASE, order_id="o1", user_key="a", at_ms=AT_MS + 2_000, price=5.0),
        did("e3", PURCHASE, user_key="a", price=7.0),
        did("e4", PURCHASE, user_key="a", price=11.0),
    )
    [sums] = read_outcomes(event_log, "r").arms
    assert (sums.n_orders, sums.n_purchases, sums.revenue) == (3, 4, 26.0)


def test_order_is_an_outcome_or_a_past_and_not_both(store: Store, event_log: EventLog) -> None:
    """Device d was shown something, buys as user u, and u is shown something after that."""
    store(
        shown("x1", "d", user_key=None, anonymous_key="d"),
        did("e1", PURCHASE, user_key="u", anonymous_key="d"),
        shown("x2", "u", "personal", at_ms=LATER_MS),
    )
    found = arms(event_log)
    assert (found["control"].n_buyers, found["personal"].n_bought_before) == (1, 0)


def test_same_line_from_two_senders_counts_twice(store: Store, event_log: EventLog) -> None:
    """Under publishable keys nothing says that it is one line: one order, twice the money."""
    store(
        shown("x1", "a"),
        did("browser", PURCHASE, user_key="a", order_id="o1"),
        did("webhook", PURCHASE, user_key="a", order_id="o1", at_ms=AT_MS + 2_000),
    )
    [sums] = read_outcomes(event_log, "r").arms
    assert (sums.n_orders, sums.n_purchases, sums.revenue) == (1, 2, 6.0)


@pytest.mark.parametrize("kind", [PURCHASE, CART])
def test_deed_from_the_future_is_of_its_arrival(
    store: Store, event_log: EventLog, kind: int
) -> None:
    """A clock a year ahead moves nobody into the epoch in which they are then."""
    ahead = {"at_ms": AT_MS + 365 * DAY_MS, "flags": int(EventFlag.FUTURE), "user_key": "a"}
    store(shown("x1", "a"), again(), did("e1", kind, received_ms=AT_MS + 1_000, **ahead))
    assert {name: each.n_buyers + each.n_carters for name, each in arms(event_log).items()} == {
        "control": 1,
        "personal": 0,
    }


def test_order_from_the_future_may_be_the_past(store: Store, event_log: EventLog) -> None:
    """It arrived before its unit was shown anything."""
    store(
        shown("x1", "a"),
        did("e1", PURCHASE, user_key="a", at_ms=AT_MS + DAY_MS, received_ms=AT_MS - 1),
    )
    [sums] = read_outcomes(event_log, "r").arms
    assert (sums.n_buyers, sums.n_bought_before) == (0, 1)


def test_click_from_the_future_is_of_its_arrival(store: Store, event_log: EventLog) -> None:
    """Eight days ahead it would be too late for what was shown a second before."""
    ahead = {"at_ms": AT_MS + 8 * DAY_MS, "received_ms": AT_MS + 1_000}
    store(shown("x1", "a"), did("e1", CLICK, user_key="a", **ahead))
    assert arms(event_log)["control"].n_clicks_joined == 1


def test_money_is_capped_on_both_sides_of_zero(store: Store, event_log: EventLog) -> None:
    """99 pay 1 to 99, so nobody is above 98 or below -98, with one refund of 100,000."""
    units = [f"u{i}" for i in range(1, 100)]
    store(
        *(shown(f"x{unit}", unit) for unit in (*units, "big")),
        *(did(f"e{i}", PURCHASE, user_key=unit, price=i) for i, unit in enumerate(units, 1)),
        did("e0", REFUND, user_key="big", price=100_000.0),
    )
    found = read_outcomes(event_log, "r")
    [sums] = found.arms
    assert found.revenue_cap == 98.0
    assert sums.revenue == sum(range(100)) - 100_000
    assert sums.capped == sum(range(99)) + 98 - 98
    assert sums.sum_capped_squared == sum(i * i for i in range(99)) + 2 * 98 * 98


def test_device_of_a_signed_in_visitor_is_theirs(store: Store, event_log: EventLog) -> None:
    """User a was shown something on device d; then d acts and nobody is signed in."""
    store(shown("x1", "a", anonymous_key="d"))
    store(
        did("e1", PURCHASE, anonymous_key="d"),
        did("e2", CART, anonymous_key="d"),
        did("e3", CLICK, anonymous_key="d"),
        did("e4", PURCHASE, anonymous_key="d", at_ms=AT_MS - 1, price=2.0),
    )
    [sums] = read_outcomes(event_log, "r").arms
    assert (sums.n_buyers, sums.n_carters, sums.n_clicks_joined) == (1, 1, 1)
    assert (sums.revenue, sums.before) == (3.0, 2.0)


@pytest.mark.parametrize("steps", [1, 2])
def test_device_of_two_units_is_neithers(store: Store, event_log: EventLog, steps: int) -> None:
    """A tablet that a and b were shown something on, in one commit or two; another user's too."""
    both = [shown("x1", "a", anonymous_key="d"), shown("x2", "b", "personal", anonymous_key="d")]
    for step in range(steps):
        store(*both[step::steps])
        arms(event_log)
    store(
        did("e1", PURCHASE, anonymous_key="d"),
        did("e2", CLICK, anonymous_key="d"),
        shown("x3", "c", anonymous_key="e"),
        did("e3", PURCHASE, anonymous_key="e", user_key="v"),
    )
    found = read_outcomes(event_log, "r").arms
    assert [(each.n_buyers, each.n_clicks_joined) for each in found] == [(0, 0), (0, 0)]


def test_device_that_is_a_unit_is_itself(store: Store, event_log: EventLog) -> None:
    """It was shown something before anybody signed in on it."""
    store(
        shown("x1", "d", user_key=None, anonymous_key="d"),
        shown("x2", "a", "personal", anonymous_key="d"),
        did("e1", PURCHASE, anonymous_key="d"),
    )
    assert {name: each.n_buyers for name, each in arms(event_log).items()} == {
        "control": 1,
        "personal": 0,
    }


def test_erased_person_takes_what_says_only_their_order(store: Store, event_log: EventLog) -> None:
    """Their device goes too; what says only the order of somebody else stays."""
    store(
        shown("x1", "a", anonymous_key="d"),
        shown("x2", "b", "personal"),
        did("e1", PURCHASE, user_key="a", order_id="o1"),
        did("e2", REFUND, order_id="o1", price=1.0),
        did("e3", PURCHASE, user_key="b", order_id="o2"),
        did("e4", REFUND, order_id="o2", price=1.0),
    )
    assert revenues(event_log) == {"control": 2.0, "personal": 2.0}
    delete_rows(event_log, ["a"])
    erase_units(event_log, ["a"])
    assert [row[0] for row in rows_of_deeds(event_log)] == [3, 4]
    assert revenues(event_log) == {"personal": 2.0}
    store(did("e5", PURCHASE, anonymous_key="d"))
    assert revenues(event_log) == {"personal": 2.0}


def test_without_consent_an_order_is_not_kept(store: Store, event_log: EventLog) -> None:
    """Neither with its number alone nor with an exposure."""
    refused = {"order_id": "o1", "flags": int(EventFlag.NO_CONSENT)}
    store(shown("x1", "a"), did("e1", PURCHASE, **refused), did("e2", REFUND, **refused))
    arms(event_log)
    assert rows_of_deeds(event_log) == []


@pytest.mark.parametrize("event_url", ["sqlite"], indirect=True)
def test_sums_of_version_7_learn_which_order_a_refund_is_of(store: Store, event_log: Path) -> None:
    """Orders are read again, the other sums stay, and devices are known of what comes from now."""
    store(
        shown("x1", "a"),
        again(),
        did("e1", PURCHASE, user_key="a", order_id="o1"),
        did("e2", REFUND, order_id="o1", at_ms=LATER_MS + 1, price=1.0),
    )
    before = read_outcomes(event_log, "r")
    sums = connect_derived(event_log, ROLLUP, busy_timeout_ms=1_000)
    sums.execute("DROP TABLE devices")
    sums.execute("DELETE FROM deeds WHERE seq = 2")
    sums.execute("ALTER TABLE orders DROP COLUMN by_server")
    sums.execute("PRAGMA user_version = 7")
    sums.close()
    assert read_outcomes(event_log, "r") == before
    assert revenues(event_log) == {"control": 2.0, "personal": 0.0}
    store(shown("x3", "b", anonymous_key="d"), did("e3", PURCHASE, anonymous_key="d", price=5.0))
    assert revenues(event_log) == {"control": 7.0, "personal": 0.0}
