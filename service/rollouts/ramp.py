"""A ramp plan: the shares that a rollout climbs by itself, and what must hold meanwhile."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.rollouts.fields import Share

OutcomeMetric = Literal["click_through", "add_to_cart", "conversion", "revenue_per_unit"]
ServiceMetric = Literal["degraded_share", "empty_share"]


class RampStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One share, and what it takes to go on from it."""

    share: Share
    min_hours: Annotated[float, Meta(ge=0, le=8760, description="in this share at least so long")]
    min_units: Annotated[
        int, Meta(ge=0, description="units with an exposure since this share began, control's too")
    ] = 0


class OutcomeGuardrail(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="outcome"
):
    """No treatment may do worse than control by more than this.

    Breached when the whole always-valid interval of the relative difference, of the units since the
    share began, lies below `-max_drop`: looking every minute raises no more false alarms.
    """

    metric: OutcomeMetric
    max_drop: Annotated[Share, Meta(description="relative, 0 to 1")] = 0.0


class ServiceGuardrail(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="service"
):
    """No treatment may fall back to a less personal tier, or stay empty, more often than this."""

    metric: ServiceMetric
    max_share: Annotated[Share, Meta(description="of a treatment's newest exposures")]


class LatencyGuardrail(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="latency"
):
    """The service as a whole, all variants together, may not become slower than this."""

    max_p99_ms: Annotated[
        float, Meta(ge=1, le=5_000, description="99 % of the newest requests for pages are quicker")
    ]


class ErrorGuardrail(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="errors"
):
    """The service as a whole, all variants together, may not fail more often than this."""

    max_share: Annotated[Share, Meta(description="of the newest requests for pages, with a 5xx")]


Guardrail = OutcomeGuardrail | ServiceGuardrail | LatencyGuardrail | ErrorGuardrail


class Ramp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Steps of growing shares, and the guardrails that let them go on."""

    steps: Annotated[tuple[RampStep, ...], Meta(min_length=1, max_length=20)]
    guardrails: Annotated[tuple[Guardrail, ...], Meta(max_length=10)] = ()

    def __post_init__(self) -> None:
        shares = [step.share for step in self.steps]
        for lower, higher in pairwise(shares):
            if higher <= lower:
                raise ValueError(
                    f"ramp step {higher:g} comes after {lower:g}; let the shares of steps grow"
                )

    def step_at(self, share: float) -> RampStep | None:
        """Return the step that a share stands on: the last one that is not above it."""
        reached = [step for step in self.steps if step.share <= share]
        return reached[-1] if reached else None

    def next_after(self, share: float) -> RampStep | None:
        """Return the first step above a share."""
        return next((step for step in self.steps if step.share > share), None)
