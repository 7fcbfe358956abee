"""The report of a rollout: what each variant's units saw and did, per epoch and over all epochs.

Epochs are strata: each compares units that were treated under one rule at one time, and the
combined difference weighs theirs by units, so a ramp with a trend cannot pass for a lift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.errors import NotFoundError
from service.reports import statistics
from service.reports.statistics import Estimate
from service.rollouts.definition import CONTROL, Rollout
from service.stores.outcomes import ArmSums, RolloutSums

MetricName = Literal["click_through", "conversion", "revenue_per_unit"]
METRICS: tuple[MetricName, ...] = ("click_through", "conversion", "revenue_per_unit")
SAMPLE_RATIO_ALARM = 0.001

Share = Annotated[float, Meta(description="0 to 1")]


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A difference with its 95 % interval."""

    value: float
    low: float
    high: float


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """What the units of one variant saw and did."""

    variant: str
    declared_share: Annotated[Share | None, Meta(description="of all units; null over epochs")]
    units: Annotated[int, Meta(description="distinct units")]
    crossed_units: Annotated[
        int,
        Meta(
            description="units that saw another variant in an epoch, or whose person is dealt "
            "another one as another unit"
        ),
    ]
    exposures: int
    clicked_exposures: Annotated[int, Meta(description="exposures with at least one click")]
    clicks_named: Annotated[int, Meta(description="clicks that name their exposure")]
    clicks_joined: Annotated[
        int, Meta(description="clicks joined to the last exposure of the item within 7 days")
    ]
    click_through: Annotated[Share | None, Meta(description="clicked exposures / exposures")]
    buyers: Annotated[int, Meta(description="units with a purchase after their first exposure")]
    orders: int
    purchases: Annotated[int, Meta(description="lines of orders")]
    conversion: Annotated[Share | None, Meta(description="buyers / units")]
    revenue: Annotated[float, Meta(description="purchases less refunds")]
    revenue_per_unit: float | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of a variant beside control's; null where there is too little to tell."""

    variant: str
    metric: MetricName
    absolute: Interval | None
    relative: Interval | None


