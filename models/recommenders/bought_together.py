"""Items bought in the same orders more often than chance would have it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from models.dataset import Dataset, Interactions
from models.events import InteractionKind
from models.ragged import Neighbours
from models.recommenders.blocks import map_blocks
from models.recommenders.top_k import largest_of_rows
from models.scoring import MS_PER_DAY

ROWS_PER_BLOCK = 1_000
MIN_SUPPORT = 3
"""Orders in which a pair must have been bought together."""
SHRINK = 10.0
"""Orders at which a pair's lift counts half: rare pairs have wild lifts."""


def bought_together(dataset: Dataset, k: int) -> Neighbours:
    """Rank each item's companions by shrunk lift, ``lift * n / (n + SHRINK)``; only lifts above 1.

    ``lift`` is the number of baskets with both over the number that chance would give.
    """
    baskets = basket_items(dataset)
    n_items = dataset.n_items
    n_baskets = max(baskets.shape[0], 1)
    n_with = np.asarray(baskets.sum(axis=0)).ravel()
    transposed = baskets.T.tocsr()

    def lifts(rows: slice) -> csr_matrix:
        block = (transposed[rows] @ baskets).tocsr()
        first = np.repeat(np.arange(rows.start, rows.stop), np.diff(block.indptr))
        together = block.data.astype(np.float64)
        expected = n_with[first] * n_with[block.indices] / n_baskets
        lift = together / np.maximum(expected, 1e-12) * together / (together + SHRINK)
        lift[(together < MIN_SUPPORT) | (together <= expected) | (block.indices == first)] = 0.0
        block.data = lift.astype(np.float32)
        return largest_of_rows(block, k)

    blocks = map_blocks(n_items, ROWS_PER_BLOCK, lifts)
    found = vstack(blocks, format="csr") if blocks else csr_matrix((0, 0), dtype=np.float32)
    return Neighbours.from_csr(found, k)


def basket_numbers(bought: Interactions) -> NDArray[np.int64]:
    """Number the baskets of purchases from 0, shape (n_purchases,).

    A purchase without an order id belongs to the basket of its user and day.
    """
    # Orders are numbered from 0; the baskets of users and days get the negative numbers.
    by_day = -2 - (bought.user_rows.astype(np.int64) << 24) - bought.at_ms // int(MS_PER_DAY)
    key = np.where(bought.order_rows >= 0, bought.order_rows.astype(np.int64), by_day)
    _, basket = np.unique(key, return_inverse=True)
    return basket.astype(np.int64)


def basket_items(dataset: Dataset) -> csr_matrix:
    """Mark which items each basket holds, shape (n_baskets, n_items)."""
    rows = dataset.interactions
    bought = rows.take(rows.kinds == InteractionKind.PURCHASE)
    basket = basket_numbers(bought)
    n_baskets = int(basket.max(initial=-1)) + 1
    counts = csr_matrix(
        (np.ones(len(basket), dtype=np.float32), (basket, bought.item_rows)),
        shape=(n_baskets, dataset.n_items),
    )
    counts.data[:] = 1.0
    return counts
