"""Estimators over sums: means, ratios, differences between arms with intervals, sample ratio.

Pure functions: they take counts and sums, and know neither rollouts nor the store.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

LEVEL = 0.95
LEAST_TELLING = 20
"""Units of an arm with something to tell, such as buyers, below which a normal limit is far off."""


class Estimate(NamedTuple):
    """A mean with the variance of its estimate, and the number of units it rests on."""

    value: float
    variance: float
    n: int
    covariance: float = 0.0
    """Of a treatment's, with control's: above zero where units were in both, at different times."""


class Difference(NamedTuple):
    """How far a treatment lies from control, with a 95 % interval."""

    value: float
    low: float
    high: float


def mean_of(n: int, total: float, total_squared: float) -> Estimate | None:
    """Estimate the mean per unit from sums; nothing below two units, where no spread is known."""
    if n < 2:
        return None
    mean = total / n
    spread = max(0.0, (total_squared - n * mean * mean) / (n - 1))
    return Estimate(mean, spread / n, n)


def ratio_of(n: int, *, x: float, y: float, xx: float, yy: float, xy: float) -> Estimate | None:
    """Estimate y / x from sums over units, where the units differ in x, by the delta method.

    The exposures of one unit are not independent; the units are. So the variance of clicks per
    exposure is that of a ratio of two means over units.

    References
    ----------
    Deng, Knoblich, Lu (2018), Applying the Delta Method in Metric Analytics, section 3.
    doi:10.1145/3219819.3219919
    """
    if n < 2 or x <= 0:
        return None
    ratio = y / x
    # The residuals y - ratio · x sum to zero, so their mean square is their variance.
    spread = max(0.0, (yy - 2 * ratio * xy + ratio * ratio * xx) / (n - 1))
    return Estimate(ratio, spread * n / (x * x), n)


def n_telling(one: Estimate) -> float:
    """Count the units that a mean rests on: of a share the hits, of money fewer than the payers.

    It is (Σx)² / Σx², Kish's effective sample size with what units did as their weights.

    References
    ----------
    Kish (1965), Survey Sampling, section 8.2
    """
    squared = one.value * one.value
    whole = squared + one.variance * (one.n - 1)
    return round(one.n * squared / whole, 6) if whole > 0 else 0.0


def alike(control: Estimate, treatment: Estimate) -> tuple[Estimate, Estimate]:
    """Return two means where one with little to tell takes the other's spread if it is larger.

    Its own is too small: none at all where nobody bought, as if that were known for sure.
    """
    return _spread_as(control, treatment), _spread_as(treatment, control)


def comparable(
    control: Estimate | None, treatment: Estimate | None
) -> tuple[Estimate, Estimate] | None:
    """Return two means as they may be compared; nothing before either arm has enough to tell.

    An arm of which 20 buyers were to be expected, by the other's rate, and that has fewer, is no
    longer chance: so it is compared (`alike`). Over such arms a 95 % interval that is looked at
    often left out the truth in up to 60 % of tests without effect (docs/adr/0008).
    """
    if control is None or treatment is None:
        return None
    own = n_telling(control), n_telling(treatment)
    expected = own[1] / treatment.n * control.n, own[0] / control.n * treatment.n
    if any(max(pair) < LEAST_TELLING for pair in zip(own, expected, strict=True)):
        return None
    return alike(control, treatment)


def _spread_as(one: Estimate, other: Estimate) -> Estimate:
    if n_telling(one) >= LEAST_TELLING:
        return one
    return one._replace(variance=max(one.variance, other.variance * other.n / one.n))


def difference(control: Estimate | None, treatment: Estimate | None) -> Difference | None:
    """Compare two means that need not have the same spread.

    References
    ----------
    Welch (1947), The generalization of Student's problem. doi:10.2307/2332510
    """
    if control is None or treatment is None:
        return None
    value = treatment.value - control.value
    margin = _quantile(control, treatment) * math.sqrt(difference_variance(control, treatment))
    return Difference(value, value - margin, value + margin)


def relative_difference(control: Estimate | None, treatment: Estimate | None) -> Difference | None:
    """Compare two means as treatment / control - 1; nothing where control may be zero."""
    if control is None or treatment is None:
        return None
    return quotient(control, treatment, _quantile(control, treatment))


def quotient(control: Estimate, treatment: Estimate, errors: float) -> Difference | None:
    """Compare two means as treatment / control - 1, within so many standard errors.

    Each ratio is in the interval whose product with control is not told from treatment. So it
    leaves out 0 exactly where the difference of the means does, and is longer to the side that is
    less certain. Nothing where control is no more than so many errors above zero: no ratio is
    then too large.

    References
    ----------
    Fieller (1954), Some Problems in Interval Estimation. doi:10.1111/j.2517-6161.1954.tb00159.x
    """
    squared = errors * errors
    a = control.value * control.value - squared * control.variance
    if control.value <= 0 or a <= 0:
        return None
    b = treatment.value * control.value - squared * treatment.covariance
    c = treatment.value * treatment.value - squared * treatment.variance
    root = math.sqrt(max(0.0, b * b - a * c))
    return Difference(treatment.value / control.value - 1, (b - root) / a - 1, (b + root) / a - 1)


def difference_variance(control: Estimate, treatment: Estimate) -> float:
    """Return the variance of treatment - control."""
    return max(0.0, control.variance + treatment.variance - 2 * treatment.covariance)


def p_value(control: Estimate | None, treatment: Estimate | None) -> float | None:
    """Return Welch's two-sided p-value of no difference; nothing without spread."""
    if control is None or treatment is None or difference_variance(control, treatment) == 0:
        return None
    distance = abs(treatment.value - control.value)
    error = math.sqrt(difference_variance(control, treatment))
    from scipy.special import stdtr  # noqa: PLC0415  # 21 MB a worker, for what few do

    return float(2 * stdtr(_freedom(control, treatment), -distance / error))


def stratified(strata: Sequence[tuple[float, Estimate]]) -> Estimate | None:
    """Combine estimates of separate strata under fixed weights, such as each epoch's units."""
    total = sum(weight for weight, _ in strata)
    if total <= 0:
        return None
    return Estimate(
        sum(weight * each.value for weight, each in strata) / total,
        sum(weight * weight * each.variance for weight, each in strata) / (total * total),
        sum(each.n for _, each in strata),
    )


def sample_ratio_p(observed: Sequence[int], shares: Sequence[float]) -> float | None:
    """Return how likely counts at least this far from their shares are (Pearson's χ²).

    Nothing with fewer than two arms, without a unit, or where an arm has no share.
    """
    n, whole = sum(observed), sum(shares)
    if len(observed) < 2 or n == 0 or min(shares) <= 0:
        return None
    statistic = sum(
        (count - n * share / whole) ** 2 / (n * share / whole)
        for count, share in zip(observed, shares, strict=True)
    )
    from scipy.special import chdtrc  # noqa: PLC0415  # as above

    return float(chdtrc(len(observed) - 1, statistic))


def _quantile(first: Estimate, second: Estimate) -> float:
    """Return Student's quantile at Welch and Satterthwaite's degrees of freedom."""
    if first.variance + second.variance == 0:
        return 0.0
    from scipy.special import stdtrit  # noqa: PLC0415  # as above

    return float(stdtrit(_freedom(first, second), 0.5 + LEVEL / 2))


def _freedom(first: Estimate, second: Estimate) -> float:
    spread = first.variance + second.variance
    return spread**2 / (first.variance**2 / (first.n - 1) + second.variance**2 / (second.n - 1))
