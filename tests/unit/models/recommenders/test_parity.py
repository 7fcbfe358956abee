"""The weight of new items, against looking at all of their scores in every step."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.recommenders.parity import (
    HIGHEST,
    LOWEST,
    MAX_PLACE_SHARE,
    N_PLACES,
    N_STEPS,
    rivals,
    weight_of_new,
)


def by_looking_at_all(
    old: NDArray[np.float32], new: NDArray[np.float32], wanted_share: float
) -> float:
    """Halve the range of the weight, sorting all scores of every user."""
    k = min(N_PLACES, int(MAX_PLACE_SHARE * (old.shape[1] + new.shape[1])))
    low, high = np.log(LOWEST), np.log(HIGHEST)
    for _ in range(N_STEPS):
        middle = (low + high) / 2
        weighed = np.float32(np.exp(middle)) * new
        bar = np.sort(np.concatenate([old, weighed], axis=1), axis=1)[:, -k, np.newaxis]
        if ((weighed >= bar) & (weighed > 0)).sum() < wanted_share * k * len(old):
            low = middle
        else:
            high = middle
    return float(f"{np.exp(high):.3g}")


@pytest.mark.parametrize("n_new", [1, 15, 40, 3_000])
@pytest.mark.parametrize("n_values", [3, 40, 1_000_000])
@pytest.mark.parametrize("wanted_share", [0.05, 0.5, 0.9])
def test_weight_is_that_of_looking_at_all(n_new: int, n_values: int, wanted_share: float) -> None:
    """Few and many new items, of which many are tied, and some users hear of none."""
    rng = np.random.default_rng(n_new + n_values)
    old = rng.random((30, 200)).astype(np.float32)
    new = (rng.integers(0, n_values, (30, n_new)) / n_values).astype(np.float32)
    new[3] = 0.0
    every = np.concatenate([old, np.zeros((30, n_new), dtype=np.float32)], axis=1)
    is_new = np.arange(200 + n_new) >= 200
    found = weight_of_new(every, new, is_new, wanted_share=wanted_share)
    assert found == by_looking_at_all(old, new, wanted_share)


def test_few_of_many_new_items_are_looked_at_again_and_again() -> None:
    """Of 20,000 scores of each user less than a hundred can be among the first twenty."""
    scores = np.random.default_rng(1).random((10, 20_000)).astype(np.float32)
    users, values, loudest = rivals(scores, 20)
    assert len(users) < 10 * 100
    for user, own in enumerate(scores):
        first = np.sort(own)[::-1]
        assert np.array_equal(loudest[user], first[:20])
        assert np.array_equal(values[users == user][:20], first[:20])
