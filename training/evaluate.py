"""Rank all items for every test user, and compare with what the user went on to choose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.histories import Histories
from models.manifest import Interval
from models.recommenders.recommender import Recommender
from models.vocabulary import MISSING_ROW
from training.metrics import bootstrap, hit_rate, ndcg, pessimistic_ranks, recall
from training.split import Split

BLOCK_VALUES = 16_000_000
"""Scores held at once, 64 MB of float32."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good one recommender is on one split."""

    per_user: dict[str, NDArray[np.float64]]
    """Metric, then one value per test user, in the order of the user rows; to compare pairwise."""
    overall: dict[str, float]
    """``coverage@k`` and ``novelty@k``, which are about all lists together."""

    @property
    def metrics(self) -> dict[str, float]:
        """Every metric as one number."""
        means = {name: float(values.mean()) for name, values in self.per_user.items()}
        return {**means, **self.overall}

    def intervals(self, seed: int) -> dict[str, Interval]:
        """Return the 95 % bootstrap interval over users of each mean."""
        rng = np.random.default_rng(seed)
        return {name: bootstrap(values, rng) for name, values in self.per_user.items()}


def evaluate(
    recommender: Recommender, split: Split, ks: Sequence[int], *, only_new: bool = False
) -> Evaluation:
    """Score all items for every user with a test item, in blocks; a user's own items are left out.

    With `only_new` the candidates are the items without any interaction in training. A test pair
    whose item is unknown (-1) cannot be found, but counts in the denominators.
    """
    n_items = split.train.n_items
    seen = np.bincount(split.train.interactions.item_rows, minlength=n_items) > 0
    users, test = _test_lists(split, seen, only_new)
    histories = Histories.of(split.train.interactions, split.train.n_users, split.now_ms)
    values: dict[str, list[float]] = {}
    shown = {k: np.zeros(n_items, dtype=np.int64) for k in ks}
    size = max(BLOCK_VALUES // max(n_items, 1), 1)
    for begin in range(0, len(users), size):
        block = users[begin : begin + size]
        own = histories.take(block)
        scores = recommender.score(own)
        owners = np.repeat(np.arange(len(block)), np.diff(own.items.offsets))
        scores[owners, own.items.rows] = -np.inf
        if only_new:
            scores[:, seen] = -np.inf
        for row, relevant in zip(scores, test[begin : begin + size], strict=True):
            _measure(row, relevant, ks, values, shown)
    per_user = {name: np.array(found) for name, found in values.items()}
    n_candidates = int((~seen).sum()) if only_new else n_items
    return Evaluation(per_user, _overall(shown, split, n_candidates))


def paired_difference(ours: Evaluation, theirs: Evaluation, metric: str, seed: int) -> Interval:
    """Return the mean difference over the same users with its 95 % bootstrap interval."""
    difference = ours.per_user[metric] - theirs.per_user[metric]
    return bootstrap(difference, np.random.default_rng(seed))


def _test_lists(
    split: Split, seen: NDArray[np.bool_], only_new: bool
) -> tuple[NDArray[np.int64], list[NDArray[np.int32]]]:
    """Group the test items by user."""
    users, items = split.test_users, split.test_items
    if only_new:
        known = (items != MISSING_ROW) & seen[items]
        users, items = users[~known], items[~known]
    distinct, starts = np.unique(users, return_index=True)
    return distinct.astype(np.int64), np.split(items, starts[1:]) if len(distinct) else []


def _measure(
    scores: NDArray[np.float32],
    relevant: NDArray[np.int32],
    ks: Iterable[int],
    values: dict[str, list[float]],
    shown: dict[int, NDArray[np.int64]],
) -> None:
    """Add one user's figures and top lists."""
    known = relevant[relevant != MISSING_ROW]
    ranks = pessimistic_ranks(scores, known, max(shown))
    for k in ks:
        n = len(relevant)
        values.setdefault(f"recall@{k}", []).append(recall(ranks, n, k))
        values.setdefault(f"ndcg@{k}", []).append(ndcg(ranks, n, k))
        values.setdefault(f"hit_rate@{k}", []).append(hit_rate(ranks, k))
        shown[k][_top(scores, k)] += 1


def _top(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    best = np.argpartition(scores, -k)[-k:] if k < len(scores) else np.arange(len(scores))
    return best[np.isfinite(scores[best])]


def _overall(
    shown: dict[int, NDArray[np.int64]], split: Split, n_candidates: int
) -> dict[str, float]:
    """Measure all lists together.

    Coverage is the share of the candidates that stand in any list. Novelty is the mean of
    ``-log2(p)`` over shown items, p being the share of users who knew the item.
    """
    train = split.train.interactions
    n_items, n_users = split.train.n_items, split.train.n_users
    pairs = np.unique(train.user_rows.astype(np.int64) * max(n_items, 1) + train.item_rows)
    n_knowing = np.bincount(pairs % max(n_items, 1), minlength=n_items)
    surprise = -np.log2((n_knowing + 1.0) / (n_users + 1.0))
    overall = {}
    for k, counts in shown.items():
        overall[f"coverage@{k}"] = float((counts > 0).sum()) / max(n_candidates, 1)
        overall[f"novelty@{k}"] = float((counts * surprise).sum()) / max(int(counts.sum()), 1)
    return overall
