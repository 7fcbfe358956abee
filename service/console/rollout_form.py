"""The form of a rollout: its fields from a document, and the patch that somebody typed into it.

Only what differs from the state the form was drawn from is in the patch, so two people who change
different things do not undo each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

import msgspec

from service.console.audience_words import SEGMENT, SIMPLE, audience_of, simple_fields
from service.console.form import Form, FormError
from service.rollouts.definition import Rollout
from service.rollouts.ramp import (
    ErrorGuardrail,
    LatencyGuardrail,
    OutcomeGuardrail,
    ServiceGuardrail,
)

Fields = Mapping[str, tuple[str, ...]]

GROUPS: dict[str, tuple[str, ...]] = {
    "name": ("name",),
    "enabled": ("enabled",),
    "unit": ("unit",),
    "variants": ("variant_key", "variant_weight", "variant_recipe"),
    "audience": (*(f"audience_{name}" for name in (*SIMPLE, SEGMENT)), "audience_json"),
    "schedule": ("starts_at", "ends_at", "time_zone"),
    "ramp": (
        *("ramp_share", "ramp_hours", "ramp_units"),
        *("guard_metric", "guard_limit"),
    ),
    "holdout": ("holdout",),
    "approval": ("approval",),
}
"""The fields of each part of the document; a part is patched as a whole."""

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
_PLACES = 4


def fields_of(rollout: Rollout) -> Fields:
    """Write a rollout as the fields of its form."""
    simple = simple_fields(rollout.audience)
    fields: dict[str, tuple[str, ...]] = {
        "name": (rollout.name or "",),
        "enabled": _tick(rollout.enabled),
        "unit": (rollout.unit,),
        "variant_key": tuple(one.key for one in rollout.variants),
        "variant_weight": tuple(str(one.weight) for one in rollout.variants),
        "variant_recipe": tuple(one.recipe or "" for one in rollout.variants),
        "holdout": _tick(rollout.holdout),
        "approval": _tick(rollout.approval),
        **_schedule_fields(rollout),
        **_ramp_fields(rollout),
    }
    for name in (*SIMPLE, SEGMENT):
        fields[f"audience_{name}"] = (", ".join(simple[name]) if simple else "",)
    advanced = rollout.audience if simple is None else None
    text = "" if advanced is None else msgspec.json.format(msgspec.json.encode(advanced)).decode()
    fields["audience_json"] = (text,)
    return fields


def patch_from(form: Form, base: Rollout) -> dict[str, Any]:
    """Return what was changed in the form, as a JSON Merge Patch.

    Raises
    ------
    FormError
        If a field holds what cannot be read.
    """
    before = fields_of(base)
    write: dict[str, Callable[[], dict[str, Any]]] = {
        "name": lambda: {"name": form.optional("name")},
        "enabled": lambda: {"enabled": form.is_on("enabled")},
        "unit": lambda: {"unit": form.text("unit")},
        "variants": lambda: {"variants": _variants(form, base)},
        "audience": lambda: {"audience": _replacing(base.audience, _audience(form))},
        "schedule": lambda: _schedule(form),
        "ramp": lambda: {"ramp": _replacing(base.ramp, _ramp(form))},
        "holdout": lambda: {"holdout": form.is_on("holdout")},
        "approval": lambda: {"approval": form.is_on("approval")},
    }
    patch: dict[str, Any] = {}
    for part, names in GROUPS.items():
        if _normal(form.fields, names) != _normal(before, names):
            patch.update(write[part]())
    forced = _forced(form)
    return {**patch, "forced": forced} if forced else patch


def overlaid(current: Rollout, form: Form, base: Rollout) -> Fields:
    """Put what was typed over the state of now, where it differs from what the form began with."""
    before, fields = fields_of(base), dict(fields_of(current))
    for names in GROUPS.values():
        if _normal(form.fields, names) != _normal(before, names):
            fields.update({name: form.fields.get(name, ()) for name in names})
    return fields


def _normal(fields: Fields, names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Line up what belongs together, and leave out what is empty."""
    rows = zip_longest(*(map(_plain, fields.get(name, ())) for name in names), fillvalue="")
    return [row for row in rows if any(row)]


def _plain(text: str) -> str:
    return text.strip().replace("\r\n", "\n")


def _tick(is_on: bool) -> tuple[str, ...]:
    return ("1",) if is_on else ()


