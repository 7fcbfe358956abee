"""Ranking metrics per user, from lists that mark which places hold what the user went on to choose.

Recall@k divides by the number of a user's test items, NDCG@k by the best DCG possible with them, as
LightGCN and the BARS leaderboard do.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from models.manifest import Interval
from models.recommenders.top_k import reached
from models.vocabulary import Vocabulary

N_RESAMPLES = 500
NO_ITEM = -1
NEAR_PLACES = 8
"""A row with that many items a place of its list near the best ones is looked at by itself."""


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
    floors = reached(scores, width)
    is_near = scores >= floors[:, np.newaxis]
    if np.isneginf(floors).any():
        is_near &= scores > -np.inf
    n_near = np.fromiter(map(np.count_nonzero, is_near), dtype=np.int64, count=n)
    has_many = n_near > NEAR_PLACES * width
    first_lots = np.argsort(lots)[: NEAR_PLACES * width]
    for row in np.flatnonzero(has_many):
        best = _best_of_many(scores[row], lots, first_lots, is_near[row], floors[row], width=width)
        lists[row, : len(best)] = best
    # All other rows in a few calls: one for every row would hold the interpreter up.
    is_near[has_many] = False
    rows, items = np.divmod(np.flatnonzero(is_near), n_items)
    order = np.lexsort((lots[items], -scores[rows, items], rows))
    rows, items = rows[order], items[order]
    places = np.arange(len(rows)) - np.searchsorted(rows, np.arange(n))[rows]
    is_kept = places < width
    lists[rows[is_kept], places[is_kept]] = items[is_kept]
    return lists


def _best_of_many(
    values: NDArray[np.float32],
    lots: NDArray[np.int64],
    first_lots: NDArray[np.int64],
    is_near: NDArray[np.bool_],
    floor: np.float32,
    *,
    width: int,
) -> NDArray[np.int64]:
    """Return the `width` best items of a row in which many reach the `floor`."""
    highest = values.max()
    if floor == highest:
        # So many are tied for the best that the first lots are likely to be among them.
        first: NDArray[np.int64] = first_lots[values[first_lots] == highest][:width]
        if len(first) == width:
            return first
    near = is_near.nonzero()[0]
    near = _cut(near, values[near], lots[near], width)
    order = np.lexsort((lots[near], -values[near]))[:width]
    best: NDArray[np.int64] = near[order]
    return best


def _cut(
    near: NDArray[np.int64], values: NDArray[np.float32], lots: NDArray[np.int64], width: int
) -> NDArray[np.int64]:
    """Keep the `width` items of the highest values, equal ones by `lots`."""
    bar = np.partition(values, len(values) - width)[len(values) - width]
    above, tied = near[values > bar], np.flatnonzero(values == bar)
    room = width - len(above)
    return np.concatenate([above, near[tied[np.argpartition(lots[tied], room - 1)[:room]]]])


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
    return bootstrap_all(values[:, np.newaxis], rng, n_resamples)[0]


def bootstrap_all(
    values: NDArray[np.float64], rng: np.random.Generator, n_resamples: int = N_RESAMPLES
) -> list[Interval]:
    """Do so for every column of (n_users, n), each resample drawing the same users for all."""
    n = len(values)
    if not n:
        return [Interval(value=0.0, low=0.0, high=0.0)] * values.shape[1]
    rows = np.ascontiguousarray(values)
    means = [rows[rng.integers(0, n, n)].mean(axis=0) for _ in range(n_resamples)]
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return [
        Interval(value=float(value), low=float(below), high=float(above))
        for value, below, above in zip(values.mean(axis=0), low, high, strict=True)
    ]
