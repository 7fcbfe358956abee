"""The ramp of a rollout as fields of a form: steps, and guardrails that hold it back."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from service.console.form import Form, FormError, plain_number
from service.console.formatting import number
from service.rollouts.definition import Rollout
from service.rollouts.ramp import (
    ErrorGuardrail,
    LatencyGuardrail,
    OutcomeGuardrail,
    ServiceGuardrail,
)

STEP = ("ramp_share", "ramp_hours", "ramp_units")
"""The fields of a step."""
GUARDRAILS: dict[str, str] = {
    "click_through": "click-through may drop by at most, %",
    "add_to_cart": "add-to-cart may drop by at most, %",
    "conversion": "conversion may drop by at most, %",
    "revenue_per_unit": "revenue per unit may drop by at most, %",
    "degraded_share": "fallbacks at most, % of slots",
    "empty_share": "empty slots at most, % of slots",
    "p99": "p99 of the service at most, ms",
    "errors": "failed requests at most, %",
}
_OUTCOMES = ("click_through", "add_to_cart", "conversion", "revenue_per_unit")


def ramp_fields(rollout: Rollout) -> dict[str, tuple[str, ...]]:
    """Write the steps and guardrails as fields, in percent."""
    ramp = rollout.ramp
    steps = ramp.steps if ramp else ()
    guards = [_guard_fields(one) for one in ramp.guardrails] if ramp else []
    return {
        "ramp_share": tuple(number(100 * step.share) for step in steps),
        "ramp_hours": tuple(number(step.min_hours) for step in steps),
        "ramp_units": tuple(str(step.min_units) for step in steps),
        "guard_metric": tuple(metric for metric, _ in guards),
        "guard_limit": tuple(number(limit) for _, limit in guards),
    }


def _guard_fields(
    one: OutcomeGuardrail | ServiceGuardrail | LatencyGuardrail | ErrorGuardrail,
) -> tuple[str, float]:
    match one:
        case OutcomeGuardrail():
            return one.metric, 100 * one.max_drop
        case ServiceGuardrail():
            return one.metric, 100 * one.max_share
        case LatencyGuardrail():
            return "p99", one.max_p99_ms
        case ErrorGuardrail():
            return "errors", 100 * one.max_share


def read_ramp(form: Form) -> Any:
    """Read steps and guardrails; nothing without a step. `FormError` if one cannot be read."""
    steps = []
    rows = zip_longest(*(form.all(name) for name in STEP), fillvalue="")
    for share, hours, units in rows:
        if not share:
            continue
        steps.append(
            {
                "share": round(_percent(share, "the share of a step") / 100, 6),
                "min_hours": _read(hours or "0", "the hours of a step"),
                "min_units": int(_read(units or "0", "the units of a step")),
            }
        )
    guards = [
        _guard(metric, limit)
        for metric, limit in zip_longest(
            form.all("guard_metric"), form.all("guard_limit"), fillvalue=""
        )
        if metric and limit
    ]
    if not steps:
        if guards:
            raise FormError("ramp", "guardrails hold a ramp back: give it a step too")
        return None
    return {"steps": steps, "guardrails": guards}


def _guard(metric: str, limit: str) -> dict[str, Any]:
    label = GUARDRAILS.get(metric, metric)
    if metric == "p99":
        return {"type": "latency", "max_p99_ms": _read(limit, label)}
    share = round(_percent(limit, label) / 100, 6)
    if metric in _OUTCOMES:
        return {"type": "outcome", "metric": metric, "max_drop": share}
    if metric == "errors":
        return {"type": "errors", "max_share": share}
    return {"type": "service", "metric": metric, "max_share": share}


def _percent(text: str, label: str) -> float:
    percent = _read(text, label)
    if not 0 <= percent <= 100:
        raise FormError("ramp", f"{label}: {percent:g} % is not between 0 and 100 %")
    return percent


def _read(text: str, label: str) -> float:
    try:
        plain = plain_number(text)
    except ValueError as error:
        raise FormError("ramp", f"{label}: {error}") from None
    try:
        return float(plain)
    except ValueError:
        raise FormError("ramp", f"{label} is {text!r}; write a number") from None
