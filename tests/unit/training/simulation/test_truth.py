"""Lifts: worked out by hand, and right about their uncertainty."""

import math
from pathlib import Path

import numpy as np
import pytest

from training.simulation.outcome import compare_lift
from training.simulation.truth import ArmTruth, Truth, measured_lift, relative_lift


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


def test_truth_goes_on_in_the_next_run(tmp_path: Path) -> None:
    """What a run wrote is what the next one begins with, epoch by epoch."""
    truth = Truth.read(tmp_path / "truth.json")
    assert truth.newest_epoch == 0
    truth.arm(2, "control").add(np.array([0.25]), np.array([True]))
    truth.write(tmp_path / "truth.json")
    again = Truth.read(tmp_path / "truth.json")
    assert again == truth
    assert again.newest("control").click_through == 0.25


def test_lift_is_compared_within_the_newest_epoch() -> None:
    """An older epoch, another metric and another variant say nothing about the newest setting."""
    truth = Truth()
    truth.arm(1, "personal").add(np.array([0.9]), np.array([True]))
    truth.arm(2, "personal").add(np.array([0.3]), np.array([True]))
    truth.arm(2, "control").add(np.array([0.2]), np.array([False]))

    def comparison(metric: str, value: float) -> dict[str, object]:
        relative = {"value": value, "low": value - 0.2, "high": value + 0.2}
        return {"variant": "personal", "metric": metric, "relative": relative}

    report = {
        "epochs": [
            {"epoch": 1, "comparisons": [comparison("click_through", 9.0)]},
            {
                "epoch": 2,
                "comparisons": [comparison("conversion", 5.0), comparison("click_through", 0.4)],
            },
        ]
    }
    lift = compare_lift(truth, report)
    assert lift.planted == pytest.approx(0.5)
    assert lift.measured is not None
    assert lift.measured.value == 0.4
    assert lift.is_covered
    assert lift.click_through_planted == pytest.approx({"control": 0.2, "personal": 0.3})
