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
