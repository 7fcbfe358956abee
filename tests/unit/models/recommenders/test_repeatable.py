"""The same data and seed give the same numbers, to the last bit, on any number of threads."""

from dataclasses import replace

import numpy as np
import pytest

from models.dataset import Dataset
from models.histories import Histories
from models.recommenders.blocks import one_blas_thread
from models.recommenders.fitting import begin_fit
from models.recommenders.hybrid import Hybrid
from models.recommenders.settings import Settings
from models.recommenders.tasks import side_by_side
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


def _fit_after(past: Dataset, shop: Dataset) -> Hybrid:
    with one_blas_thread(), side_by_side() as tasks:
        first = begin_fit(tasks, "past", past, SETTINGS, now_ms=NOW_MS, seed=1)
        fit = begin_fit(tasks, "all", shop, SETTINGS, now_ms=NOW_MS, seed=1, after=first)
        return Hybrid.of(fit.parts(), SETTINGS)


def test_hybrid_is_the_same_on_one_thread_and_on_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every array that is stored is equal bit by bit."""
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(Hybrid.fit(_shop(), SETTINGS, now_ms=NOW_MS, seed=1).to_arrays())
    first, second = found
    assert first.keys() == second.keys()
    assert [name for name in first if not np.array_equal(first[name], second[name])] == []


def test_fit_from_a_start_is_the_same_on_one_thread_and_on_three(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the trainer publishes begins where the fit on the past ended, and is repeatable too."""
    shop, found = _shop(), []
    past = replace(shop, interactions=shop.interactions.take(np.arange(20_000)))
    for threads in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(_fit_after(past, shop).to_arrays())
    first, second = found
    assert [name for name in first if not np.array_equal(first[name], second[name])] == []


def test_fit_from_a_start_recommends_what_a_fit_from_nothing_does() -> None:
    """Of the 20 best items of a user, four of five are the same."""
    shop = _shop()
    past = replace(shop, interactions=shop.interactions.take(np.arange(20_000)))
    histories = Histories.of(shop.interactions, N_USERS, NOW_MS).take(np.arange(100))
    fits = (Hybrid.fit(shop, SETTINGS, now_ms=NOW_MS, seed=1), _fit_after(past, shop))
    best = [np.argsort(-fit.score(histories)) for fit in fits]
    same = [len(set(a) & set(b)) for a, b in zip(*(lists[:, :20] for lists in best), strict=True)]
    assert np.mean(same) >= 16
