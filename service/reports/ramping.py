"""Whether a ramp goes on, waits or is rolled back: a pure decision over what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from service.reports.comparison import estimate
from service.reports.confidence_sequence import ALPHA, always_valid_relative
from service.rollouts.definition import CONTROL, Rollout
from service.rollouts.ramp import Guardrail, OutcomeGuardrail, Ramp, RampStep
from service.stores.outcomes import ArmSums
from service.stores.service_levels import ServiceLevel

HOUR_MS = 3_600_000
MIN_EXPOSURES = 200
"""Exposures of a treatment below which shares of them say nothing."""


class Measured(NamedTuple):
    """What happened since the rollout's present share began."""

    opened_at_ms: int
    arms: Sequence[ArmSums]
    levels: Sequence[ServiceLevel]


class Advance(NamedTuple):
    """Go to this step."""

    step: RampStep


class RollBack(NamedTuple):
    """Put everyone into control, because of this."""

    reason: str


def decide(rollout: Rollout, measured: Measured, now_ms: int) -> Advance | RollBack | None:
    """Decide the next move of a rollout with a ramp; nothing while it has to wait.

    A breached guardrail goes before everything, on the last step too.
    """
    ramp = rollout.ramp
    if ramp is None or rollout.killed or not rollout.enabled:
        return None
    breach = find_breach(ramp, measured)
    if breach is not None:
        return RollBack(breach)
    following = ramp.next_after(rollout.share)
    if following is None:
        return None
    step = ramp.step_at(rollout.share)
    if step is not None:
        n_units = sum(arm.n_units for arm in measured.arms)
        is_early = now_ms - measured.opened_at_ms < step.min_hours * HOUR_MS
        if is_early or n_units < step.min_units:
            return None
    return Advance(following)


def find_breach(ramp: Ramp, measured: Measured) -> str | None:
    """Say which guardrail is breached by which variant, if one is.

    All outcome guardrails of all variants share one error probability, `ALPHA`, over all looks.
    """
    control = next((arm for arm in measured.arms if arm.variant == CONTROL), None)
    treated = [arm for arm in measured.arms if arm.variant != CONTROL]
    n_tests = len(treated) * sum(isinstance(one, OutcomeGuardrail) for one in ramp.guardrails)
    for guardrail in ramp.guardrails:
        if isinstance(guardrail, OutcomeGuardrail):
            for arm in treated:
                drop = _drop(guardrail, control, arm, ALPHA / n_tests)
                if drop is not None:
                    return drop
        else:
            for level in measured.levels:
                found = _level(guardrail, level)
                if found is not None:
                    return found
    return None


def _drop(
    guardrail: OutcomeGuardrail, control: ArmSums | None, arm: ArmSums, alpha: float
) -> str | None:
    if control is None:
        return None
    lift = always_valid_relative(
        estimate(control, guardrail.metric), estimate(arm, guardrail.metric), alpha=alpha
    )
    if lift is None or lift.high >= -guardrail.max_drop:
        return None
    return (
        f"{guardrail.metric} of {arm.variant!r} is {lift.value:+.1%} beside control, "
        f"surely below {-guardrail.max_drop:+.1%} ({lift.low:+.1%} to {lift.high:+.1%})"
    )


def _level(guardrail: Guardrail, level: ServiceLevel) -> str | None:
    if isinstance(guardrail, OutcomeGuardrail) or level.variant == CONTROL:
        return None
    if level.n_exposures < MIN_EXPOSURES:
        return None
    n = level.n_degraded if guardrail.metric == "degraded_share" else level.n_empty
    share = n / level.n_exposures
    if share <= guardrail.max_share:
        return None
    return (
        f"{guardrail.metric} of {level.variant!r} is {share:.1%} of its newest "
        f"{level.n_exposures} exposures, above {guardrail.max_share:.1%}"
    )