def _replacing(before: Any, after: Any) -> Any:
    """Make a merge replace an object whole: what the new one lacks is removed."""
    return _without(msgspec.to_builtins(before), after)


def _without(before: Any, after: Any) -> Any:
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    gone = dict.fromkeys(before.keys() - after.keys())
    return {**gone, **{name: _without(before.get(name), value) for name, value in after.items()}}


def _variants(form: Form, base: Rollout) -> list[dict[str, Any]]:
    known = {one.key: msgspec.to_builtins(one) for one in base.variants}
    found = []
    rows = zip_longest(*(form.all(name) for name in GROUPS["variants"]), fillvalue="")
    for key, weight, recipe in rows:
        if not key:
            continue
        if not (weight or "1").isdigit():
            raise FormError(
                "variants", f"the weight of {key!r} is {weight!r}; write a whole number"
            )
        variant = {**known.get(key, {}), "key": key, "weight": int(weight or 1)}
        variant["recipe"] = recipe or None
        found.append(variant)
    return found


def _audience(form: Form) -> Any:
    advanced = form.text("audience_json")
    if advanced:
        try:
            return msgspec.json.decode(advanced)
        except msgspec.DecodeError as error:
            raise FormError("audience", f"this is not JSON: {error}") from None
    return audience_of(
        {
            name: [
                each.strip() for each in form.text(f"audience_{name}").split(",") if each.strip()
            ]
            for name in (*SIMPLE, SEGMENT)
        }
    )


def _schedule_fields(rollout: Rollout) -> dict[str, tuple[str, ...]]:
    moments = (rollout.starts_at, rollout.ends_at)
    zone = rollout.time_zone or ""
    if any(moment is not None and moment.tzinfo is not None for moment in moments):
        moments = tuple(one and one.astimezone(UTC).replace(tzinfo=None) for one in moments)  # type: ignore[assignment]  # still two
        zone = "UTC"
    starts, ends = ("" if one is None else one.isoformat(timespec="minutes") for one in moments)
    return {"starts_at": (starts,), "ends_at": (ends,), "time_zone": (zone,)}


def _schedule(form: Form) -> dict[str, Any]:
    patch: dict[str, Any] = {"time_zone": form.optional("time_zone")}
    for name in ("starts_at", "ends_at"):
        typed = form.optional(name)
        if typed is not None:
            try:
                typed = datetime.fromisoformat(typed).isoformat()
            except ValueError:
                raise FormError(name, f"{typed!r} is no date and time") from None
            patch["time_zone"] = patch["time_zone"] or "UTC"
        patch[name] = typed
    return patch


def _ramp_fields(rollout: Rollout) -> dict[str, tuple[str, ...]]:
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


def _ramp(form: Form) -> Any:
    steps = []
    rows = zip_longest(*(form.all(name) for name in GROUPS["ramp"][:3]), fillvalue="")
    for share, hours, units in rows:
        if not share:
            continue
        steps.append(
            {
                "share": round(_read(share, "the share of a step") / 100, 6),
                "min_hours": _read(hours or "0", "the hours of a step"),
                "min_units": int(_read(units or "0", "the units of a step")),
            }
        )
    guards = [
        _guard(metric, _read(limit, GUARDRAILS.get(metric, metric)))
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


def _guard(metric: str, limit: float) -> dict[str, Any]:
    share = round(limit / 100, 6)
    if metric in _OUTCOMES:
        return {"type": "outcome", "metric": metric, "max_drop": share}
    if metric == "p99":
        return {"type": "latency", "max_p99_ms": limit}
    if metric == "errors":
        return {"type": "errors", "max_share": share}
    return {"type": "service", "metric": metric, "max_share": share}


def _forced(form: Form) -> dict[str, str | None]:
    forced: dict[str, str | None] = dict.fromkeys(form.all("forced_remove"))
    for line in form.lines("forced_add"):
        unit, equals, variant = line.rpartition("=")
        if not equals or not unit.strip() or not variant.strip():
            raise FormError("forced_add", f"{line!r}: write one a line, as USER_ID = VARIANT")
        forced[unit.strip()] = variant.strip()
    return forced


def _read(text: str, label: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise FormError("ramp", f"{label} is {text!r}; write a number") from None


def number(value: float) -> str:
    """Write a number of a field without zeros that say nothing."""
    text = f"{value:.{_PLACES}f}"
    return text.rstrip("0").rstrip(".")
