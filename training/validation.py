"""A slice of the training data to choose numbers on; the test is never looked at for that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.dataset import Dataset
from models.histories import Histories
from models.manifest import Blend
from models.recommenders.moments import Moments
from models.scoring import MS_PER_DAY
from training.split import Split, split_by

VALIDATION_DAYS = 28.0
MAX_SHARE = 0.15
"""Of the interactions; where there is a clock, a short log has a short validation."""
HELD_SHARE = 0.2
"""Of a user's interactions, where nothing tells which came last."""
USER_SHARE = 0.25
"""Of the users, where there is no clock: the rest stays whole to learn from."""
MIN_INTERACTIONS = 3


def split_validation(dataset: Dataset, *, seed: int, max_users: int) -> Split:
    """Hold out what resembles what is to be predicted.

    With a clock these are the newest weeks of all users; with an order only, the last moment of
    some users; with no time at all, a random fifth of their interactions.
    """
    rows = dataset.interactions
    moments = Moments.of(dataset, Blend(), max_per_user=len(rows))
    last = int(rows.at_ms.max())
    if moments.has_clock:
        by_share = int(np.quantile(rows.at_ms, 1.0 - MAX_SHARE))
        cut_ms = max(last - int(VALIDATION_DAYS * MS_PER_DAY), by_share)
        return split_by(dataset, rows.at_ms > cut_ms, cut_ms).sample_users(max_users, seed=seed)
    is_test = _held_out(dataset, moments.orderedness > 0, seed, max_users)
    return split_by(dataset, is_test, last)


def _held_out(dataset: Dataset, is_ordered: bool, seed: int, max_users: int) -> NDArray[np.bool_]:
    rows = dataset.interactions
    rng = np.random.default_rng(seed)
    counts = np.bincount(rows.user_rows, minlength=dataset.n_users)
    able = np.flatnonzero(counts >= MIN_INTERACTIONS)
    n_users = min(max_users, max(int(len(able) * USER_SHARE), 1))
    is_chosen = np.zeros(dataset.n_users, dtype=np.bool_)
    is_chosen[rng.permutation(able)[:n_users]] = True
    if not is_ordered:
        drawn: NDArray[np.bool_] = rng.random(len(rows)) < HELD_SHARE
        return is_chosen[rows.user_rows] & drawn
    histories = Histories.of(rows, dataset.n_users, int(rows.at_ms.max()))
    newest = np.full(dataset.n_users, np.iinfo(np.int64).min)
    np.maximum.at(newest, rows.user_rows, rows.at_ms)
    oldest = np.full(dataset.n_users, np.iinfo(np.int64).max)
    np.minimum.at(oldest, rows.user_rows, rows.at_ms)
    # Whoever came once would have nothing left to speak with.
    is_chosen &= (newest > oldest) & (np.diff(histories.items.offsets) > 1)
    is_newest: NDArray[np.bool_] = rows.at_ms == newest[rows.user_rows]
    return is_chosen[rows.user_rows] & is_newest
