"""Orders: the purchases of a dataset put together, and what each user's orders look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.dataset import Dataset, Interactions
from models.events import InteractionKind
from models.recommenders.bought_together import basket_numbers
from models.scoring import MS_PER_DAY

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Orders:
    """One row per order, all arrays of shape (n_orders,)."""

    user_rows: NDArray[np.int32]
    at_ms: NDArray[np.int64]
    """When its first line was bought."""
    units: Floats
    value: Floats
    """Sum of quantity times price; NaN where the price of a line is unknown."""


@dataclass(frozen=True, slots=True)
class Buying:
    """How each user buys, all arrays of shape (n_users,)."""

    n_orders: NDArray[np.int64]
    mean_units: Floats
    """Units per order, NaN without an order."""
    mean_value: Floats
    """Value per order of known value, NaN without one."""
    last_order_ms: NDArray[np.int64]
    """0 without an order."""
    mean_gap_days: Floats
    """Between one order and the next, at least a day; NaN with fewer than two orders."""


def purchases(dataset: Dataset) -> Interactions:
    """Return the purchases that no refund took back."""
    rows = dataset.interactions
    return rows.take(rows.kinds == InteractionKind.PURCHASE)


def collect_orders(dataset: Dataset) -> Orders:
    """Put the purchases together; without an order id those of a user and day are one order."""
    lines = purchases(dataset)
    order = basket_numbers(lines)
    _, first = np.unique(order, return_index=True)
    n = len(first)
    value = lines.quantity.astype(np.float64) * lines.price
    return Orders(
        user_rows=lines.user_rows[first],
        at_ms=lines.at_ms[first],
        units=sum_by(order, lines.quantity, n),
        value=sum_by(order, value, n),
    )


def measure_buying(orders: Orders, n_users: int) -> Buying:
    """Work out what is usual for each user."""
    n_orders = np.bincount(orders.user_rows, minlength=n_users)
    first = np.full(n_users, np.iinfo(np.int64).max)
    last = np.zeros(n_users, dtype=np.int64)
    np.minimum.at(first, orders.user_rows, orders.at_ms)
    np.maximum.at(last, orders.user_rows, orders.at_ms)
    days = np.where(n_orders > 1, (last - first) / MS_PER_DAY, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.where(n_orders > 1, np.maximum(days / (n_orders - 1), 1.0), np.nan)
    return Buying(
        n_orders=n_orders,
        mean_units=mean_by(orders.user_rows, orders.units, n_users),
        mean_value=mean_by(orders.user_rows, orders.value, n_users),
        last_order_ms=last,
        mean_gap_days=gap,
    )


def mean_by(owners: NDArray[np.integer], values: Floats, n_owners: int) -> Floats:
    """Average the known values of each owner, NaN for an owner without one."""
    known = np.isfinite(values)
    counts = np.bincount(owners[known], minlength=n_owners).astype(np.float64)
    means = np.full(n_owners, np.nan)
    np.divide(sum_by(owners[known], values[known], n_owners), counts, out=means, where=counts > 0)
    return means


def sum_by(owners: NDArray[np.integer], values: NDArray[np.floating], n_owners: int) -> Floats:
    """Add up the values of each owner, shape (n_owners,)."""
    return np.bincount(owners, weights=values, minlength=n_owners).astype(np.float64)
