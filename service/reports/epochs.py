"""What happened under one setting of a rollout, and whether units came in the declared shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from service.reports import statistics
from service.reports.arms import Arm, in_order, make_arm
from service.reports.comparison import Comparison, Stays, compare
from service.reports.sample_ratio import sequential_sample_ratio_p
from service.reports.stays import StaySums
from service.rollouts.definition import CONTROL, Rollout
from service.stores.rollout_sums import ArmSums, Cohort
from service.stores.rollup_visits import DAY_MS

SAMPLE_RATIO_ALARM = 0.001


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


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """An epoch as the control plane remembers it."""

    at_ms: int
    rollout: Rollout


def declared_shares(rollout: Rollout) -> dict[str, float]:
    """Say which share of all units each variant was declared to get."""
    total = sum(variant.weight for variant in rollout.variants)
    share = rollout.share if rollout.enabled else 0.0
    treated = {each.key: share * each.weight / total for each in rollout.variants}
    return {CONTROL: 1 - share, **treated}


def epoch_ends(
    cohorts: Sequence[Cohort], opened: Mapping[int, Opened], at_ms: int
) -> dict[int, int]:
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


def make_epoch(number: int, seen: Sequence[ArmSums], opened: Opened | None, stays: Stays) -> Epoch:
    """Report one epoch from the sums of its arms."""
    declared = {} if opened is None else declared_shares(opened.rollout)
    sums = {arm.variant: arm for arm in seen}
    names = in_order({*sums, *(name for name, share in declared.items() if share > 0)})
    arms = [
        make_arm(
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


def _nothing(epoch: int, variant: str) -> ArmSums:
    return ArmSums(epoch, variant, *(0 for _ in ArmSums._fields[2:]))