class SampleRatio(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the units came in the declared shares: Pearson's χ²."""

    p_value: float | None
    is_alarm: Annotated[bool, Meta(description="p below 0.001: find out why before acting")]


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """What happened under one setting of the rollout."""

    epoch: int
    opened_at_ms: int | None
    arms: list[Arm]
    comparisons: list[Comparison]
    sample_ratio: SampleRatio


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollout did so far."""

    rollout: str
    at_ms: int
    arms: Annotated[list[Arm], Meta(description="over all epochs")]
    comparisons: Annotated[list[Comparison], Meta(description="epochs weighed by their units")]
    epochs: list[Epoch]
    not_split: Annotated[
        dict[str, int],
        Meta(description="exposures that no split decided, by reason; they are in no arm"),
    ]
    notes: list[str]


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """An epoch as the control plane remembers it."""

    at_ms: int
    rollout: Rollout


def make_report(key: str, sums: RolloutSums, opened: Mapping[int, Opened], *, at_ms: int) -> Report:
    """Turn sums into a report.

    Raises
    ------
    NotFoundError
        If neither the control plane nor any exposure knows the rollout.
    """
    if not opened and not sums.arms and not sums.not_split:
        raise NotFoundError(
            f"rollout {key!r} has no exposure and is not configured; "
            f"add it with PUT /v1/rollouts/{key}"
        )
    numbers = sorted({arm.epoch for arm in sums.arms} | set(opened))
    epochs = [
        _epoch(number, [arm for arm in sums.arms if arm.epoch == number], opened.get(number))
        for number in numbers
    ]
    arms = _combined_arms(sums)
    return Report(
        rollout=key,
        at_ms=at_ms,
        arms=arms,
        comparisons=_combined_comparisons(sums.arms),
        epochs=epochs,
        not_split=sums.not_split,
        notes=_notes(sums, epochs),
    )


def declared_shares(rollout: Rollout) -> dict[str, float]:
    """Say which share of all units each variant was declared to get."""
    total = sum(variant.weight for variant in rollout.variants)
    share = rollout.share if rollout.enabled else 0.0
    treated = {each.key: share * each.weight / total for each in rollout.variants}
    return {CONTROL: 1 - share, **treated}


def _epoch(number: int, seen: Sequence[ArmSums], opened: Opened | None) -> Epoch:
    declared = {} if opened is None else declared_shares(opened.rollout)
    sums = {arm.variant: arm for arm in seen}
    names = _in_order({*sums, *(name for name, share in declared.items() if share > 0)})
    arms = [_arm(sums.get(name, _nothing(number, name)), declared.get(name)) for name in names]
    expected = {name: share for name, share in declared.items() if share > 0}
    p_value = statistics.sample_ratio_p(
        [sums[name].n_units if name in sums else 0 for name in expected],
        list(expected.values()),
    )
    return Epoch(
        epoch=number,
        opened_at_ms=None if opened is None else opened.at_ms,
        arms=arms,
        comparisons=[
            _compare(name, metric, _estimate(sums.get(CONTROL), metric), _estimate(arm, metric))
            for name, arm in sums.items()
            if name != CONTROL
            for metric in METRICS
        ],
        sample_ratio=SampleRatio(
            p_value=p_value, is_alarm=p_value is not None and p_value < SAMPLE_RATIO_ALARM
        ),
    )


def _combined_arms(sums: RolloutSums) -> list[Arm]:
    arms = []
    for name in _in_order({arm.variant for arm in sums.arms}):
        parts = [arm for arm in sums.arms if arm.variant == name]
        whole = ArmSums(
            0, name, *(sum(column) for column in zip(*(p[2:] for p in parts), strict=True))
        )
        arms.append(_arm(whole._replace(n_units=sums.n_units[name]), None))
    return arms


def _combined_comparisons(arms: Sequence[ArmSums]) -> list[Comparison]:
    by_place = {(arm.epoch, arm.variant): arm for arm in arms}
    found = []
    for name in _in_order({arm.variant for arm in arms} - {CONTROL}):
        pairs = [
            (by_place[arm.epoch, CONTROL], arm)
            for arm in arms
            if arm.variant == name and (arm.epoch, CONTROL) in by_place
        ]
        for metric in METRICS:
            strata = [
                (
                    control.n_units + treated.n_units,
                    _estimate(control, metric),
                    _estimate(treated, metric),
                )
                for control, treated in pairs
            ]
            whole = [(n, c, t) for n, c, t in strata if c is not None and t is not None]
            found.append(
                _compare(
                    name,
                    metric,
                    statistics.stratified([(n, control) for n, control, _ in whole]),
                    statistics.stratified([(n, treated) for n, _, treated in whole]),
                )
            )
    return found


def _compare(
    variant: str, metric: MetricName, control: Estimate | None, treated: Estimate | None
) -> Comparison:
    absolute = statistics.difference(control, treated)
    relative = statistics.relative_difference(control, treated)
    return Comparison(
        variant=variant,
        metric=metric,
        absolute=None if absolute is None else Interval(**absolute._asdict()),
        relative=None if relative is None else Interval(**relative._asdict()),
    )


def _estimate(arm: ArmSums | None, metric: MetricName) -> Estimate | None:
    if arm is None:
        return None
    if metric == "click_through":
        return statistics.ratio_of(
            arm.n_units,
            x=arm.n_exposures,
            y=arm.n_clicked,
            xx=arm.sum_xx,
            yy=arm.sum_cc,
            xy=arm.sum_xc,
        )
    if metric == "conversion":
        return statistics.mean_of(arm.n_units, arm.n_buyers, arm.n_buyers)
    return statistics.mean_of(arm.n_units, arm.revenue, arm.sum_revenue_squared)


def _arm(sums: ArmSums, declared_share: float | None) -> Arm:
    return Arm(
        variant=sums.variant,
        declared_share=declared_share,
        units=sums.n_units,
        crossed_units=sums.n_crossed,
        exposures=sums.n_exposures,
        clicked_exposures=sums.n_clicked,
        clicks_named=sums.n_clicks_named,
        clicks_joined=sums.n_clicks_joined,
        click_through=_divide(sums.n_clicked, sums.n_exposures),
        buyers=sums.n_buyers,
        orders=sums.n_orders,
        purchases=sums.n_purchases,
        conversion=_divide(sums.n_buyers, sums.n_units),
        revenue=sums.revenue,
        revenue_per_unit=_divide(sums.revenue, sums.n_units),
    )


def _notes(sums: RolloutSums, epochs: Sequence[Epoch]) -> list[str]:
    notes = []
    if not sums.arms:
        notes.append("no exposure was decided by this rollout's split yet")
    for epoch in epochs:
        for arm in epoch.arms:
            if arm.units == 0 and sums.arms:
                notes.append(f"epoch {epoch.epoch}: variant {arm.variant!r} has no unit yet")
        if epoch.sample_ratio.is_alarm:
            notes.append(
                f"epoch {epoch.epoch}: the units did not come in the declared shares "
                f"(p = {epoch.sample_ratio.p_value:.1e}); do not act on these figures"
            )
    n_crossed = sum(arm.n_crossed for arm in sums.arms)
    if n_crossed:
        notes.append(
            f"{n_crossed} units saw more than one variant in an epoch; the first one counts"
        )
    if sums.not_split:
        shown = ", ".join(f"{n} {reason}" for reason, n in sums.not_split.items())
        notes.append(f"exposures in no arm, because no split decided them: {shown}")
    return notes


def _nothing(epoch: int, variant: str) -> ArmSums:
    return ArmSums(epoch, variant, *(0 for _ in ArmSums._fields[2:]))


def _in_order(names: set[str]) -> list[str]:
    """Sort variants, control first."""
    return sorted(names, key=lambda name: (name != CONTROL, name))


def _divide(part: float, whole: float) -> float | None:
    return part / whole if whole else None
