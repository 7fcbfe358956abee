"""Lifts: worked out by hand, and right about their uncertainty."""

import math

import numpy as np
import pytest

from training.simulation.truth import ArmTruth, measured_lift, relative_lift


def test_arm_truth_counts_a_slate_by_hand() -> None:
    """Positions with 0.5 and 0.2 expect 0.7 clicks and a clicked slate with 1 - 0.5 · 0.8 = 0.6."""
    arm = ArmTruth()
    arm.add(np.array([0.5, 0.2]), np.array([True, True]))
    arm.add(np.array([0.0, 0.0]), np.array([False, False]))
    assert arm.expected_clicks == pytest.approx(0.7)
    assert arm.expected_clicked_slates == pytest.approx(0.6)
    assert (arm.n_slates, arm.clicks, arm.clicked_slates) == (2, 2, 1)
    assert arm.click_through == pytest.approx(0.3)


def test_relative_lift_needs_a_control() -> None:
    """From 0.10 to 0.15 is +50 %; without a control there is none."""
    assert relative_lift(0.15, 0.10) == pytest.approx(0.5)
    assert relative_lift(0.15, 0.0) is None
    assert relative_lift(math.nan, 0.1) is None


def test_measured_lift_by_hand() -> None:
    """With 200 of 1000 against 100 of 1000 the ratio is 2, its log has a deviation of 0.1140."""
    lift = measured_lift((200, 100), (1000, 1000))
    assert lift is not None
    deviation = math.sqrt(1 / 200 - 1 / 1000 + 1 / 100 - 1 / 1000)
    assert lift.value == pytest.approx(1.0)
    assert lift.low == pytest.approx(2 * math.exp(-1.96 * deviation) - 1, abs=1e-4)
    assert lift.high == pytest.approx(2 * math.exp(1.96 * deviation) - 1, abs=1e-4)


@pytest.mark.parametrize(
    ("clicked", "slates"), [((0, 5), (10, 10)), ((5, 0), (10, 10)), ((0, 0), (0, 0))]
)
def test_measured_lift_is_silent_without_clicks(
    clicked: tuple[int, int], slates: tuple[int, int]
) -> None:
    """Where an arm has no click there is no ratio to speak of."""
    assert measured_lift(clicked, slates) is None


def test_measured_lift_covers_the_truth_as_often_as_it_says() -> None:
    """Of 2,000 experiments with a lift of 50 %, between 93 % and 97 % of the intervals hold it."""
    rng = np.random.default_rng(1)
    n = 1_500
    treated, control = rng.binomial(n, 0.15, 2_000), rng.binomial(n, 0.10, 2_000)
    covered = 0
    for x1, x0 in zip(treated.tolist(), control.tolist(), strict=True):
        lift = measured_lift((x1, x0), (n, n))
        assert lift is not None
        covered += lift.low <= 0.5 <= lift.high
    assert 0.93 < covered / 2_000 < 0.97
