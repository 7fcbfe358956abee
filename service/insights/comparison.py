"""What was sold in whole days beside as many before them. No I/O, no clock.

Today is in neither: in the morning a day of some hours beside whole ones would always be a drop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import accumulate
from typing import Annotated

import msgspec
from msgspec import Meta

from service.insights.shares import date_of, ratio
from service.stores.days import DayOrders


class Sold(msgspec.Struct, frozen=True, kw_only=True):
    """What was bought on some whole days."""

    orders: int
    value: Annotated[float, Meta(description="sum of quantity times price, before refunds")]
    average_order_value: Annotated[
        float | None, Meta(description="of orders with a known value; null without one")
    ]
    items_per_order: Annotated[float | None, Meta(description="units, not lines")]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Whole days that end with yesterday, and as many right before them."""

    first_day: date
    last_day: Annotated[date, Meta(description="yesterday: today is not over")]
    sold: Sold
    first_day_before: date
    last_day_before: date
    sold_before: Sold
    is_fair: Annotated[
        bool,
        Meta(
            description="whether orders are on record from before all these days, more than one "
            "in a hundred of all; without them the earlier days may be missing in part, and a "
            "change says nothing"
        ),
    ]
    fair_from: Annotated[
        date | None,
        Meta(description="when it will be, without a gap; null if it is, or without an order"),
    ]


def compare(
    orders: Iterable[DayOrders], *, today: int, n_days: int, first_order_day: int | None
) -> Comparison:
    """Compare the `n_days` days before `today` with those before them.

    Parameters
    ----------
    orders
        At least those of these ``2 * n_days`` days.
    first_order_day
        Since when orders are on record, see `orders_since`.
    """
    orders = list(orders)
    first, first_before = today - n_days, today - 2 * n_days
    is_fair = first_order_day is not None and first_order_day < first_before
    return Comparison(
        first_day=date_of(first),
        last_day=date_of(today - 1),
        sold=_sum(orders, first, today - 1),
        first_day_before=date_of(first_before),
        last_day_before=date_of(first - 1),
        sold_before=_sum(orders, first_before, first - 1),
        is_fair=is_fair,
        fair_from=None
        if is_fair or first_order_day is None
        else date_of(first_order_day + 2 * n_days + 1),
    )


def orders_since(orders_by_day: Sequence[tuple[int, int]]) -> int | None:
    """Return the day by whose end more than one in a hundred of all orders had come.

    Not the first with an order: one whose time is years off would say that all the days behind it
    are on record. `orders_by_day` are the days with orders, the oldest first, and how many.
    """
    left_out = sum(n for _, n in orders_by_day) / 100
    counts = accumulate(n for _, n in orders_by_day)
    return next(
        (day for (day, _), n in zip(orders_by_day, counts, strict=True) if n > left_out), None
    )


def _sum(orders: Iterable[DayOrders], first_day: int, last_day: int) -> Sold:
    those = [one for one in orders if first_day <= one.day <= last_day]
    n, value = sum(one.n for one in those), sum(one.value for one in those)
    return Sold(
        orders=n,
        value=value,
        average_order_value=ratio(value, sum(one.n_priced for one in those)),
        items_per_order=ratio(sum(one.n_units for one in those), n),
    )
