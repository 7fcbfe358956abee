"""Whether one arm's units have fewer exposures than the other's: an alarm for lost exposures.

The sample ratio counts units, and a unit of three pages is still one when a page of it is lost.
What is lost shows here. So does a variant that makes visitors open more pages or fewer, and no
figure of the log can tell those two apart: this is a note to be looked into, not a broken split.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from service.reports.comparison import Interval
from service.reports.confidence_sequence import LEAST_UNITS, boundary
from service.reports.statistics import Estimate, comparable, mean_of, quotient
from service.rollouts.definition import CONTROL
from service.stores.rollout_sums import ArmSums

ALPHA = 0.001
TIGHTEST_AT = 100_000
"""Units at which a loss of two percent begins to be seen."""


class ExposureRatio(msgspec.Struct, frozen=True, kw_only=True):
    """Exposures per unit of a variant beside control's, in one epoch."""

    epoch: int
    variant: str
    control_per_unit: float | None
    variant_per_unit: float | None
    difference: Annotated[
        Interval | None,
        Meta(
            description="variant / control - 1, with an always-valid 99.9 % interval; null where "
            "too few units have a second exposure"
        ),
    ]
    is_alarm: Annotated[
        bool,
        Meta(
            description="the interval leaves out 0: exposures are missing in an arm, or its "
            "visitors open fewer pages; find out which"
        ),
    ]
    fewer_in: Annotated[str | None, Meta(description="the arm with fewer, where it is an alarm")]


def exposure_ratios(arms: Sequence[ArmSums]) -> list[ExposureRatio]:
    """Compare each variant's exposures per unit with those of control in the same epoch."""
    controls = {arm.epoch: arm for arm in arms if arm.variant == CONTROL}
    treated = sorted(arm for arm in arms if arm.variant != CONTROL and arm.epoch in controls)
    return [_compare(controls[arm.epoch], arm) for arm in treated]


def exposure_notes(found: Sequence[ExposureRatio]) -> list[str]:
    """Say of each alarm what it may be, and what to look at to tell."""
    return [
        f"epoch {each.epoch}: variant {each.variant!r} has {each.difference.value:+.1%} exposures "
        f"per unit beside control ({each.difference.low:+.1%} to {each.difference.high:+.1%}): "
        f"exposures are missing in {each.fewer_in!r}, or its visitors open fewer pages. Check "
        "both: `endcap events reconcile`, page caches and time-outs of that arm for lost ones, "
        "and your own count of pages a visitor by variant. If they were lost, do not trust "
        "click-through"
        for each in found
        if each.is_alarm and each.difference is not None
    ]


def show_exposures(each: ExposureRatio) -> str:
    """Write one comparison as a line."""
    start = f"epoch {each.epoch}: exposures per unit of {each.variant}"
    if each.difference is None:
        return f"{start} not compared (too few units have a second one)"
    value, low, high = (
        part * 100 for part in (each.difference.value, each.difference.low, each.difference.high)
    )
    verdict = f"exposures are MISSING in {each.fewer_in}, or fewer pages are opened there"
    return (
        f"{start} {value:+.2f} % [{low:+.2f}, {high:+.2f}]: "
        f"{verdict if each.is_alarm else 'no difference shown'}"
    )


def _compare(control: ArmSums, treated: ArmSums) -> ExposureRatio:
    difference = _difference(control, treated)
    is_alarm = difference is not None and not difference.low <= 0 <= difference.high
    fewer_in = None
    if is_alarm and difference is not None:
        fewer_in = treated.variant if difference.value < 0 else CONTROL
    return ExposureRatio(
        epoch=treated.epoch,
        variant=treated.variant,
        control_per_unit=_per_unit(control),
        variant_per_unit=_per_unit(treated),
        difference=difference,
        is_alarm=is_alarm,
        fewer_in=fewer_in,
    )


def _difference(control: ArmSums, treated: ArmSums) -> Interval | None:
    """Compare means over units, so it does not matter how unevenly units open pages.

    Every unit has one exposure, so what tells, and spreads, is the further ones: where few have
    any, an arm with none of them yet would pass for one of no spread at all.
    """
    if min(control.n_units, treated.n_units) < LEAST_UNITS:
        return None
    pair = comparable(*(_further(arm) for arm in (control, treated)))
    if pair is None:
        return None
    first, second = (each._replace(value=each.value + 1) for each in pair)
    width = boundary(first.n + second.n, alpha=ALPHA, tightest_at=TIGHTEST_AT)
    found = quotient(first, second, width)
    if found is None or found.low == found.high:
        return None
    return Interval(**found._asdict())


def _further(arm: ArmSums) -> Estimate | None:
    """Estimate the exposures per unit after its first."""
    n, x = arm.n_units, arm.n_exposures
    return mean_of(n, x - n, arm.sum_xx - 2 * x + n)


def _per_unit(arm: ArmSums) -> float | None:
    return arm.n_exposures / arm.n_units if arm.n_units else None
