"""Rank all items for every test user, and compare with what the user went on to choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.distinct import distinct
from models.histories import Histories
from models.manifest import Interval
from models.recommenders.blocks import map_blocks, rows_of_size
from models.recommenders.recommender import Recommender
from models.vocabulary import MISSING_ROW
from training.metrics import (
    NO_ITEM,
    bootstrap,
    draw_lots,
    hit_rate,
    ndcg,
    recall,
    top_lists,
)
from training.split import Split


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good one recommender is on one split."""

    per_user: dict[str, NDArray[np.float64]]
    """Metric, then one value per test user, in the order of the user rows; to compare pairwise."""
    overall: dict[str, float]
    """``coverage@k`` and ``novelty@k``, which are about all lists together."""
    users: NDArray[np.int64]
    """Row of each test user, ascending."""
    lists: NDArray[np.int64]
    """Item rows of each user's list, shape (n, largest k); places left over are `NO_ITEM`."""

    @property
    def metrics(self) -> dict[str, float]:
        """Every metric as one number."""
        means = {
            name: float(values.mean()) if len(values) else 0.0
            for name, values in self.per_user.items()
        }
        return {**means, **self.overall}

    def intervals(self, seed: int) -> dict[str, Interval]:
        """Return the 95 % bootstrap interval over users of each mean."""
        rng = np.random.default_rng(seed)
        return {name: bootstrap(values, rng) for name, values in self.per_user.items()}


def evaluate(
    recommender: Recommender,
    split: Split,
    ks: Sequence[int],
    *,
    only_new: bool = False,
    histories: Histories | None = None,
) -> Evaluation:
    """Rank all items for every user with a test item; a user's own items are left out.

    With `only_new` the candidates are the items without any interaction in training. A test pair
    whose item is unknown (-1) cannot be found, but counts in the denominators. Whoever measures
    several recommenders collects the `histories` of the training part once, by `histories_of`.
    """
    n_items = split.train.n_items
    seen = np.bincount(split.train.interactions.item_rows, minlength=n_items) > 0
    users, pairs, n_relevant = _test_pairs(split, seen, only_new)
    everyone = histories_of(split) if histories is None else histories
    lots = draw_lots(split.train.item_ids)

    def rank(rows: slice) -> NDArray[np.int64]:
        own = everyone.take(users[rows])
        scores = recommender.score(own)
        owners = np.repeat(np.arange(len(own)), np.diff(own.items.offsets))
        scores[owners, own.items.rows] = -np.inf
        if only_new:
            scores[:, seen] = -np.inf
        return top_lists(scores, lots, max(ks))

    found = map_blocks(len(users), rows_of_size(n_items), rank)
    lists = np.concatenate([np.empty((0, max(ks)), dtype=np.int64), *found])
    keys = np.arange(len(users))[:, np.newaxis] * n_items + lists
    hits = np.isin(keys, pairs) & (lists != NO_ITEM)
    per_user = {}
    for k in ks:
        per_user[f"recall@{k}"] = recall(hits, n_relevant, k)
        per_user[f"ndcg@{k}"] = ndcg(hits, n_relevant, k)
        per_user[f"hit_rate@{k}"] = hit_rate(hits, k)
    n_candidates = int((~seen).sum()) if only_new else n_items
    return Evaluation(per_user, _overall(lists, ks, split, n_candidates), users, lists)


def histories_of(split: Split) -> Histories:
    """Collect what every user did before the cut."""
    return Histories.of(split.train.interactions, split.train.n_users, split.now_ms)


def paired_difference(ours: Evaluation, theirs: Evaluation, metric: str, seed: int) -> Interval:
    """Return the mean difference over the same users with its 95 % bootstrap interval."""
    difference = ours.per_user[metric] - theirs.per_user[metric]
    return bootstrap(difference, np.random.default_rng(seed))


def _test_pairs(
    split: Split, seen: NDArray[np.bool_], only_new: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the test users, ``place of the user * n_items + item``, and each one's item count."""
    users, items = split.test_users, split.test_items
    if only_new:
        known = (items != MISSING_ROW) & seen[items]
        users, items = users[~known], items[~known]
    measured, place = np.unique(users, return_inverse=True)
    known = items != MISSING_ROW
    pairs = place[known].astype(np.int64) * len(seen) + items[known]
    return measured.astype(np.int64), pairs, np.bincount(place, minlength=len(measured))


def _overall(
    lists: NDArray[np.int64], ks: Sequence[int], split: Split, n_candidates: int
) -> dict[str, float]:
    """Measure all lists together.

    Coverage is the share of the candidates that stand in any list. Novelty is the mean of
    ``-log2(p)`` over shown items, p being the share of users who knew the item.
    """
    train = split.train.interactions
    n_items, n_users = split.train.n_items, split.train.n_users
    pairs = distinct(train.user_rows.astype(np.int64) * max(n_items, 1) + train.item_rows)
    n_knowing = np.bincount(pairs % max(n_items, 1), minlength=n_items)
    surprise = -np.log2((n_knowing + 1.0) / (n_users + 1.0))
    overall = {}
    for k in ks:
        first = lists[:, :k]
        counts = np.bincount(first[first != NO_ITEM], minlength=n_items)
        overall[f"coverage@{k}"] = float((counts > 0).sum()) / max(n_candidates, 1)
        overall[f"novelty@{k}"] = float((counts * surprise).sum()) / max(int(counts.sum()), 1)
    return overall
