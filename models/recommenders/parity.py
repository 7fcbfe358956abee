"""How loud new items speak: as loud as gives them their fair share of the first places.

Nothing is known of how new items sell, so there is no label to tune their weight on. Instead the
weight is chosen so that they fill a wanted share of the best places of a sample of users, by
default the share that they have of the catalogue.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

N_PLACES = 20
MAX_PLACE_SHARE = 0.1
"""Of the catalogue: in a small one the first places are fewer."""
N_STEPS = 14
LOWEST, HIGHEST = 0.02, 50.0


def weight_of_new(
    scores: NDArray[np.float32],
    new_scores: NDArray[np.float32],
    is_new: NDArray[np.bool_],
    *,
    wanted_share: float,
) -> float:
    """Find by bisection the weight at which new items fill `wanted_share` of the first places.

    Parameters
    ----------
    scores : ndarray of float32, shape (n_users, n_items)
        Of all other items; what is no candidate has -inf.
    new_scores : ndarray of float32, shape (n_users, n_new)
        Of the new items, before they are weighed.
    is_new : ndarray of bool, shape (n_items,)
    wanted_share : float
        0 to 1.
    """
    if not len(scores) or not is_new.any() or wanted_share <= 0:
        return 0.0
    old = scores[:, ~is_new]
    k = min(N_PLACES, max(int(MAX_PLACE_SHARE * len(is_new)), 1))
    # Only the k best of the others can be pushed out.
    best = np.partition(old, old.shape[1] - min(k, old.shape[1]), axis=1)[:, -k:]
    low, high = np.log(LOWEST), np.log(HIGHEST)
    for _ in range(N_STEPS):
        middle = (low + high) / 2
        both = np.concatenate([best, np.float32(np.exp(middle)) * new_scores], axis=1)
        bar = np.partition(both, both.shape[1] - k, axis=1)[:, -k, np.newaxis]
        weighed = both[:, best.shape[1] :]
        n_won = int(((weighed >= bar) & (weighed > 0)).sum())
        if n_won < wanted_share * k * len(scores):
            low = middle
        else:
            high = middle
    return float(f"{np.exp(high):.3g}")
