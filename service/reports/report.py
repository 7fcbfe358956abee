"""The report of a rollout: what each variant's units saw and did, per epoch and over all epochs.

Epochs are strata: each compares units that were treated under one rule at one time, and the
combined difference weighs theirs by units, so a ramp with a trend cannot pass for a lift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from models.errors import NotFoundError
from models.vocabulary import Vocabulary
from service.reports import statistics
from service.reports.catalogue import count_known, effective_size
from service.reports.comparison import Comparison, Stays, compare, with_false_discovery
from service.reports.funnel import (
    DrawnOtherwise,
    Funnel,
    RenderedDifference,
    drawn_otherwise,
    make_funnels,
    rendered_differences,
)
from service.reports.sample_ratio import sequential_sample_ratio_p
from service.reports.stays import Stay, StaySums, add_stays, show_stay, sum_stays
from service.reports.verdict import Verdict, judge
from service.rollouts.definition import CONTROL, Rollout
from service.stores.outcomes import ArmSums, Cohort, RolloutSums
from service.stores.rollup_visits import DAY_MS

SAMPLE_RATIO_ALARM = 0.001

Share = Annotated[float, Meta(description="0 to 1")]


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
    carters: Annotated[int, Meta(description="units that put something into the basket")]
    add_to_cart: Annotated[Share | None, Meta(description="carters / units")]
    buyers: Annotated[int, Meta(description="units with a purchase after their first exposure")]
    orders: int
    purchases: Annotated[int, Meta(description="lines of orders")]
    conversion: Annotated[Share | None, Meta(description="buyers / units")]
    revenue: Annotated[float, Meta(description="purchases less refunds")]
    revenue_per_unit: float | None
    average_order_value: Annotated[float | None, Meta(description="revenue / orders")]
    items_shown: Annotated[
        int | None, Meta(description="distinct items and banners; null for one epoch")
    ]
    effective_items: Annotated[
        int | None,
        Meta(description="how many of them carry 90 % of what was shown; null for one epoch"),
    ]
    stay: Annotated[Stay, Meta(description="visits, dwell and retention after the first exposure")]
    catalogue_items_shown: Annotated[
        int | None,
        Meta(description="items of the live model that were shown; null for one epoch"),
    ] = None
    catalogue_coverage: Annotated[
        Share | None, Meta(description="catalogue_items_shown / catalogue_items of the report")
    ] = None


class SampleRatio(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the units came in the declared shares."""

    p_value: Annotated[float | None, Meta(description="Pearson's χ², for one look")]
    always_valid_p: Annotated[float | None, Meta(description="holds at every look")]
    is_alarm: Annotated[
        bool, Meta(description="always_valid_p below 0.001: find out why before acting")
    ]


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
    verdict: Verdict
    arms: Annotated[list[Arm], Meta(description="over all epochs")]
    comparisons: Annotated[list[Comparison], Meta(description="epochs weighed by their units")]
    epochs: list[Epoch]
    not_split: Annotated[
        dict[str, int],
        Meta(description="exposures that no split decided, by reason; they are in no arm"),
    ]
    catalogue_items: Annotated[
        int | None, Meta(description="items of the live model; null without one")
    ]
    revenue_cap: Annotated[
        float | None,
        Meta(description="99 % of paying units paid at most this; capped revenue counts no more"),
    ]
    funnels: Annotated[list[Funnel], Meta(description="how far exposures got")]
    rendered: Annotated[
        list[RenderedDifference], Meta(description="rendered / served beside control's")
    ]
    drawn_otherwise: Annotated[
        list[DrawnOtherwise], Meta(description="where a client drew what was not assigned")
    ]
    notes: list[str]


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """An epoch as the control plane remembers it."""

    at_ms: int
    rollout: Rollout


