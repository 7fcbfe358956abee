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
from models.plural import plural
from models.vocabulary import Vocabulary
from service.reports.arms import Arm, in_order, whole_arms
from service.reports.comparison import Comparison, Stays, compare, with_false_discovery
from service.reports.confidence_sequence import ALPHA
from service.reports.epochs import Epoch, Opened, epoch_ends, make_epoch
from service.reports.exposure_ratio import ExposureRatio, exposure_notes, exposure_ratios
from service.reports.funnel import (
    DrawnOtherwise,
    Funnel,
    RenderedDifference,
    drawn_otherwise,
    make_funnels,
    rendered_differences,
)
from service.reports.returning import Returning, index_returning
from service.reports.stays import sum_stays
from service.reports.verdict import Verdict, judge
from service.rollouts.definition import CONTROL
from service.stores.rollout_sums import ArmSums, RolloutSums


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollout did so far."""

    rollout: str
    at_ms: int
    verdict: Verdict
    arms: Annotated[list[Arm], Meta(description="over all epochs")]
    comparisons: Annotated[
        list[Comparison],
        Meta(description="epochs weighed by what they tell: c · t / (c + t) of their units"),
    ]
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
    attribution_days: Annotated[
        int,
        Meta(description="days after an exposure in which what names none is put down to it"),
    ]
    funnels: Annotated[list[Funnel], Meta(description="how far exposures got")]
    rendered: Annotated[
        list[RenderedDifference], Meta(description="rendered / served beside control's")
    ]
    drawn_otherwise: Annotated[
        list[DrawnOtherwise], Meta(description="where a client drew what was not assigned")
    ]
    exposures_per_unit: Annotated[
        list[ExposureRatio], Meta(description="by epoch, beside control's: are exposures missing?")
    ]
    notes: list[str]


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
    stays = sum_stays(sums.cohorts, epoch_ends(sums.cohorts, opened, at_ms))
    epochs = [
        make_epoch(
            number, [arm for arm in sums.arms if arm.epoch == number], opened.get(number), stays
        )
        for number in numbers
    ]
    arms = whole_arms(sums, stays, catalogue)
    comparisons = with_false_discovery(
        _combined_comparisons(sums.arms, stays, index_returning(sums.returning))
    )
    rendered = rendered_differences(sums.stages)
    per_unit = exposure_ratios(sums.arms)
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
        attribution_days=sums.attribution_days,
        funnels=make_funnels(sums.stages),
        rendered=rendered,
        drawn_otherwise=drawn_otherwise(sums.misdrawn),
        exposures_per_unit=per_unit,
        notes=[*_notes(sums, epochs, rendered), *exposure_notes(per_unit)],
    )


def _combined_comparisons(
    arms: Sequence[ArmSums], stays: Stays, returning: Returning
) -> list[Comparison]:
    by_place = {(arm.epoch, arm.variant): arm for arm in arms}
    found: list[Comparison] = []
    names = in_order({arm.variant for arm in arms} - {CONTROL})
    for name in names:
        pairs = [
            (by_place[arm.epoch, CONTROL], arm)
            for arm in arms
            if arm.variant == name and (arm.epoch, CONTROL) in by_place
        ]
        found += compare(name, pairs, stays, returning, alpha=ALPHA / len(names))
    return found


def _notes(
    sums: RolloutSums, epochs: Sequence[Epoch], rendered: Sequence[RenderedDifference]
) -> list[str]:
    notes = []
    if sums.n_waiting:
        notes.append(
            f"not counted yet, but being added: {plural(sums.n_waiting, 'stored row')}; ask again"
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
        f"{plural(each.n, 'exposure')} of variant {each.variant!r} "
        f"{'was' if each.n == 1 else 'were'} drawn as {each.drawn!r}, "
        f"e.g. {', '.join(each.exposure_ids[:3])}; what counts is the variant that was assigned: "
        "look for a page cache, or a client that decides by itself"
        for each in sums.misdrawn
    ]
    n_crossed = sum(arm.n_crossed for arm in sums.arms)
    if n_crossed:
        notes.append(
            f"{plural(n_crossed, 'unit')} saw more than one variant in an epoch; the first one "
            "counts"
        )
    if sums.not_split:
        shown = ", ".join(f"{n} {reason}" for reason, n in sums.not_split.items())
        notes.append(f"exposures in no arm, because no split decided them: {shown}")
    return notes
