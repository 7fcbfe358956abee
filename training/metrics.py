"""Ranking metrics per user, from the ranks of what the user went on to choose.

Recall@k divides by the number of a user's test items, NDCG@k by the best DCG possible with them, as
LightGCN and the BARS leaderboard do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.manifest import Interval

N_RESAMPLES = 500


def pessimistic_ranks(
    scores: NDArray[np.float32], relevant: NDArray[np.int32], max_rank: int
) -> NDArray[np.int64]:
    """Rank a user's relevant items among all, 1 the best, from scores where -inf is no candidate.

    A tie goes against the recommender: every irrelevant item of the same score comes first. Ranks
    beyond `max_rank` are all given as ``max_rank + 1``.
    """
    ranks = np.full(len(relevant), max_rank + 1, dtype=np.int64)
    values = scores[relevant]
    bar = -np.inf
    if max_rank < len(scores):
        bar = np.partition(scores, len(scores) - max_rank)[len(scores) - max_rank]
    near = np.flatnonzero((values >= bar) & np.isfinite(values))
    for place in near:
        above = int((scores > values[place]).sum())
        tied_relevant = values == values[place]
        tied_others = int((scores == values[place]).sum()) - int(tied_relevant.sum())
        earlier = int(tied_relevant[:place].sum())
        ranks[place] = min(above + tied_others + earlier + 1, max_rank + 1)
    return ranks


def recall(ranks: NDArray[np.int64], n_relevant: int, k: int) -> float:
    """Return the share of a user's test items among the first `k`."""
    return float((ranks <= k).sum()) / n_relevant


def hit_rate(ranks: NDArray[np.int64], k: int) -> float:
    """Return 1 if any test item is among the first `k`."""
    return float((ranks <= k).any())


def ndcg(ranks: NDArray[np.int64], n_relevant: int, k: int) -> float:
    """Return the discounted gain of the first `k`, divided by the best possible one."""
    gain = (1.0 / np.log2(ranks[ranks <= k] + 1.0)).sum()
    ideal = (1.0 / np.log2(np.arange(2, min(k, n_relevant) + 2))).sum()
    return float(gain / ideal)


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
