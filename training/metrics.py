"""Ranking metrics per user, from lists that mark which places hold what the user went on to choose.

Recall@k divides by the number of a user's test items, NDCG@k by the best DCG possible with them, as
LightGCN and the BARS leaderboard do.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from models.manifest import Interval
from models.vocabulary import Vocabulary

N_RESAMPLES = 500
NO_ITEM = -1


def draw_lots(ids: Vocabulary) -> NDArray[np.int64]:
    """Give every item its place among equals, from the hash of its id, shape (n_items,).

    Ids and rows often follow the order in which items were first sold, so breaking ties by them
    would tell the recommender what sells.
    """
    hashes = [blake2b(item_id.encode(), digest_size=8).digest() for item_id in ids]
    order = np.argsort(np.array([int.from_bytes(one) for one in hashes], dtype=np.uint64))
    lots = np.empty(len(order), dtype=np.int64)
    lots[order] = np.arange(len(order))
    return lots


def top_lists(scores: NDArray[np.float32], lots: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Return the items of the `k` highest scores of every row, shape (n, k), best first.

    Equal scores go by `lots`. What scores -inf is no candidate; places left over are `NO_ITEM`.
    """
    n, n_items = scores.shape
    lists = np.full((n, k), NO_ITEM, dtype=np.int64)
    width = min(k, n_items)
    if not n or not width:
        return lists
    best = np.argpartition(scores, n_items - width, axis=1)[:, n_items - width :]
    values = np.take_along_axis(scores, best, axis=1)
    bar = values.min(axis=1, keepdims=True)
    is_cut = (scores == bar).sum(axis=1) > (values == bar).sum(axis=1)
    for row in np.flatnonzero(is_cut & np.isfinite(bar[:, 0])):
        above = np.flatnonzero(scores[row] > bar[row])
        tied = np.flatnonzero(scores[row] == bar[row])
        chosen = tied[np.argsort(lots[tied])][: width - len(above)]
        best[row] = np.concatenate([above, chosen])
    values = np.take_along_axis(scores, best, axis=1)
    order = np.lexsort((lots[best], -values), axis=1)
    best = np.take_along_axis(best, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    lists[:, :width] = np.where(np.isfinite(values), best, NO_ITEM)
    return lists


def recall(hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return the share of each user's test items among the first `k` places of (n, places)."""
    n_found = hits[:, :k].sum(axis=1)
    return np.asarray(np.divide(n_found, n_relevant), dtype=np.float64)


def hit_rate(hits: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """Return 1 for each user with any test item among the first `k`."""
    return np.asarray(hits[:, :k].any(axis=1), dtype=np.float64)


def ndcg(hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return each user's discounted gain of the first `k`, divided by the best possible one."""
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)[np.minimum(n_relevant, k) - 1]
    gains = hits[:, :k] * discounts[: hits.shape[1]]
    return np.asarray(gains.sum(axis=1) / ideal, dtype=np.float64)


def bootstrap(
    values: NDArray[np.float64], rng: np.random.Generator, n_resamples: int = N_RESAMPLES
) -> Interval:
    """Return the mean over users with its 95 % percentile bootstrap interval."""
    if not len(values):
        return Interval(value=0.0, low=0.0, high=0.0)
    n = len(values)
    means = [float(values[rng.integers(0, n, n)].mean()) for _ in range(n_resamples)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(value=float(values.mean()), low=float(low), high=float(high))
