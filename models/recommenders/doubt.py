"""How much of what is said of an item its attributes say, while few have had to do with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.recommenders.moments import Moments
from models.scoring import MS_PER_DAY

N_SURE = 5
"""Users of an item from which on its own interactions speak alone."""
LEAST_DOUBT = 0.05
"""Less is not worth a column."""
LEAST_SHARE = 0.05
"""Of the first places, which items in doubt have if they have as much of the catalogue."""
WATCHED_DAYS = 28.0
MAX_WATCHED_SHARE = 0.2
"""Of the time that the data spans; a shorter log is watched for less."""


def doubt_of(
    moments: Moments, n_users_of: NDArray[np.int64], now_ms: int, *, days: float
) -> NDArray[np.float32]:
    """Return ``(1 - n / 5) · e^(-age / days)`` for items of n < 5 users, 0 for others.

    An item is as old as its first interaction, so a new one has 1. What few wanted in a long time
    is no longer in doubt. Without a clock all ages are 0.
    """
    share = np.maximum(1.0 - n_users_of / N_SURE, 0.0)
    if moments.has_clock:
        first_ms = np.full(moments.n_items, now_ms, dtype=np.int64)
        np.minimum.at(first_ms, moments.item_rows, moments.at_ms)
        share *= np.exp(-(now_ms - first_ms) / MS_PER_DAY / days)
    return np.where(share < LEAST_DOUBT, 0.0, share).astype(np.float32)


def share_of_places(
    doubt: NDArray[np.float32],
    moments: Moments,
    *,
    created_at_ms: NDArray[np.int64],
    is_described: NDArray[np.bool_],
    days: float,
) -> float:
    """Return how many of the first places items in doubt should have, as a share, 0 to 1.

    As many as they have of the catalogue, unless a clock tells that such an item was lately chosen
    less often than one that is not in doubt: then by that much fewer. Of a catalogue that hardly
    sells, most is no novelty. One place of 20 is theirs in any case: a shop that brings out its
    first new items has no past that speaks for them.

    Parameters
    ----------
    doubt : ndarray of float32, shape (n_items,)
        Of today.
    created_at_ms : ndarray of int64, shape (n_items,)
        0 where unknown: such an item is taken to have always been there.
    is_described : ndarray of bool, shape (n_items,)
        Which items have attributes: of the others nothing is said while they are in doubt.
    days : float
        In which doubt fades, as in `doubt_of`.
    """
    share = float(doubt.mean()) if len(doubt) else 0.0
    if share <= LEAST_SHARE or not moments.has_clock:
        return share
    first_ms, last_ms = int(moments.at_ms.min()), int(moments.at_ms.max())
    cut_ms = last_ms - int(min(WATCHED_DAYS * MS_PER_DAY, (last_ms - first_ms) * MAX_WATCHED_SHARE))
    before, later = _first_choices(moments, cut_ms)
    then = doubt_of(moments, before, cut_ms, days=days).astype(np.float64) * is_described
    was_there = created_at_ms <= cut_ms
    of_catalog = float(then[was_there].mean()) if was_there.any() else 0.0
    of_choices = float(later @ then) / max(int(later.sum()), 1)
    if not later.any() or not 0 < of_catalog < 1 or of_choices >= of_catalog:
        return share
    # Choices an item, of those in doubt beside the others.
    appeal = of_choices / of_catalog * (1.0 - of_catalog) / (1.0 - of_choices)
    return max(share * appeal, LEAST_SHARE)


def _first_choices(moments: Moments, cut_ms: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count who came to each item for the first time, up to the cut and later, (n_items,) each."""
    pairs = moments.user_rows.astype(np.int64) << 32 | moments.item_rows
    # Moments are in the order of time within a user, which a stable sort keeps.
    order = np.argsort(pairs, kind="stable")
    is_first = np.ones(len(order), dtype=np.bool_)
    is_first[1:] = pairs[order[1:]] != pairs[order[:-1]]
    firsts = order[is_first]
    items, is_later = moments.item_rows[firsts], moments.at_ms[firsts] > cut_ms
    n_items = moments.n_items
    return (
        np.bincount(items[~is_later], minlength=n_items),
        np.bincount(items[is_later], minlength=n_items),
    )
