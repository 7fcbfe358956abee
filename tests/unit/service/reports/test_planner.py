"""How many units it takes to see a lift."""

import numpy as np
import pytest

from service.reports.planner import plan_conversion


def test_plan_is_that_of_the_textbook() -> None:
    """From 10 % to 12 %, arms alike: 7.849 · (0.09 + 0.1056) / 0.0004 = 3,838 units in each."""
    found = plan_conversion(0.1, 0.2, 0.5, units_per_day=1_000)
    assert found is not None
    assert found.n_control == found.n_treated == pytest.approx(3_838, abs=3)
    assert found.days == pytest.approx(7.68, abs=0.01)


def test_smaller_share_takes_more_units_in_all() -> None:
    """A tenth treated: nearly three times as many people as a half."""
    half, tenth = (plan_conversion(0.1, 0.2, share, None) for share in (0.5, 0.1))
    assert half is not None
    assert tenth is not None
    assert tenth.n_units > 2.5 * half.n_units
    assert tenth.n_treated < half.n_treated
    assert tenth.days is None


@pytest.mark.parametrize(
    ("baseline", "lift", "share"),
    [(0.0, 0.1, 0.5), (1.0, 0.1, 0.5), (0.6, 1.0, 0.5), (0.1, 0.0, 0.5), (0.1, 0.1, 0.0)],
)
def test_plan_without_an_answer_is_none(baseline: float, lift: float, share: float) -> None:
    """Nobody buys, everybody does, there is nothing to see, or nobody to compare with."""
    assert plan_conversion(baseline, lift, share, 100) is None


def test_planned_experiment_sees_its_lift_in_four_of_five() -> None:
    """2,000 simulated ones with the planned units: 80 %, give or take three standard errors."""
    found = plan_conversion(0.1, 0.2, 0.3, None)
    assert found is not None
    rng = np.random.default_rng(5)
    control = rng.binomial(found.n_control, 0.1, 2_000) / found.n_control
    treated = rng.binomial(found.n_treated, 0.12, 2_000) / found.n_treated
    error = np.sqrt(
        control * (1 - control) / found.n_control + treated * (1 - treated) / found.n_treated
    )
    seen = np.mean(np.abs(treated - control) / error > 1.96)
    assert seen == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / 2_000))