def make_report(
    key: str,
    sums: RolloutSums,
    opened: Mapping[int, Opened],
    *,
    at_ms: int,
    catalogue: Vocabulary | None = None,
) -> Report:
    """Turn sums into a report; `catalogue` holds the items that arms may cover.

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
    stays = sum_stays(sums.cohorts, _ends(sums.cohorts, opened, at_ms))
    epochs = [
        _epoch(number, [arm for arm in sums.arms if arm.epoch == number], opened.get(number), stays)
        for number in numbers
    ]
    arms = _combined_arms(sums, stays, catalogue)
    comparisons = with_false_discovery(_combined_comparisons(sums.arms, stays))
    rendered = rendered_differences(sums.stages)
    return Report(
        rollout=key,
        at_ms=at_ms,
        verdict=judge(
            units={arm.variant: arm.units for arm in arms},
            buyers={arm.variant: arm.buyers for arm in arms},
            comparisons=comparisons,
            broken_epochs=[each.epoch for each in epochs if each.sample_ratio.is_alarm],
            unevenly_rendered=[each.variant for each in rendered if each.is_alarm],
        ),
        arms=arms,
        comparisons=comparisons,
        epochs=epochs,
        not_split=sums.not_split,
        catalogue_items=None if catalogue is None else len(catalogue),
        revenue_cap=sums.revenue_cap,
        funnels=make_funnels(sums.stages),
        rendered=rendered,
        drawn_otherwise=drawn_otherwise(sums.misdrawn),
        notes=_notes(sums, epochs, rendered),
    )


def declared_shares(rollout: Rollout) -> dict[str, float]:
    """Say which share of all units each variant was declared to get."""
    total = sum(variant.weight for variant in rollout.variants)
    share = rollout.share if rollout.enabled else 0.0
    treated = {each.key: share * each.weight / total for each in rollout.variants}
    return {CONTROL: 1 - share, **treated}


def _ends(cohorts: Sequence[Cohort], opened: Mapping[int, Opened], at_ms: int) -> dict[int, int]:
    """Say when each epoch ended: as the next one began, by the control plane or by its units."""
    begins = {number: each.at_ms for number, each in opened.items()}
    for each in cohorts:
        if each.epoch not in opened:
            seen_ms = each.day * DAY_MS
            begins[each.epoch] = min(seen_ms, begins.get(each.epoch, seen_ms))
    return {
        number: min([at_ms, *(begin for later, begin in begins.items() if later > number)])
        for number in begins
    }


def _epoch(number: int, seen: Sequence[ArmSums], opened: Opened | None, stays: Stays) -> Epoch:
    declared = {} if opened is None else declared_shares(opened.rollout)
    sums = {arm.variant: arm for arm in seen}
    names = _in_order({*sums, *(name for name, share in declared.items() if share > 0)})
    arms = [
        _arm(
            sums.get(name, _nothing(number, name)),
            declared.get(name),
            stays.get((number, name), StaySums()),
        )
        for name in names
    ]
    expected = {name: share for name, share in declared.items() if share > 0}
    observed = [sums[name].n_units if name in sums else 0 for name in expected]
    shares = list(expected.values())
    p_value = sequential_sample_ratio_p(observed, shares)
    return Epoch(
        epoch=number,
        opened_at_ms=None if opened is None else opened.at_ms,
        arms=arms,
        comparisons=[
            each
            for name, arm in sums.items()
            if name != CONTROL
            for each in compare(name, [(sums[CONTROL], arm)] if CONTROL in sums else [], stays)
        ],
        sample_ratio=SampleRatio(
            p_value=statistics.sample_ratio_p(observed, shares),
            always_valid_p=p_value,
            is_alarm=p_value is not None and p_value < SAMPLE_RATIO_ALARM,
        ),
    )


def _combined_arms(sums: RolloutSums, stays: Stays, catalogue: Vocabulary | None) -> list[Arm]:
    arms = []
    for name in _in_order({arm.variant for arm in sums.arms}):
        stay = add_stays([StaySums(), *(one for (_, of), one in stays.items() if of == name)])
        arm = _arm(whole_arm(sums, name), None, stay)
        arms.append(_with_shown(arm, sums.n_shown.get(name, {}), catalogue))
    return arms


def whole_arm(sums: RolloutSums, variant: str) -> ArmSums:
    """Add up the epochs of a variant that has been seen; a unit of two epochs is one."""
    parts = [arm for arm in sums.arms if arm.variant == variant]
    whole = ArmSums(
        0, variant, *(sum(column) for column in zip(*(p[2:] for p in parts), strict=True))
    )
    return whole._replace(**sums.people[variant]._asdict())


def _with_shown(arm: Arm, n_shown: Mapping[str, int], catalogue: Vocabulary | None) -> Arm:
    n_known = None if catalogue is None else count_known(n_shown, catalogue)
    return msgspec.structs.replace(
        arm,
        items_shown=len(n_shown),
        effective_items=effective_size(n_shown.values()),
        catalogue_items_shown=n_known,
        catalogue_coverage=None if n_known is None else _divide(n_known, len(catalogue or ())),
    )


def _combined_comparisons(arms: Sequence[ArmSums], stays: Stays) -> list[Comparison]:
    by_place = {(arm.epoch, arm.variant): arm for arm in arms}
    found: list[Comparison] = []
    for name in _in_order({arm.variant for arm in arms} - {CONTROL}):
        pairs = [
            (by_place[arm.epoch, CONTROL], arm)
            for arm in arms
            if arm.variant == name and (arm.epoch, CONTROL) in by_place
        ]
        found += compare(name, pairs, stays)
    return found


def _arm(sums: ArmSums, declared_share: float | None, stay: StaySums) -> Arm:
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
        carters=sums.n_carters,
        add_to_cart=_divide(sums.n_carters, sums.n_units),
        buyers=sums.n_buyers,
        orders=sums.n_orders,
        purchases=sums.n_purchases,
        conversion=_divide(sums.n_buyers, sums.n_units),
        revenue=sums.revenue,
        revenue_per_unit=_divide(sums.revenue, sums.n_units),
        average_order_value=_divide(sums.revenue, sums.n_orders),
        items_shown=None,
        effective_items=None,
        stay=show_stay(stay),
    )


def _notes(
    sums: RolloutSums, epochs: Sequence[Epoch], rendered: Sequence[RenderedDifference]
) -> list[str]:
    notes = []
    if sums.n_waiting:
        notes.append(
            f"{sums.n_waiting} stored rows are not counted yet; they are being added, ask again"
        )
    if not sums.arms:
        notes.append("no exposure was decided by this rollout's split yet")
    for epoch in epochs:
        for arm in epoch.arms:
            if arm.units == 0 and sums.arms:
                notes.append(f"epoch {epoch.epoch}: variant {arm.variant!r} has no unit yet")
        if epoch.sample_ratio.is_alarm:
            notes.append(
                f"epoch {epoch.epoch}: the units did not come in the declared shares "
                f"(p = {epoch.sample_ratio.always_valid_p:.1e}); do not act on these figures"
            )
    notes += [
        f"variant {each.variant!r} is rendered in {each.difference.value:+.1%} of its slates "
        "beside control; do not act on these figures"
        for each in rendered
        if each.is_alarm and each.difference is not None
    ]
    notes += [
        f"{each.n} exposures of variant {each.variant!r} were drawn as {each.drawn!r}, "
        f"e.g. {', '.join(each.exposure_ids[:3])}; they count as assigned: look for a page cache, "
        "or a client that decides by itself"
        for each in sums.misdrawn
    ]
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
