"""Each metric of a variant beside control, with epochs as strata.

An epoch's difference is of units treated under one rule at one time, and the whole is a mean of
such, so a ramp over a trend can neither fake a lift nor hide a loss. It weighs an epoch by what it
tells: an epoch with a share of 1 % says little of the treatment, however many visited.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta

from service.reports import statistics
from service.reports.adjustment import PairSums, adjusted, pooled_slope
from service.reports.confidence_sequence import (
    ALPHA,
    always_valid_difference,
    always_valid_relative,
)
from service.reports.false_discovery import adjusted_p_values
from service.reports.returning import Returning, Stratum, with_returning
from service.reports.statistics import Difference, Estimate
from service.reports.stays import StaySums, estimate_stay
from service.stores.rollout_sums import ArmSums

MetricName = Literal[
    "click_through",
    "add_to_cart",
    "conversion",
    "revenue_per_unit",
    "capped_revenue_per_unit",
    "average_order_value",
    "return_rate",
    "visits_per_unit",
    "dwell_per_visit",
    "retention_7",
    "retention_14",
    "retention_28",
]
METRICS: tuple[MetricName, ...] = get_args(MetricName)
DECISIVE: tuple[MetricName, ...] = ("conversion", "capped_revenue_per_unit")
"""Metrics that a verdict reads: they share one error probability over all looks."""
_BELOW_ZERO: tuple[MetricName, ...] = (
    "revenue_per_unit",
    "capped_revenue_per_unit",
    "average_order_value",
)
"""Metrics that refunds may bring there; of any other no treatment loses more than all."""


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A difference with its 95 % interval."""

    value: float
    low: float
    high: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of a variant beside control; null where there is too little to tell."""

    variant: str
    metric: MetricName
    absolute: Annotated[Interval | None, Meta(description="for one look at a fixed date")]
    relative: Annotated[
        Interval | None,
        Meta(description="for one look at a fixed date; null while control may be zero"),
    ]
    always_valid: Annotated[
        Interval | None,
        Meta(
            description="absolute; holds however often you look, for all variants at once, and "
            "for conversion and capped revenue at once"
        ),
    ]
    always_valid_relative: Annotated[
        Interval | None,
        Meta(description="holds however often you look; null while control may be zero"),
    ]
    is_adjusted: Annotated[
        bool, Meta(description="what units bought in the 28 days before is taken out")
    ]
    p_value: Annotated[float | None, Meta(description="for one look at a fixed date")]
    q_value: Annotated[
        float | None, Meta(description="false-discovery rate over all comparisons of the report")
    ] = None


Stays = Mapping[tuple[int, str], StaySums]
"""By epoch and variant."""
_NO_STAYS: Stays = MappingProxyType({})
_NOBODY: Returning = MappingProxyType({})


class _Pair(NamedTuple):
    control: Estimate
    treated: Estimate
    slope: float | None = None
    """Of what is taken out, if anything is."""


def compare(
    variant: str,
    pairs: Sequence[tuple[ArmSums, ArmSums]],
    stays: Stays = _NO_STAYS,
    returning: Returning = _NOBODY,
    *,
    alpha: float = ALPHA,
) -> list[Comparison]:
    """Compare a variant on every metric, given (control, variant) of each epoch with both.

    Without `returning` the units of all epochs are taken for different ones. With `alpha` of the
    always-valid intervals shared out, they hold for several variants at once.
    """
    return [_compare(variant, metric, pairs, stays, returning, alpha=alpha) for metric in METRICS]


def with_false_discovery(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Fill `q_value` in, over all comparisons that have a p-value."""
    tested = [(i, each.p_value) for i, each in enumerate(comparisons) if each.p_value is not None]
    found = list(comparisons)
    q_values = adjusted_p_values([p_value for _, p_value in tested])
    for (i, _), q_value in zip(tested, q_values, strict=True):
        found[i] = msgspec.structs.replace(found[i], q_value=q_value)
    return found


def _compare(
    variant: str,
    metric: MetricName,
    pairs: Sequence[tuple[ArmSums, ArmSums]],
    stays: Stays,
    returning: Returning,
    *,
    alpha: float,
) -> Comparison:
    found = [
        (arms, pair) for arms in pairs if (pair := _estimates(*arms, metric, stays)) is not None
    ]
    strata = [(_weight(pair), pair) for _, pair in found]
    control = statistics.stratified([(n, pair.control) for n, pair in strata])
    treated = statistics.stratified([(n, pair.treated) for n, pair in strata])
    if control is not None and treated is not None and len(found) > 1 and returning:
        total = sum(n for n, _ in strata)
        places = [
            _stratum(metric, arm, own, n / total, pair.slope, stays=stays)
            for (arms, pair), (n, _) in zip(found, strata, strict=True)
            for arm, own in zip(arms, pair[:2], strict=True)
        ]
        control, treated = with_returning(control, treated, metric, places, returning)
    control, treated = statistics.comparable(control, treated) or (None, None)
    absolute = _interval(statistics.difference(control, treated))
    alpha = alpha / len(DECISIVE) if metric in DECISIVE else alpha
    least = -math.inf if metric in _BELOW_ZERO else -1.0
    return Comparison(
        variant=variant,
        metric=metric,
        absolute=absolute,
        relative=_interval(statistics.relative_difference(control, treated), least),
        always_valid=_interval(always_valid_difference(control, treated, alpha=alpha)),
        always_valid_relative=_interval(
            always_valid_relative(control, treated, alpha=alpha), least
        ),
        is_adjusted=any(pair.slope is not None for _, pair in strata),
        p_value=None if absolute is None else statistics.p_value(control, treated),
    )


