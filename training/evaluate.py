"""Rank all items for every test user, and compare with what the user went on to choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.histories import Histories
from models.manifest import Interval
from models.recommenders.blocks import map_blocks, rows_of_size
from models.recommenders.recommender import Recommender
from models.vocabulary import MISSING_ROW
from training.metrics import (
    NO_ITEM,
    bootstrap,
    bootstrap_all,
    draw_lots,
    hit_rate,
    ndcg,
    recall,
    top_lists,
)
from training.split import Split

BLOCK_PARTS = 2
"""Blocks are that much smaller than elsewhere: several arrays of their size are made of each."""


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


@dataclass(frozen=True, slots=True)
class Ground:
    """What all recommenders of a split are measured on."""

    histories: Histories
    """What every user did before the cut."""
    lots: NDArray[np.int64]
    """Places of the items among equals."""
    n_knowing: NDArray[np.int64]
    """(n_items,) users who knew the item before the cut."""

    @classmethod
    def of(cls, split: Split) -> Self:
        """Work it out."""
        train = split.train
        histories = Histories.of(train.interactions, train.n_users, split.now_ms)
        n_knowing = np.bincount(histories.items.rows, minlength=train.n_items)
        return cls(histories, draw_lots(train.item_ids), n_knowing)


def evaluate(
    recommender: Recommender,
    split: Split,
    ks: Sequence[int],
    *,
    only_new: bool = False,
    ground: Ground | None = None,
) -> Evaluation:
    """Rank all items for every user with a test item; a user's own items are left out.

    With `only_new` the candidates are the items without any interaction in training. A test pair
    whose item is unknown (-1) cannot be found, but counts in the denominators. Whoever measures
    several recommenders works out the `ground` once.
    """
    n_items = split.train.n_items
    seen = np.bincount(split.train.interactions.item_rows, minlength=n_items) > 0
    users, pairs, n_relevant = _test_pairs(split, seen, only_new)
    ground = Ground.of(split) if ground is None else ground
    lots = ground.lots

    def rank(rows: slice) -> NDArray[np.int64]:
        own = ground.histories.take(users[rows])
        scores = recommender.score(own)
        owners = np.repeat(np.arange(len(own)), np.diff(own.items.offsets))
        scores[owners, own.items.rows] = -np.inf
        if only_new:
            scores[:, seen] = -np.inf
        return top_lists(scores, lots, max(ks))

    found = map_blocks(len(users), rows_of_size(BLOCK_PARTS * n_items), rank)
    lists = np.concatenate([np.empty((0, max(ks)), dtype=np.int64), *found])
    keys = np.arange(len(users))[:, np.newaxis] * n_items + lists
    hits = np.isin(keys, pairs) & (lists != NO_ITEM)
    per_user = {}
    for k in ks:
        per_user[f"recall@{k}"] = recall(hits, n_relevant, k)
        per_user[f"ndcg@{k}"] = ndcg(hits, n_relevant, k)
        per_user[f"hit_rate@{k}"] = hit_rate(hits, k)
    n_candidates = int((~seen).sum()) if only_new else n_items
    return Evaluation(
        per_user, _overall(lists, ks, split, n_candidates, ground.n_knowing), users, lists
    )


def intervals_of(
    evaluations: Mapping[str, Evaluation], seed: int
) -> dict[str, dict[str, Interval]]:
    """Return the 95 % bootstrap interval over users of every mean, by recommender and metric.

    All of one split: each resample draws the same users for every recommender.
    """
    names = [(name, metric) for name, found in evaluations.items() for metric in found.per_user]
    values = [evaluations[name].per_user[metric] for name, metric in names]
    found = bootstrap_all(np.stack(values, axis=1), np.random.default_rng(seed))
    intervals: dict[str, dict[str, Interval]] = {name: {} for name in evaluations}
    for (name, metric), interval in zip(names, found, strict=True):
        intervals[name][metric] = interval
    return intervals


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
    lists: NDArray[np.int64],
    ks: Sequence[int],
    split: Split,
    n_candidates: int,
    n_knowing: NDArray[np.int64],
) -> dict[str, float]:
    """Measure all lists together.

    Coverage is the share of the candidates that stand in any list. Novelty is the mean of
    ``-log2(p)`` over shown items, p being the share of users who knew the item.
    """
    n_items, n_users = split.train.n_items, split.train.n_users
    surprise = -np.log2((n_knowing + 1.0) / (n_users + 1.0))
    overall = {}
    for k in ks:
        first = lists[:, :k]
        counts = np.bincount(first[first != NO_ITEM], minlength=n_items)
        overall[f"coverage@{k}"] = float((counts > 0).sum()) / max(n_candidates, 1)
        overall[f"novelty@{k}"] = float((counts * surprise).sum()) / max(int(counts.sum()), 1)
    return overall
