"""The estimators beside the plain ones: by hand, against SciPy, and by simulation."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, ttest_ind

from service.reports.adjustment import PairSums, adjusted
from service.reports.catalogue import effective_size
from service.reports.comparison import Comparison, compare
from service.reports.confidence_sequence import (
    LEAST_UNITS,
    always_valid_difference,
    always_valid_relative,
    boundary,
)
from service.reports.false_discovery import adjusted_p_values
from service.reports.sample_ratio import sequential_sample_ratio_p
from service.reports.statistics import Estimate, mean_of, p_value
from service.stores.rollout_sums import ArmSums

Pairs = list[tuple[ArmSums, ArmSums]]


def test_boundary_is_tightest_where_it_was_told() -> None:
    """At 500 ρ² is (5.99 + log 6.99) / 500, which gives 3.03 standard errors."""
    spent = -2 * math.log(0.05)
    grown = spent + math.log(spent + 1) + 1
    expected = math.sqrt(2 * grown / (grown - 1) * math.log(math.sqrt(grown) / 0.05))
    assert boundary(500) == pytest.approx(expected)
    assert boundary(50) > boundary(500) < boundary(50_000)


def test_always_valid_interval_wants_units() -> None:
    """Below the floor in either arm, or over a control of zero, there is none."""
    few, many = Estimate(1.0, 0.1, LEAST_UNITS - 1), Estimate(1.0, 0.1, 1_000)
    assert always_valid_difference(few, many) is None
    assert always_valid_relative(many, few) is None
    assert always_valid_difference(None, many) is None
    assert always_valid_relative(Estimate(0.0, 0.1, 1_000), many) is None
    # A mean of 1 with a variance of 99.9 a unit rests on 1,000 / 100.8 units, of which 9/10 vary.
    both = always_valid_difference(many, many)
    assert both is not None
    telling = 1_000 / (1 + 0.1 * 999)
    clock = 2 * telling * (1 - telling / 1_000)
    assert both.high == pytest.approx(boundary(clock) * math.sqrt(0.2), rel=1e-6)


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_always_valid_interval_survives_peeking(rate: float) -> None:
    """Of 1,000 A/A runs, looked at every hour for two weeks, fewer than 5 % ever cry out."""
    rng = np.random.default_rng(11)
    hours, hourly = 336, 60
    counts = rng.binomial(hourly, rate, size=(2, 1_000, hours)).cumsum(axis=2)
    n = hourly * np.arange(1, hours + 1)
    means = counts / n
    spread = means * (1 - means) / (n - 1)
    widths = np.array([boundary(2 * int(each)) for each in n]) * np.sqrt(spread.sum(axis=0))
    is_out = (np.abs(means[1] - means[0]) > widths) & (n >= LEAST_UNITS)
    assert is_out.any(axis=1).mean() < 0.05
    plain = (np.abs(means[1] - means[0]) > 1.96 * np.sqrt(spread.sum(axis=0))).any(axis=1)
    assert plain.mean() > 0.2  # what the sequence is for


Steps = Sequence[tuple[float, float]]
"""Share and conversion of each step of a ramp."""
FALLING: Steps = [(0.05, 0.20), (0.10, 0.16), (0.25, 0.13), (0.50, 0.10)]
FROM_ONE_PERCENT: Steps = [(0.01, 0.03), (0.10, 0.025), (0.50, 0.02)]


def ramp(rng: np.random.Generator, steps: Steps, n: int, lift: float, n_looks: int) -> list[Pairs]:
    """Draw buyers of `n` new units a step, and hand out what is known at each look."""
    looks: list[Pairs] = []
    over: Pairs = []
    for epoch, (share, rate) in enumerate(steps, 1):
        n_units = int(n * (1 - share) / n_looks), int(n * share / n_looks)
        rates = rate, rate * (1 + lift)
        buyers = [rng.binomial(k, p, n_looks).cumsum() for k, p in zip(n_units, rates, strict=True)]
        for look in range(n_looks):
            control, treated = (
                buys(epoch, variant, k * (look + 1), int(of[look]))
                for variant, k, of in zip(("control", "personal"), n_units, buyers, strict=True)
            )
            looks.append([*over, (control, treated)])
        over = looks[-1]
    return looks


def buys(epoch: int, variant: str, n: int, n_buyers: int) -> ArmSums:
    nothing = ArmSums(epoch, variant, *(0 for _ in ArmSums._fields[2:]))
    return nothing._replace(n_units=n, n_buyers=n_buyers)


def conversion(pairs: Pairs) -> Comparison:
    return next(one for one in compare("personal", pairs) if one.metric == "conversion")


@pytest.mark.parametrize(
    ("steps", "n"), [(FALLING, 20_000), (FROM_ONE_PERCENT, 5_000), (FROM_ONE_PERCENT, 20_000)]
)
def test_ramp_over_a_falling_baseline_keeps_its_lift(steps: Steps, n: int) -> None:
    """+10 % is covered in 95 % ± 2 of 2,000 ramps while the baseline falls by half or a third.

    Of 5,000 units at 1 % two treated ones buy, or none, which is then no certainty.
    """
    rng = np.random.default_rng(12)
    covered, runs = 0, 2_000
    for _ in range(runs):
        (pairs,) = ramp(rng, steps, n, 0.1, 1)[-1:]
        found = conversion(pairs).relative
        assert found is not None
        covered += found.low <= 0.1 <= found.high
    assert abs(covered / runs - 0.95) <= 0.02


def test_ramp_from_one_percent_is_seldom_called_worse() -> None:
    """Of 300 ramps without effect, looked at 72 times, at most 5 % ever show a difference.

    It was 15 %, nearly all to the worse: a step in which none of fifty bought weighed as much as
    one of 2,500, and was certain.
    """
    rng = np.random.default_rng(14)
    n_alarms, runs = 0, 300
    for _ in range(runs):
        found = [
            conversion(pairs).always_valid for pairs in ramp(rng, FROM_ONE_PERCENT, 5_000, 0.0, 24)
        ]
        n_alarms += any(one is not None and not one.low <= 0 <= one.high for one in found)
    assert n_alarms / runs < 0.05


def test_epochs_weigh_what_they_tell() -> None:
    """900 and 100 units weigh 90, 500 and 500 weigh 250: it is 90/340 of the first difference."""
    pairs = [
        (buys(1, "control", 900, 450), buys(1, "personal", 100, 60)),
        (buys(2, "control", 500, 250), buys(2, "personal", 500, 250)),
    ]
    found = conversion(pairs).absolute
    assert found is not None
    assert found.value == pytest.approx(0.1 * 90 / 340)


def test_people_who_are_asked_again_are_no_free_look() -> None:
    """10,000 units that are all there from the first hour on, and buy for 60 days: below 5 %.

    By units the clock stood still while the orders came, and it was 5 to 6 %.
    """
    rng = np.random.default_rng(15)
    n_alarms, runs, hours = 0, 500, np.arange(1, 1_441)
    for _ in range(runs):
        bought = -np.expm1(-0.02 / 24 * hours)
        first = np.searchsorted(bought, rng.random((2, 5_000)), side="left")
        counts = [np.bincount(of, minlength=1_441)[:1_440].cumsum() for of in first]
        n_alarms += any(
            found is not None and not found.low <= 0 <= found.high
            for c, t in zip(*(of[::4].tolist() for of in counts), strict=True)
            for found in [always_valid_difference(mean_of(5_000, c, c), mean_of(5_000, t, t))]
        )
    assert n_alarms / runs < 0.05


def test_sample_ratio_by_hand() -> None:
    """Concentration 2 on halves is uniform: of 4 heads, ∫p⁴ = 1/5 against 1/16, so p = 5/16."""
    assert sequential_sample_ratio_p([4, 0], [0.5, 0.5], concentrations=[2]) == pytest.approx(
        5 / 16
    )
    assert sequential_sample_ratio_p([2, 2], [0.5, 0.5], concentrations=[2]) == 1.0
    assert sequential_sample_ratio_p([5], [1.0]) is None
    assert sequential_sample_ratio_p([0, 0], [0.5, 0.5]) is None


def test_sample_ratio_finds_a_loss_and_survives_peeking() -> None:
    """2 % fewer in one arm is alarmed at 500,000 units; 1,000 healthy runs with 200 looks are not.

    An alarm is p < .001; five in a thousand would have a chance below .004.
    """
    rng = np.random.default_rng(13)
    for n_lost in rng.binomial(250_000, 0.02, size=100):
        lost = sequential_sample_ratio_p([250_000, 250_000 - int(n_lost)], [0.5, 0.5])
        assert lost is not None
        assert lost < 0.001
    alarms = 0
    for treated in rng.binomial(500, 0.1, size=(1_000, 200)).cumsum(axis=1):
        looks = [
            sequential_sample_ratio_p([500 * i - int(each), int(each)], [0.9, 0.1])
            for i, each in enumerate(treated, 1)
        ]
        alarms += any(p is not None and p < 0.001 for p in looks)
    assert alarms < 5


def sums(x: NDArray[np.float64], y: NDArray[np.float64]) -> PairSums:
    return PairSums(len(x), x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum())


def test_adjustment_finds_the_same_difference_with_less_spread() -> None:
    """With correlation .8 the variance falls to 1 - .64 = 36 %, and +.5 stays +.5."""
    rng = np.random.default_rng(14)
    x = rng.normal(10, 1, size=(2, 20_000))
    y = 0.8 * x + 0.6 * rng.normal(size=x.shape)
    y[1] += 0.5
    found = adjusted(sums(x[0], y[0]), sums(x[1], y[1]))
    plain = mean_of(20_000, y[0].sum(), (y[0] ** 2).sum())
    assert found is not None
    assert plain is not None
    assert found[1].value - found[0].value == pytest.approx(0.5, abs=0.03)
    assert found[0].variance / plain.variance == pytest.approx(0.36, abs=0.02)


def test_adjustment_needs_something_to_go_by() -> None:
    """Without units, or where all are alike before, there is nothing to take out."""
    same = PairSums(3, 3, 6, 3, 14, 6)
    assert adjusted(same, same) is None
    assert adjusted(same._replace(n=1), same) is None


def test_p_value_is_welch() -> None:
    """The p-value is SciPy's; two constants have none."""
    a, b = [1.0, 2.0, 3.0, 6.0], [4.0, 8.0, 9.0]
    found = p_value(mean_of(4, 12, 50), mean_of(3, 21, 161))
    assert found == pytest.approx(ttest_ind(b, a, equal_var=False).pvalue)
    assert p_value(Estimate(1.0, 0.0, 5), Estimate(1.0, 0.0, 5)) is None


def test_false_discovery_is_that_of_scipy() -> None:
    """The adjusted values are SciPy's, in the order they came."""
    values = [0.04, 0.001, 0.03, 0.5, 0.03]
    assert adjusted_p_values(values) == pytest.approx(list(false_discovery_control(values)))
    assert adjusted_p_values([]) == []


def test_effective_size_counts_what_carries_nine_tenths() -> None:
    """80 + 10 of 100 are two items; ten equal ones are nine; nothing is none."""
    assert effective_size([5, 80, 10, 5]) == 2
    assert effective_size([1] * 10) == 9
    assert effective_size([]) == 0
