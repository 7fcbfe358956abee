"""The same data and seed give the same numbers, to the last bit, on any number of threads."""

import numpy as np
import pytest

from models.dataset import Dataset
from models.recommenders.hybrid import Hybrid
from models.recommenders.settings import Settings
from tests.unit.models.small_dataset import NOW_MS, make_dataset

N_USERS, N_ITEMS = 3_000, 1_200
"""More than one block of rows each."""
SETTINGS = Settings(factors=16, iterations=3, spectral_dimensions=32, served_dimensions=40)


def _shop() -> Dataset:
    rng = np.random.default_rng(4)
    users = np.repeat(np.arange(N_USERS), 8)
    items = (users + rng.integers(0, 200, len(users))) % (N_ITEMS - 50)
    days = rng.integers(1, 100, len(users))
    titles = [f"kind{item % 37} colour{item % 11}" for item in range(N_ITEMS)]
    rows = list(zip(users.tolist(), items.tolist(), days.tolist(), strict=True))
    return make_dataset(rows, N_USERS, N_ITEMS, titles=titles)


def test_hybrid_is_the_same_on_one_thread_and_on_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every array that is stored is equal bit by bit."""
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(Hybrid.fit(_shop(), SETTINGS, now_ms=NOW_MS, seed=1).to_arrays())
    first, second = found
    assert first.keys() == second.keys()
    assert [name for name in first if not np.array_equal(first[name], second[name])] == []
