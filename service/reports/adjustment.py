"""Takes out of a metric what a unit's behaviour before its first exposure already tells."""

from __future__ import annotations

from typing import NamedTuple

from service.reports.statistics import Estimate


class PairSums(NamedTuple):
    """Sums over the units of one arm: `y` the metric, `x` the same before the first exposure."""

    n: int
    x: float
    y: float
    xx: float
    yy: float
    xy: float


def adjusted(control: PairSums, treatment: PairSums) -> tuple[Estimate, Estimate] | None:
    """Estimate both means of `y` with the pooled slope on `x` taken out.

    A mean moves by the slope times how far its arm's mean of `x` lies from that of both arms, so
    chance imbalance goes and the expected difference stays. Nothing where an arm has fewer than
    two units, or where no unit differs from another in `x`.

    References
    ----------
    Deng, Xu, Kohavi, Walker (2013), Improving the sensitivity of online controlled experiments by
    utilizing pre-experiment data (CUPED), section 3. doi:10.1145/2433396.2433413
    """
    slope = pooled_slope(control, treatment)
    if slope is None:
        return None
    center = (control.x + treatment.x) / (control.n + treatment.n)
    return _estimate(control, slope, center), _estimate(treatment, slope, center)


def pooled_slope(control: PairSums, treatment: PairSums) -> float | None:
    """Return how much `y` rises with `x` inside the arms; nothing where `adjusted` has nothing."""
    if min(control.n, treatment.n) < 2:
        return None
    spread = _spread(control.n, control.x, control.x, control.xx) + _spread(
        treatment.n, treatment.x, treatment.x, treatment.xx
    )
    if spread <= 0:
        return None
    together = _spread(control.n, control.x, control.y, control.xy) + _spread(
        treatment.n, treatment.x, treatment.y, treatment.xy
    )
    return together / spread


def _estimate(sums: PairSums, slope: float, center: float) -> Estimate:
    residual = (
        _spread(sums.n, sums.y, sums.y, sums.yy)
        - 2 * slope * _spread(sums.n, sums.x, sums.y, sums.xy)
        + slope * slope * _spread(sums.n, sums.x, sums.x, sums.xx)
    )
    value = sums.y / sums.n - slope * (sums.x / sums.n - center)
    return Estimate(value, max(0.0, residual) / (sums.n - 1) / sums.n, sums.n)


def _spread(n: int, a: float, b: float, ab: float) -> float:
    """Sum the products of deviations from the means."""
    return ab - a * b / n
