"""The form of a rollout: its fields from a document, and the patch that somebody typed into it.

Only what differs from the state the form was drawn from is in the patch, so two people who change
different things do not undo each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import UNSET

from service.console.audience_words import SEGMENT, SIMPLE, audience_of, simple_fields
from service.console.form import Form, FormError, read_json
from service.console.layer_form import LayerView, layer_fields, read_layer
from service.console.prerequisite_form import prerequisite_fields, read_prerequisites
from service.console.ramp_form import ramp_fields, read_ramp
from service.console.schedule_form import check_zone, on_clock, written_moment
from service.console.value_form import read_type, read_value, value_text
from service.console.variant_form import read_variants
from service.rollouts.definition import Rollout

Fields = Mapping[str, tuple[str, ...]]
NO_LAYERS: Mapping[str, LayerView] = MappingProxyType({})

GROUPS: dict[str, tuple[str, ...]] = {
    "name": ("name",),
    "enabled": ("enabled",),
    "unit": ("unit",),
    "variants": (
        *("variant_key", "variant_weight", "variant_recipe"),
        *("variant_value", "variant_banners"),
    ),
    "values": ("value_type", "control_value"),
    "layer": ("layer", "layer_share", "layer_slots"),
    "prerequisites": ("prerequisite",),
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


def fields_of(rollout: Rollout, layers: Mapping[str, LayerView] = NO_LAYERS) -> Fields:
    """Write a rollout as the fields of its form."""
    simple = simple_fields(rollout.audience)
    fields: dict[str, tuple[str, ...]] = {
        "name": (rollout.name or "",),
        "enabled": _tick(rollout.enabled),
        "unit": (rollout.unit,),
        "variant_key": tuple(one.key for one in rollout.variants),
        "variant_weight": tuple(str(one.weight) for one in rollout.variants),
        "variant_recipe": tuple(one.recipe or "" for one in rollout.variants),
        "variant_value": tuple(value_text(one.value) for one in rollout.variants),
        "variant_banners": tuple(", ".join(one.banner_ids) for one in rollout.variants),
        "value_type": (rollout.value_type or "",),
        "control_value": (value_text(rollout.control_value),),
        "prerequisite": prerequisite_fields(rollout),
        "holdout": _tick(rollout.holdout),
        "approval": _tick(rollout.approval),
        **layer_fields(rollout, layers),
        **_schedule_fields(rollout),
        **ramp_fields(rollout),
    }
    for name in (*SIMPLE, SEGMENT):
        fields[f"audience_{name}"] = (", ".join(simple[name]) if simple else "",)
    advanced = rollout.audience if simple is None else None
    text = "" if advanced is None else msgspec.json.format(msgspec.json.encode(advanced)).decode()
    fields["audience_json"] = (text,)
    return fields


def patch_from(
    form: Form, base: Rollout, layers: Mapping[str, LayerView] = NO_LAYERS
) -> dict[str, Any]:
    """Return what was changed in the form, as a JSON Merge Patch.

    Raises
    ------
    FormError
        If a field holds what cannot be read.
    """
    before = fields_of(base, layers)
    write: dict[str, Callable[[], dict[str, Any]]] = {
        "name": lambda: {"name": form.optional("name")},
        "enabled": lambda: {"enabled": form.is_on("enabled")},
        "unit": lambda: {"unit": form.text("unit")},
        "variants": lambda: {"variants": read_variants(form, base)},
        # Another type asks other values of the variants too.
        "values": lambda: {**_values(form, base), "variants": read_variants(form, base)},
        "layer": lambda: {"layer": _replacing(base.layer, read_layer(form, base, layers))},
        "prerequisites": lambda: {"prerequisites": read_prerequisites(form)},
        "audience": lambda: {"audience": _replacing(base.audience, _audience(form))},
        "schedule": lambda: _schedule(form),
        "ramp": lambda: {"ramp": _replacing(base.ramp, read_ramp(form))},
        "holdout": lambda: {"holdout": form.is_on("holdout")},
        "approval": lambda: {"approval": form.is_on("approval")},
    }
    patch: dict[str, Any] = {}
    for part, names in GROUPS.items():
        if _normal(form.fields, names) != _normal(before, names):
            patch.update(write[part]())
    forced = _forced(form)
    return {**patch, "forced": forced} if forced else patch


def overlaid(
    current: Rollout, form: Form, base: Rollout, layers: Mapping[str, LayerView] = NO_LAYERS
) -> Fields:
    """Put what was typed over the state of now, where it differs from what the form began with."""
    before, fields = fields_of(base, layers), dict(fields_of(current, layers))
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


def _values(form: Form, base: Rollout) -> dict[str, Any]:
    value_type = read_type(form.text("value_type"))
    typed = form.text("control_value")
    value = None
    if value_type is not None and typed:
        before = base.control_value if value_type == base.value_type else UNSET
        value = read_value(typed, value_type, "control_value", before)
    return {
        "value_type": value_type,
        "control_value": _replacing(
            {} if base.control_value is UNSET else base.control_value, value
        ),
    }


def _audience(form: Form) -> Any:
    advanced = form.text("audience_json")
    if advanced:
        return read_json(advanced, "audience")
    return audience_of(
        {
            name: [
                each.strip() for each in form.text(f"audience_{name}").split(",") if each.strip()
            ]
            for name in (*SIMPLE, SEGMENT)
        }
    )


def _schedule_fields(rollout: Rollout) -> dict[str, tuple[str, ...]]:
    moments: list[datetime | None] = [rollout.starts_at, rollout.ends_at]
    zone = rollout.time_zone or ""
    if any(moment is not None and moment.tzinfo is not None for moment in moments):
        moments = [one and on_clock(on_clock(one, zone or "UTC"), "UTC") for one in moments]
        zone = "UTC"
    starts, ends = ("" if one is None else written_moment(one) for one in moments)
    return {"starts_at": (starts,), "ends_at": (ends,), "time_zone": (zone,)}


def _schedule(form: Form) -> dict[str, Any]:
    check_zone(form)
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


def _forced(form: Form) -> dict[str, str | None]:
    forced: dict[str, str | None] = dict.fromkeys(form.all("forced_remove"))
    for line in form.lines("forced_add"):
        unit, equals, variant = line.rpartition("=")
        if not equals or not unit.strip() or not variant.strip():
            raise FormError("forced_add", f"{line!r}: write one a line, as USER_ID = VARIANT")
        forced[unit.strip()] = variant.strip()
    return forced
