"""IPS, SNIPS and doubly robust estimates: by hand, by simulation, and what they warn of."""

import math

import numpy as np
import pytest

from training.policy.decisions import Decisions, Policy, number, tabulate
from training.policy.estimators import doubly_robust, estimate, measured, reward_model

ACTIONS = ["a", "b", "c"]


def decisions_of(rows: list[tuple[int, float, float]], unit: list[int] | None = None) -> Decisions:
    """Make decisions of (action, propensity, reward) at one position."""
    action, propensity, reward = (np.array(column) for column in zip(*rows, strict=True))
    units = np.arange(len(rows)) if unit is None else np.array(unit)
    return Decisions(ACTIONS, action, np.zeros(len(rows), np.intp), propensity, reward, units)


def always(shares: dict[int, float], n: int) -> Policy:
    """Make a policy that does the same in every decision."""
    return tabulate("target", [shares], np.zeros(n, np.intp), len(ACTIONS))


EVEN = decisions_of([(0, 0.5, 1.0), (1, 0.5, 0.0)] * 200)
FOUR = decisions_of([(0, 0.5, 1.0), (1, 0.25, 0.0), (0, 0.5, 0.0), (2, 0.25, 1.0)])
"""The policy below has probabilities .8 and .2 of actions 0 and 1: weights 1.6, .8, 1.6, 0."""
TARGET = always({0: 0.8, 1: 0.2}, 4)


def test_weighted_rewards_by_hand() -> None:
    """IPS is 1.6 / 4 = .4; SNIPS 1.6 / 4.0 = .4; ESS 4² / (2.56 + .64 + 2.56) = 2.78."""
    found = estimate(FOUR, TARGET)
    assert found.ips.value == pytest.approx(0.4)
    assert found.snips.value == pytest.approx(0.4)
    assert found.effective_sample_size == pytest.approx(16 / 5.76)
    assert found.mean_weight == pytest.approx(1.0)
    assert found.max_weight == pytest.approx(1.6)


def test_interval_by_hand() -> None:
    """Residuals of w·r about .4: 1.2, -.4, -.4, -.4, squares 1.92, variance 1.92 · 4/3 / 16 = .16.

    So the error is .4, and the interval is of the logarithm: .4 · exp(±t · .4 / .4). Fourth powers
    are 2.1504, so that Satterthwaite's freedom, 2 · 1.92² / (2.1504 - 1.92² / 4) = 6, is over that
    of four units, 3, of which Student's t is 3.1824.
    """
    found = estimate(FOUR, TARGET).ips
    spread = math.exp(3.182446)
    assert (found.low, found.high) == pytest.approx((0.4 / spread, 0.4 * spread))


def test_few_rewards_widen_intervals_by_students_t() -> None:
    """Two rewards of 1,000, of like weight, leave four degrees of freedom: t is 2.776, not 1.96.

    Their residuals are near 1: 2 · 2² / (2 - 2² / 1,000) = 4.0.
    """
    rows = [(0, 1.0, 1.0)] * 2 + [(0, 1.0, 0.0)] * 998
    found = estimate(decisions_of(rows), always({0: 1.0}, 1_000))
    relative_error = math.sqrt((1 / 2) * (1 - 2 / 1_000) * 1_000 / 999)
    assert math.log(found.ips.high / found.ips.value) / relative_error == pytest.approx(
        2.7764, rel=0.01
    )
    assert found.dr.low > 0


def test_doubly_robust_by_hand() -> None:
    """A model says .5, .1, .3: the policy expects .8 · .5 + .2 · .1 = .42.

    Corrections: 1.6 · (1 - .5) = .8, .8 · (0 - .1) = -.08, 1.6 · (0 - .5) = -.8, 0: mean -.02.
    """
    model = np.array([[[0.5, 0.1, 0.3]]])
    weight = np.array([1.6, 0.8, 1.6, 0.0])
    found = doubly_robust(FOUR, TARGET, weight, model, np.zeros(4, np.intp))
    assert found.value == pytest.approx(0.40)


def test_decisions_of_one_unit_are_one_observation() -> None:
    """The same four rows twice, as the same units: the estimate and its interval stay."""
    rows = [(0, 0.5, 1.0), (1, 0.25, 0.0), (0, 0.5, 0.0), (2, 0.25, 1.0)]
    twice = estimate(decisions_of(rows * 2, [0, 1, 2, 3] * 2), always({0: 0.8, 1: 0.2}, 8))
    once = estimate(FOUR, TARGET)
    assert (twice.ips.low, twice.ips.high) == pytest.approx((once.ips.low, once.ips.high))


def test_clipping_bounds_weights() -> None:
    """At 1, two of four weights are cut, and IPS falls to 1 / 4."""
    found = estimate(FOUR, TARGET, clip=1.0)
    assert (found.ips.value, found.clipped_share, found.max_weight) == (0.25, 0.5, 1.0)


def test_no_reward_is_no_certainty() -> None:
    """Without a click of 300 the rate may still be 1 %: three in the effective sample."""
    found = estimate(decisions_of([(0, 1.0, 0.0)] * 300), always({0: 1.0}, 300))
    assert (found.ips.value, found.ips.low, found.ips.high) == (0.0, 0.0, 0.01)


