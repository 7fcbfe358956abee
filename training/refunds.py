"""Refunds take back what they refund: a user's newest purchases of the item first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.dataset import Interactions
from models.events import InteractionKind


def take_back(interactions: Interactions) -> Interactions:
    """Lower the quantity of purchases by later refunds; drop what is wholly refunded.

    A refund of more than was bought before it takes back what there is and no more. Expects rows in
    order of time.
    """
    quantity = interactions.quantity.astype(np.float64)
    is_refund = interactions.kinds == InteractionKind.REFUND
    is_purchase = interactions.kinds == InteractionKind.PURCHASE
    for rows in _groups_with_refund(interactions, is_refund, is_purchase):
        _take_back_one(rows, is_refund, quantity)
    kept = ~is_refund & ~(is_purchase & (quantity <= 0))
    left = interactions.take(kept)
    left.quantity[:] = quantity[kept]
    return left


def _groups_with_refund(
    interactions: Interactions, is_refund: NDArray[np.bool_], is_purchase: NDArray[np.bool_]
) -> list[NDArray[np.int64]]:
    """Return the rows, in order of time, of each user and item that has a refund."""
    pair = interactions.user_rows.astype(np.int64) << 32 | interactions.item_rows
    concerned = np.flatnonzero((is_refund | is_purchase) & np.isin(pair, pair[is_refund]))
    if not len(concerned):
        return []
    order = concerned[np.argsort(pair[concerned], kind="stable")]
    starts = np.flatnonzero(np.diff(pair[order])) + 1
    return np.split(order, starts)


def _take_back_one(
    rows: NDArray[np.int64], is_refund: NDArray[np.bool_], quantity: NDArray[np.float64]
) -> None:
    bought: list[int] = []
    for row in rows.tolist():
        if not is_refund[row]:
            bought.append(row)
            continue
        owed = quantity[row]
        while owed > 0 and bought:
            taken = min(owed, quantity[bought[-1]])
            quantity[bought[-1]] -= taken
            owed -= taken
            if quantity[bought[-1]] <= 0:
                bought.pop()
