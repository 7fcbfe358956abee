"""Weights are chosen on the training data, kept if they are surely better, within the time."""

import itertools

import numpy as np
import pytest

from models.dataset import Dataset
from models.recommenders.settings import Settings
from models.scoring import MS_PER_DAY
from tests.unit.models.small_dataset import checkerboard, make_dataset
from training import tune as tuning_module
from training.tune import N_TRIALS, tune
from training.validation import split_validation

SETTINGS = Settings(factors=8, spectral_dimensions=8)


def _timeless() -> Dataset:
    rng = np.random.default_rng(2)
    rows = [(user, int(item), 5) for user in range(600) for item in rng.permutation(30)[:10]]
    return make_dataset(rows, 600, 30)


def test_no_time_takes_the_shipped_weights() -> None:
    """A budget of 0 fits nothing and says nothing."""
    assert tune(checkerboard(), SETTINGS, budget_s=0, seed=1, clock=lambda: 0.0) == (SETTINGS, None)


def test_tuning_repeats_with_the_seed() -> None:
    """Where time did not run out, the same data and seed choose the same weights."""
    first, second = (
        tune(checkerboard(400, 40), SETTINGS, budget_s=60, seed=3, clock=lambda: 0.0)
        for _ in range(2)
    )
    assert first == second
    assert first[1] is not None
    assert first[1].n_trials == N_TRIALS
    assert first[1].is_repeatable


def test_weights_stay_where_nothing_is_gained() -> None:
    """On noise no weights are surely better, so the shipped ones stay."""
    settings, tuning = tune(_timeless(), SETTINGS, budget_s=60, seed=1, clock=lambda: 0.0)
    assert tuning is not None
    assert tuning.gain.low <= 0
    assert not tuning.is_kept
    assert settings == SETTINGS


def _with_stock(n_unsold: int) -> Dataset:
    """Let 200 users have 12 of the 30 items of their colour; copies of these nobody ever had."""
    rng = np.random.default_rng(4)
    rows = [
        (user, 2 * int(item) + user % 2, int(rng.integers(100)))
        for user in range(200)
        for item in rng.permutation(30)[:12]
    ]
    titles = [
        f"{('white', 'black')[item % 2]} square number{item % 60 // 2}"
        for item in range(60 + n_unsold)
    ]
    return make_dataset(rows, 200, 60 + n_unsold, titles=titles)


def test_what_nobody_has_met_takes_no_places_from_what_is_tuned() -> None:
    """With five unsold copies of each item in the catalogue the shipped weights are as good."""
    figures = []
    for n_unsold in (0, 300):
        dataset = _with_stock(n_unsold)
        _, tuning = tune(dataset, SETTINGS, budget_s=60, seed=1, clock=lambda: 0.0)
        assert tuning is not None
        figures.append(tuning.default_ndcg)
    assert figures[1] == pytest.approx(figures[0], rel=0.05)


def test_users_are_as_many_as_the_items_that_were_met_allow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Room for 120 users beside 60 items is not lost where the catalogue lists 360."""
    monkeypatch.setattr(tuning_module, "MAX_VALUES", 60 * 120)
    _, tuning = tune(_with_stock(300), SETTINGS, budget_s=60, seed=1, clock=lambda: 0.0)
    assert tuning is not None
    assert tuning.n_users == 120


def test_time_that_ran_out_is_said() -> None:
    """With a clock that jumps past the budget there are few trials, and it is not repeatable."""
    ticks = itertools.count(0, 1_000)
    _, tuning = tune(
        checkerboard(400, 40), SETTINGS, budget_s=0.001, seed=1, clock=lambda: float(next(ticks))
    )
    assert tuning is not None
    assert tuning.is_repeatable == (tuning.n_trials == N_TRIALS)


def test_few_users_are_not_asked() -> None:
    """Twenty users cannot tell chance from gain."""
    assert tune(checkerboard(), SETTINGS, budget_s=9, seed=1, clock=lambda: 0.0) == (SETTINGS, None)


def test_validation_of_a_clock_is_the_newest_part() -> None:
    """With a real clock the last 15 % of the interactions are held out, from all users."""
    rng = np.random.default_rng(1)
    rows = [(int(rng.integers(20)), int(rng.integers(30)), day) for day in range(200)]
    dataset = make_dataset(rows, 20, 30)
    split = split_validation(dataset, seed=1, max_users=100)
    assert split.train.interactions.at_ms.max() <= split.now_ms
    assert 170 * MS_PER_DAY <= split.now_ms < 200 * MS_PER_DAY


def test_validation_of_an_order_is_the_last_step_of_some_users() -> None:
    """Where a timestamp counts steps, a quarter of the users lose their last item."""
    rows = [(user, (user + step) % 25, step) for user in range(40) for step in range(4 + user % 9)]
    dataset = make_dataset(rows, 40, 25)
    split = split_validation(dataset, seed=1, max_users=100)
    assert split.n_users == 10
    held = len(dataset.interactions) - len(split.train.interactions)
    assert held == 10


def test_validation_without_time_is_a_random_fifth_of_some_users() -> None:
    """Of a quarter of the users about two of ten items are held out; the others stay whole."""
    dataset = _timeless()
    split = split_validation(dataset, seed=1, max_users=1_000)
    assert 100 <= split.n_users <= 150
    counts = np.bincount(split.train.interactions.user_rows, minlength=600)
    assert (counts == 10).sum() >= 450