def test_model_that_no_reward_corrects_is_no_certainty() -> None:
    """All clicks fell on what the policy never shows: it may still earn three in its 150."""
    rows = [(0, 0.5, 1.0)] * 10 + [(0, 0.5, 0.0)] * 140 + [(1, 0.5, 0.0)] * 150
    found = estimate(decisions_of(rows), always({1: 1.0}, 300))
    assert found.ips.value == found.dr.low == 0
    assert found.dr.high == pytest.approx(3 / 150)


def test_missing_support_is_told() -> None:
    """A policy of which the log never showed half; one that rests on two decisions."""
    found = estimate(EVEN, always({0: 0.5, 2: 0.5}, 400))
    assert "50.0% of what the policy shows was never logged" in found.warnings[0]
    assert "weights average 0.50 and not 1" in found.warnings[1]
    rows = [(0, 0.998, 0.0)] * 998 + [(1, 0.002, 1.0)] * 2
    found = estimate(decisions_of(rows), always({1: 1.0}, 1_000))
    assert "rests on 2 effective decisions, too few for its intervals to hold" in found.warnings[0]
    assert "over a tenth of all weight" in found.warnings[1]


def test_good_log_warns_of_nothing() -> None:
    """Nor does a policy whose actions are all logged often."""
    assert estimate(EVEN, always({0: 0.6, 1: 0.4}, 400)).warnings == ()


def test_reward_model_never_sees_its_own_fold() -> None:
    """A unit with all rewards leaves its fold's model at the others' rate, which is none."""
    rows = [(0, 0.5, 1.0 if unit == 0 else 0.0) for unit in range(10)]
    model, fold = reward_model(decisions_of(rows))
    assert fold.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]
    assert model[0, 0, 0] < 1e-6
    assert model[1, 0, 0] > 0.05


def test_intervals_cover_the_truth() -> None:
    """400 logs of 2,000 decisions by 500 units: each estimator covers in 92 to 98 of a hundred.

    Units differ in how much they click, so that decisions of a unit are not independent.
    """
    rng = np.random.default_rng(3)
    logging, target = np.array([0.6, 0.3, 0.1]), {0: 0.2, 1: 0.3, 2: 0.5}
    rates = np.array([0.05, 0.10, 0.15])
    truth = sum(share * rates[action] for action, share in target.items())
    covered = np.zeros(3)
    for _ in range(400):
        unit = np.repeat(np.arange(500), 4)
        action = rng.choice(3, 2_000, p=logging)
        eager = rng.uniform(0.5, 1.5, 500)[unit]
        reward = (rng.random(2_000) < rates[action] * eager).astype(float)
        log = Decisions(ACTIONS, action, np.zeros(2_000, np.intp), logging[action], reward, unit)
        found = estimate(log, always(target, 2_000))
        covered += [one.low <= truth <= one.high for one in (found.ips, found.snips, found.dr)]
    assert (np.abs(covered / 400 - 0.95) < 0.03).all(), covered / 400


def test_intervals_cover_where_rewards_are_few() -> None:
    """400 logs with some 12 rewards that count: each estimator covers in 93 to 99 of a hundred.

    Normal intervals of the doubly robust one covered in 90.
    """
    rng = np.random.default_rng(3)
    logging, target = np.array([0.8, 0.1, 0.1]), {0: 0.1, 1: 0.45, 2: 0.45}
    rates = np.array([0.01, 0.03, 0.02])
    truth = sum(share * rates[action] for action, share in target.items())
    covered, above = np.zeros(3), np.zeros(3)
    for _ in range(400):
        action = rng.choice(3, 2_000, p=logging)
        reward = (rng.random(2_000) < rates[action]).astype(float)
        log = decisions_of(list(zip(action, logging[action], reward, strict=True)))
        found = estimate(log, always(target, 2_000))
        values = (found.ips, found.snips, found.dr)
        covered += [one.low <= truth <= one.high for one in values]
        above += [truth > one.high for one in values]
    assert (np.abs(covered / 400 - 0.96) < 0.03).all(), covered / 400
    assert (above / 400 < 0.06).all(), above / 400


def test_heavy_weights_that_say_the_width_are_told() -> None:
    """20 decisions of weight 40 among 2,000: 380 effective ones, of which the width rests on 20.

    Squares: (1,980 · .61² + 20 · 40²)² / (1,980 · .61⁴ + 20 · 40⁴) = 20.9. Cut at 2 it is 1,600.
    """
    rows = [(0, 0.99, 0.0)] * 1_980 + [(1, 0.01, 0.0)] * 19 + [(1, 0.01, 1.0)]
    log, policy = decisions_of(rows), always({0: 0.6, 1: 0.4}, 2_000)
    [warning] = estimate(log, policy).warnings
    assert "a few heavy weights, 21 of them alike" in warning
    assert estimate(log, policy, clip=2.0).warnings == ()


def test_measured_is_the_mean_of_rewards() -> None:
    """Whatever the propensities are."""
    assert measured(FOUR).value == 0.5


def test_numbers_follow_the_first_appearance() -> None:
    """Ids are numbered as they come."""
    rows, keys = number(["x", "y", "x"])
    assert (rows.tolist(), keys) == ([0, 1, 0], ["x", "y"])
