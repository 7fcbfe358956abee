"""What was sold in whole days beside those before, worked out by hand."""

from datetime import date

import pytest

from service.insights.comparison import compare, orders_since
from service.stores.days import DayOrders

TODAY = 100
WEEKS = [
    DayOrders(85, "web", 50, 50, 50.0, 5000.0),  # before both weeks
    DayOrders(86, "web", 2, 2, 4.0, 20.0),
    DayOrders(92, "app", 3, 2, 5.0, 40.0),
    DayOrders(93, "web", 4, 4, 8.0, 60.0),
    DayOrders(99, "app", 1, 1, 3.0, 40.0),
    DayOrders(100, "web", 70, 70, 70.0, 700.0),  # today so far
]


def test_whole_days_are_compared() -> None:
    """Days 93 to 99 sold 5 orders for 100 with 11 items, days 86 to 92 the same number for 60.

    One of the 5 earlier ones has no price. What today sold so far is in neither.
    """
    found = compare(WEEKS, today=TODAY, n_days=7, first_order_day=85)
    assert (found.first_day, found.last_day) == (date(1970, 4, 4), date(1970, 4, 10))
    assert (found.first_day_before, found.last_day_before) == (date(1970, 3, 28), date(1970, 4, 3))
    assert (found.sold.orders, found.sold.value, found.sold.average_order_value) == (5, 100.0, 20.0)
    assert (found.sold.items_per_order, found.sold_before.items_per_order) == (11 / 5, 9 / 5)
    assert (found.sold_before.orders, found.sold_before.value) == (5, 60.0)
    assert found.sold_before.average_order_value == 60.0 / 4


def test_change_of_a_day_is_yesterdays() -> None:
    """Day 99 beside day 98, on which nothing was sold."""
    found = compare(WEEKS, today=TODAY, n_days=1, first_order_day=85)
    assert (found.first_day, found.last_day) == (found.last_day, date(1970, 4, 10))
    assert (found.sold.orders, found.sold_before.orders) == (1, 0)
    assert found.sold_before.average_order_value is None


@pytest.mark.parametrize(
    ("first_order_day", "is_fair", "fair_from"),
    [
        (85, True, None),
        (86, False, date(1970, 4, 12)),  # day 101: from then on day 86 is none of the 14
        (100, False, date(1970, 4, 26)),
        (None, False, None),
    ],
)
def test_young_log_has_nothing_to_compare_with(
    first_order_day: int | None, is_fair: bool, fair_from: date | None
) -> None:
    """The first day with an order may have begun late, so an earlier one has to be on record."""
    found = compare(WEEKS, today=TODAY, n_days=7, first_order_day=first_order_day)
    assert (found.is_fair, found.fair_from) == (is_fair, fair_from)
    if fair_from is not None:
        later = (fair_from - date(1970, 1, 1)).days
        for today in (later - 1, later):
            then = compare(WEEKS, today=today, n_days=7, first_order_day=first_order_day)
            assert then.is_fair is (today == later)


@pytest.mark.parametrize(
    ("orders_by_day", "day"),
    [
        ([], None),
        ([(60, 1)], 60),
        ([(60, 5), (61, 5)], 60),
        ([(7, 1), (60, 5), (61, 94)], 60),  # one of a hundred on day 7
        ([(7, 1), (60, 5), (61, 93)], 7),  # one of 99: too few to tell who is wrong
        ([(7, 2), (9, 1), (60, 2), (61, 395)], 60),  # which has the fifth of four hundred
        ([(60, 1), (61, 3), (62, 296)], 61),  # a shop that begins slowly
    ],
)
def test_few_orders_of_a_wrong_time_begin_nothing(
    orders_by_day: list[tuple[int, int]], day: int | None
) -> None:
    """Orders are on record since more than one in a hundred of them had come."""
    assert orders_since(orders_by_day) == day
