"""What units that come back in a later epoch do to the spread of a mean over all epochs.

Epochs are added up as strata, and a unit that is in two of them, perhaps in another variant since
the share grew, tells less than two units do. So the spread is that of sums over units and not over
visits of units: the variances of the epochs, and twice the covariance of each two of them.

References
----------
Liang, Zeger (1986), Longitudinal data analysis using generalized linear models.
doi:10.1093/biomet/73.1.13
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from service.reports.statistics import Estimate
from service.reports.stays import WINDOWS
from service.rollouts.definition import CONTROL
from service.stores.rollout_sums import ReturningStays, ReturningSums

Returning = Mapping[tuple[int, str, int, str], ReturningSums]
"""By epoch, variant, other epoch and other variant; what is there one way only counts nothing."""


class Stratum(NamedTuple):
    """An arm of an epoch, and how far one of its units lies from the mean: y - slope · x - mean."""

    epoch: int
    variant: str
    share: float
    """Of the whole, which the epochs of an arm come to 1 in."""
    size: float
    """What a sum of such distances is divided by: units, or the denominator of a ratio."""
    slope: float
    mean: float


class _Products(NamedTuple):
    """Sums over the units of two strata; `other_` is in the second."""

    n: float
    x: float = 0.0
    other_x: float = 0.0
    y: float = 0.0
    other_y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    """x in the first with y in the second."""
    yx: float = 0.0
    yy: float = 0.0


def index_returning(sums: Sequence[ReturningSums]) -> Returning:
    """Find sums by the two places that they are of."""
    return {each[:4]: each for each in sums}


def with_returning(
    control: Estimate,
    treatment: Estimate,
    metric: str,
    strata: Sequence[Stratum],
    returning: Returning,
) -> tuple[Estimate, Estimate]:
    """Add to the variances of two means over epochs what their units that came back make of them.

    How far the two means move together, because control's units were treated in a later epoch, is
    the treatment's `covariance`.
    """
    within = {True: 0.0, False: 0.0}
    between = 0.0
    for one, other in combinations(strata, 2):
        covariance = one.share * other.share * _covariance(metric, one, other, returning)
        is_control = one.variant == CONTROL
        if is_control == (other.variant == CONTROL):
            within[is_control] += 2 * covariance
        else:
            between += covariance
    return (
        control._replace(variance=max(0.0, control.variance + within[True])),
        treatment._replace(
            variance=max(0.0, treatment.variance + within[False]), covariance=between
        ),
    )


def _covariance(metric: str, one: Stratum, other: Stratum, returning: Returning) -> float:
    there = returning.get((one.epoch, one.variant, other.epoch, other.variant))
    back = returning.get((other.epoch, other.variant, one.epoch, one.variant))
    if there is None or back is None:
        return 0.0
    sums = _products(metric, there, back)
    first = sums.y - one.slope * sums.x
    second = sums.other_y - other.slope * sums.other_x
    product = (
        sums.yy - other.slope * sums.yx - one.slope * sums.xy + one.slope * other.slope * sums.xx
    )
    together = product - other.mean * first - one.mean * second + sums.n * one.mean * other.mean
    return together / (one.size * other.size)


def _products(metric: str, there: ReturningSums, back: ReturningSums) -> _Products:
    found = _Products(there.n_units)
    match metric:
        case "click_through":
            # Distances from a ratio have no mean to take off, so sums of one epoch are not needed.
            found = found._replace(
                xx=there.sum_xx,
                xy=there.sum_xc,
                yx=back.sum_xc,
                yy=there.sum_cc,
            )
        case "average_order_value":
            found = found._replace(
                xx=there.sum_orders_squared,
                xy=there.sum_orders_revenue,
                yx=back.sum_orders_revenue,
                yy=there.sum_revenue_squared,
            )
        case "add_to_cart":
            found = found._replace(
                y=there.n_carters, other_y=back.n_carters, yy=there.n_carted_twice
            )
        case "conversion":
            n_before = there.n_bought_before
            found = found._replace(
                x=n_before,
                other_x=n_before,
                y=there.n_buyers,
                other_y=back.n_buyers,
                xx=n_before,
                xy=back.n_buyers_before,
                yx=there.n_buyers_before,
                yy=there.n_bought_twice,
            )
        case "revenue_per_unit":
            found = found._replace(
                y=there.revenue,
                other_y=back.revenue,
                yy=there.sum_revenue_squared,
            )
        case "capped_revenue_per_unit":
            found = found._replace(
                x=there.before,
                other_x=there.before,
                y=there.capped,
                other_y=back.capped,
                xx=there.sum_before_squared,
                xy=back.sum_before_capped,
                yx=there.sum_before_capped,
                yy=there.sum_capped_squared,
            )
        case _:
            return _stay_products(metric, there.stay, back.stay)
    return found


def _stay_products(metric: str, there: ReturningStays, back: ReturningStays) -> _Products:
    match metric:
        case "return_rate":
            return _Products(
                there.n_units,
                y=there.n_returned,
                other_y=back.n_returned,
                yy=there.n_returned_twice,
            )
        case "visits_per_unit":
            return _Products(
                there.n_units, y=there.n_visits, other_y=back.n_visits, yy=there.sum_vv
            )
        case "dwell_per_visit":
            return _Products(
                there.n_units, xx=there.sum_vv, xy=there.sum_vd, yx=back.sum_vd, yy=there.sum_dd
            )
    window = WINDOWS[metric]
    return _Products(
        there.n_old[window],
        y=there.n_seen[window],
        other_y=back.n_seen[window],
        yy=there.n_seen_twice[window],
    )
