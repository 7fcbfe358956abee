"""Whether a ramp goes on, waits or is rolled back: a pure decision over what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from service.reports.comparison import estimate
from service.reports.confidence_sequence import ALPHA, always_valid_relative, lowest_share
from service.reports.statistics import comparable
from service.rollouts.definition import CONTROL, Rollout
from service.rollouts.ramp import (
    ErrorGuardrail,
    LatencyGuardrail,
    OutcomeGuardrail,
    Ramp,
    RampStep,
    ServiceGuardrail,
)
from service.stores.rollout_sums import ArmSums
from service.stores.service_levels import ServiceLevel
from service.telemetry.request_tally import RequestCounts

HOUR_MS = 3_600_000
MIN_EXPOSURES = 200
"""Exposures of a treatment below which shares of them say nothing."""
REQUESTS_MS = 15 * 60_000
"""How far back requests count; what was slow before has either been seen or is over."""
MIN_REQUESTS = 200
"""Requests below which guardrails on them say nothing; their interval is tight from there on."""
REQUEST_ALPHA = 0.001
"""The error probability of all looks at one `REQUESTS_MS`; a day has nearly a hundred of them."""
P99_SHARE = 0.01
"""A p99 above a limit means: more than this share of the requests is above it."""


class Measured(NamedTuple):
    """What happened since the rollout's present share began."""

    opened_at_ms: int
    arms: Sequence[ArmSums]
    levels: Sequence[ServiceLevel]
    requests: RequestCounts | None = None
    """Of all workers, in the last `REQUESTS_MS` at most."""


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
        elif isinstance(guardrail, LatencyGuardrail | ErrorGuardrail):
            bad = _requests(guardrail, measured.requests)
            if bad is not None:
                return bad
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
    pair = comparable(estimate(control, guardrail.metric), estimate(arm, guardrail.metric))
    lift = None if pair is None else always_valid_relative(*pair, alpha=alpha)
    if lift is None or lift.high >= -guardrail.max_drop:
        return None
    return (
        f"{guardrail.metric} of {arm.variant!r} is {lift.value:+.1%} beside control, "
        f"surely below {-guardrail.max_drop:+.1%} ({lift.low:+.1%} to {lift.high:+.1%})"
    )


def _requests(
    guardrail: LatencyGuardrail | ErrorGuardrail, counts: RequestCounts | None
) -> str | None:
    """Compare a share of the requests with its limit; only what chance does not explain counts."""
    if counts is None or counts.n < MIN_REQUESTS:
        return None
    if isinstance(guardrail, LatencyGuardrail):
        n_bad, limit = counts.n_slower(guardrail.max_p99_ms), P99_SHARE
        what = f"took longer than {guardrail.max_p99_ms:g} ms: the p99 is surely above it"
    else:
        n_bad, limit = counts.n_errors, guardrail.max_share
        what = f"failed: error_share is surely above {limit:.1%}"
    if lowest_share(n_bad, counts.n, alpha=REQUEST_ALPHA, tightest_at=MIN_REQUESTS) <= limit:
        return None
    return f"{n_bad / counts.n:.1%} of the newest {counts.n} requests to the service {what}"


def _level(guardrail: ServiceGuardrail, level: ServiceLevel) -> str | None:
    if level.variant == CONTROL:
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
