"""How loud new items speak: as loud as gives them their fair share of the first places.

Nothing is known of how new items sell, so there is no label to tune their weight on. Instead the
weight is chosen so that they fill a wanted share of the best places of a sample of users, by
default the share that they have of the catalogue.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.recommenders.top_k import reached

N_PLACES = 20
MAX_PLACE_SHARE = 0.1
"""Of the catalogue: in a small one the first places are fewer."""
N_STEPS = 14
LOWEST, HIGHEST = 0.02, 50.0
NEARLY = np.float32(0.999)


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
    users, near, loudest = rivals(new_scores, k)
    low, high = np.log(LOWEST), np.log(HIGHEST)
    for _ in range(N_STEPS):
        middle = (low + high) / 2
        weight = np.float32(np.exp(middle))
        both = np.concatenate([best, weight * loudest], axis=1)
        bar = np.partition(both, both.shape[1] - k, axis=1)[:, -k]
        weighed = weight * near
        n_won = int(((weighed >= bar[users]) & (weighed > 0)).sum())
        if n_won < wanted_share * k * len(scores):
            low = middle
        else:
            high = middle
    return float(f"{np.exp(high):.3g}")


def rivals(
    new_scores: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Return whatever can stand among the first `k` of its user, and the `k` largest of each.

    The rows and the scores of the first, shape (n,) each, and (n_users, k) filled up with 0.
    """
    n_users, n_new = new_scores.shape
    floors = reached(new_scores, k) if n_new >= k else np.zeros(n_users, dtype=np.float32)
    # Weighed and rounded, what is a little lower may come to the same.
    is_near = new_scores >= (NEARLY * np.maximum(floors, 0.0))[:, np.newaxis]
    is_near &= new_scores > 0
    users, columns = np.divmod(np.flatnonzero(is_near), max(n_new, 1))
    scores = new_scores[users, columns]
    order = np.lexsort((-scores, users))
    users, scores = users[order], scores[order]
    places = np.arange(len(users)) - np.searchsorted(users, np.arange(n_users))[users]
    is_first = places < k
    loudest = np.zeros((n_users, k), dtype=np.float32)
    loudest[users[is_first], places[is_first]] = scores[is_first]
    return users, scores, loudest
