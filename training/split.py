"""Cut the newest part off a dataset, to evaluate on what happened next."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.dataset import Dataset
from models.distinct import distinct
from models.scoring import MS_PER_DAY

TEST_DAYS = 28.0
MAX_TEST_SHARE = 0.2
"""Of the time that the data spans; a short log has a short test."""


@dataclass(frozen=True, slots=True)
class Split:
    """A dataset of what was known, and what was then to be found out."""

    train: Dataset
    test_users: NDArray[np.int32]
    """(n_pairs,) user row of each test pair."""
    test_items: NDArray[np.int32]
    """(n_pairs,) item row of each test pair; the user had nothing to do with it before."""
    now_ms: int
    """When the recommendations are made: the moment of the cut."""

    @property
    def n_users(self) -> int:
        """How many users have anything to be found."""
        return len(distinct(self.test_users))

    def sample_users(self, n: int, *, seed: int) -> Split:
        """Draw at most `n` of the test users; the training part stays whole."""
        users = distinct(self.test_users)
        chosen = np.random.default_rng(seed).permutation(users)[:n]
        kept = np.isin(self.test_users, chosen)
        return replace(self, test_users=self.test_users[kept], test_items=self.test_items[kept])


def split_newest(dataset: Dataset, *, seed: int, test_days: float = TEST_DAYS) -> Split:
    """Cut off the last `test_days`, or the last fifth of a shorter log.

    Where every interaction has the same moment, a random fifth of them is the test.
    """
    at_ms = dataset.interactions.at_ms
    first, last = int(at_ms.min()), int(at_ms.max())
    if first == last:
        is_test = np.random.default_rng(seed).random(len(at_ms)) < MAX_TEST_SHARE
        return split_by(dataset, is_test, last)
    span_ms = min(test_days * MS_PER_DAY, (last - first) * MAX_TEST_SHARE)
    cut_ms = last - int(span_ms)
    return split_by(dataset, at_ms > cut_ms, cut_ms)


def split_by(dataset: Dataset, is_test: NDArray[np.bool_], now_ms: int) -> Split:
    """Split by a mask of the interactions; a test pair known from training is left out."""
    known, later = dataset.interactions.take(~is_test), dataset.interactions.take(is_test)
    users, items = unseen_pairs(
        known.user_rows, known.item_rows, later.user_rows, later.item_rows, dataset.n_items
    )
    return Split(replace(dataset, interactions=known), users, items, now_ms)


def unseen_pairs(
    seen_users: NDArray[np.int32],
    seen_items: NDArray[np.int32],
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    n_items: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the distinct pairs of (`users`, `items`) that are not among the seen, in order."""
    width = max(n_items, 1)
    seen = seen_users.astype(np.int64) * width + seen_items
    pairs = distinct(users.astype(np.int64) * width + items)
    pairs = pairs[~_is_among(pairs, np.sort(seen))]
    return (pairs // width).astype(np.int32), (pairs % width).astype(np.int32)


def _is_among(pairs: NDArray[np.int64], ordered: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which of `pairs` are in `ordered`."""
    if not len(ordered):
        return np.zeros(len(pairs), dtype=np.bool_)
    place = np.minimum(np.searchsorted(ordered, pairs), len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[place] == pairs
    return found
