"""Estimators against numbers worked out by hand."""

import math

import numpy as np
import pytest
from scipy.stats import chi2, ttest_ind

from service.reports.statistics import (
    Estimate,
    difference,
    mean_of,
    ratio_of,
    relative_difference,
    sample_ratio_p,
    stratified,
)


def test_mean_of_sums() -> None:
    """1, 2, 3, 6: mean 3, squares 50, variance (50 - 36) / 3 = 14/3, of the mean 14/12."""
    assert mean_of(4, 12, 50) == pytest.approx(Estimate(3.0, 14 / 12, 4))
    assert mean_of(1, 5, 25) is None
    assert mean_of(0, 0, 0) is None


def test_ratio_of_sums() -> None:
    """Units (x, y) = (1, 0), (2, 1), (3, 2): ratio 1/2, residuals -.5, 0, .5.

    Their variance is .5 / 2 = .25; over n · mean(x)² = 3 · 4 that is .25 / 12.
    """
    estimate = ratio_of(3, x=6, y=3, xx=14, yy=5, xy=8)
    assert estimate == pytest.approx(Estimate(0.5, 0.25 / 12, 3))
    assert ratio_of(3, x=0, y=0, xx=0, yy=0, xy=0) is None


def test_ratio_with_one_exposure_each_is_a_mean() -> None:
    """If every unit has one exposure, clicks per exposure has the variance of a plain mean."""
    assert ratio_of(10, x=10, y=3, xx=10, yy=3, xy=3) == pytest.approx(mean_of(10, 3, 3))


def test_difference_is_welch() -> None:
    """The interval is that of scipy's test with unequal variances."""
    a, b = [1.0, 2.0, 3.0, 6.0], [4.0, 8.0, 9.0]
    found = difference(mean_of(4, 12, 50), mean_of(3, 21, 161))
    expected = ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert found == pytest.approx((4.0, expected.low, expected.high))
    assert difference(None, mean_of(4, 12, 50)) is None


def test_difference_without_spread_has_no_width() -> None:
    """Two constant arms differ by exactly what they differ."""
    assert difference(Estimate(1.0, 0.0, 5), Estimate(1.5, 0.0, 5)) == (0.5, 0.5, 0.5)


def test_relative_difference() -> None:
    """From 10 to 12 is +20 %; at its ends 12 - 10 θ is 1.96 of its errors, √(1 + θ²)."""
    control, treatment = Estimate(10.0, 1.0, 10**9), Estimate(12.0, 1.0, 10**9)
    found = relative_difference(control, treatment)
    assert found is not None
    assert found.value == pytest.approx(0.2)
    ends = [
        (12 - 10 * theta) / math.sqrt(1 + theta**2) for theta in (1 + found.low, 1 + found.high)
    ]
    assert ends == pytest.approx([1.959964, -1.959964], rel=1e-6)
    assert relative_difference(Estimate(0.0, 0.0, 9), treatment) is None
    assert relative_difference(Estimate(1.9, 1.0, 10**9), treatment) is None


def test_ratio_and_difference_agree_on_zero() -> None:
    """Whether an interval leaves it out is one question, however it is put."""
    rng = np.random.default_rng(5)
    n_apart = 0
    for _ in range(2_000):
        control, treatment = (
            Estimate(value, spread, 50)
            for value, spread in zip(
                rng.uniform(3, 5, 2).tolist(), rng.uniform(0.001, 0.3, 2).tolist(), strict=True
            )
        )
        treatment = treatment._replace(covariance=0.5 * min(control.variance, treatment.variance))
        whole, part = difference(control, treatment), relative_difference(control, treatment)
        if part is not None:
            assert whole is not None
            assert (whole.low > 0, whole.high < 0) == (part.low > 0, part.high < 0)
            n_apart += whole.low > 0 or whole.high < 0
    assert 300 < n_apart < 1_700


def test_strata_are_weighted() -> None:
    """Weights 1 and 3: value (2 + 3 · 6) / 4 = 5, variance (.4 + 9 · .4) / 16 = .25."""
    combined = stratified([(1, Estimate(2.0, 0.4, 5)), (3, Estimate(6.0, 0.4, 7))])
    assert combined == pytest.approx(Estimate(5.0, 0.25, 12))
    assert stratified([]) is None


def test_sample_ratio() -> None:
    """40 and 60 where half each was declared: χ² = 100/50 + 100/50 = 4 with one degree."""
    assert sample_ratio_p([40, 60], [0.5, 0.5]) == pytest.approx(chi2.sf(4, 1))
    assert sample_ratio_p([900, 100], [0.9, 0.1]) == pytest.approx(1.0)
    assert sample_ratio_p([100], [1.0]) is None
    assert sample_ratio_p([0, 0], [0.5, 0.5]) is None
    assert sample_ratio_p([5, 5], [1.0, 0.0]) is None