def _weight(pair: _Pair) -> float:
    """Weigh an epoch by what it tells of a difference, which is most where the arms are alike.

    References
    ----------
    Cochran (1954), Some Methods for Strengthening the Common χ² Tests. doi:10.2307/3001616
    """
    return pair.control.n * pair.treated.n / (pair.control.n + pair.treated.n)


def _estimates(
    control: ArmSums, treated: ArmSums, metric: MetricName, stays: Stays
) -> _Pair | None:
    first, second = _with_past(control, metric), _with_past(treated, metric)
    found = None if first is None or second is None else adjusted(first, second)
    slope = None if first is None or second is None else pooled_slope(first, second)
    if found is not None:
        return _Pair(*statistics.alike(*found), slope)
    plain = estimate(control, metric, stays), estimate(treated, metric, stays)
    if plain[0] is None or plain[1] is None:
        return None
    return _Pair(*statistics.alike(plain[0], plain[1]))


def _stratum(
    metric: MetricName,
    arm: ArmSums,
    own: Estimate,
    share: float,
    slope: float | None,
    *,
    stays: Stays,
) -> Stratum:
    """Say how far a unit of an arm lies from `own`, what is estimated of the arm."""
    place = arm.epoch, arm.variant, share
    # One unit's worth went to the mean, as in the variance of one epoch.
    free = math.sqrt(1 - 1 / own.n)
    whole = _denominator(metric, arm, stays)
    if whole is not None:
        return Stratum(*place, size=whole * free, slope=own.value, mean=0.0)
    past = None if slope is None else _with_past(arm, metric)
    if slope is None or past is None:
        return Stratum(*place, size=own.n * free, slope=0.0, mean=own.value)
    mean = (past.y - slope * past.x) / past.n
    return Stratum(*place, size=own.n * free, slope=slope, mean=mean)


def _denominator(metric: MetricName, arm: ArmSums, stays: Stays) -> int | None:
    """Return what a ratio is divided by; nothing where that is units."""
    match metric:
        case "click_through":
            return arm.n_exposures
        case "average_order_value":
            return arm.n_orders
        case "dwell_per_visit":
            return stays[arm.epoch, arm.variant].n_visits
    return None


def _with_past(arm: ArmSums, metric: MetricName) -> PairSums | None:
    """Pair a metric with the same before the first exposure, where that is kept."""
    if metric == "conversion":
        before, after = float(arm.n_bought_before), float(arm.n_buyers)
        return PairSums(arm.n_units, before, after, before, after, arm.n_bought_twice)
    if metric == "capped_revenue_per_unit":
        return PairSums(
            arm.n_units,
            arm.before,
            arm.capped,
            arm.sum_before_squared,
            arm.sum_capped_squared,
            arm.sum_before_capped,
        )
    return None


def estimate(arm: ArmSums, metric: MetricName, stays: Stays = _NO_STAYS) -> Estimate | None:
    """Estimate a metric of an arm with its spread; nothing where there is too little to tell."""
    sums: tuple[float, float]
    match metric:
        case "click_through":
            return statistics.ratio_of(
                arm.n_units,
                x=arm.n_exposures,
                y=arm.n_clicked,
                xx=arm.sum_xx,
                yy=arm.sum_cc,
                xy=arm.sum_xc,
            )
        case "average_order_value":
            # Who bought nothing says nothing of what an order is worth.
            return statistics.ratio_of(
                arm.n_buyers,
                x=arm.n_orders,
                y=arm.revenue,
                xx=arm.sum_orders_squared,
                yy=arm.sum_revenue_squared,
                xy=arm.sum_orders_revenue,
            )
        case "add_to_cart":
            sums = arm.n_carters, arm.n_carters
        case "conversion":
            sums = arm.n_buyers, arm.n_buyers
        case "revenue_per_unit":
            sums = arm.revenue, arm.sum_revenue_squared
        case "capped_revenue_per_unit":
            sums = arm.capped, arm.sum_capped_squared
        case _:
            return estimate_stay(stays.get((arm.epoch, arm.variant), StaySums()), metric)
    return statistics.mean_of(arm.n_units, *sums)


def _interval(found: Difference | None, least: float = -math.inf) -> Interval | None:
    """Return what has a width: a few units that all did the same say nothing of their spread."""
    if found is None or math.isclose(found.low, found.high, rel_tol=1e-9, abs_tol=1e-12):
        return None
    return Interval(value=found.value, low=max(found.low, least), high=found.high)
