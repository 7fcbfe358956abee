"""A rule as fields of a form, and back."""

from __future__ import annotations

from typing import Any

import msgspec

from models.plural import plural
from service.console.audience_form import (
    AudienceFields,
    read_audience,
    show_audience,
    typed_audience,
)
from service.console.form import Form, FormError, words
from service.console.formatting import amount, exact
from service.console.schedule_form import read_schedule, show_schedule
from service.control.rule import Rule

ACTIONS = (
    ("pin", "Pin to a position"),
    ("boost", "Boost"),
    ("bury", "Bury"),
    ("hide", "Hide"),
    ("cap", "Limit how many"),
)
PER = (("brand", "of each brand"), ("category", "of each category"), ("selection", "of all these"))
_LISTS = ("item_ids", "banner_ids", "categories", "brands", "attributes")
_SELECTS: dict[str, tuple[str, ...]] = {
    "banners": ("banner_ids",),
    "items": (
        *("item_ids", "categories", "brands", "attributes", "price_at_least", "price_below"),
        *("new_for_days", "without_interactions"),
    ),
}
_TEXTS = (
    *("id", "name", "action", "about", "position", "strength", "max_items", "per", "priority"),
    *("price_at_least", "price_below", "new_for_days", "variants"),
    *("starts_at", "ends_at", "time_zone", "find"),
)

Fields = dict[str, Any]
"""What the inputs hold: text, lists of text, whether a box is ticked."""


def blank_rule() -> Fields:
    """Return the fields of a rule that is yet to be written."""
    return {
        **dict.fromkeys(_TEXTS, ""),
        **dict.fromkeys(_LISTS, ""),
        "action": "pin",
        "about": "items",
        "position": "1",
        "strength": "2",
        "max_items": "2",
        "per": "brand",
        "priority": "0",
        "time_zone": "UTC",
        "without_interactions": False,
        "placements": [],
        "in_control": True,
        "enabled": True,
        "audience": show_audience(None),
    }


def show_rule(rule: Rule) -> Fields:
    """Write a rule for the inputs."""
    select = rule.select
    fields = blank_rule()
    fields |= {name: "\n".join(getattr(select, name)) for name in _LISTS}
    fields |= show_schedule(rule.starts_at, rule.ends_at, rule.time_zone)
    return fields | {
        "id": rule.id,
        "name": rule.name or "",
        "action": rule.action,
        "about": "banners" if rule.is_about_banners else "items",
        "position": _text(rule.position) or "1",
        "strength": _strength(rule.factor or 2.0),
        "max_items": _text(rule.max_items) or "2",
        "per": rule.per or "brand",
        "price_at_least": _text(select.price_at_least),
        "price_below": _text(select.price_below),
        "new_for_days": _text(select.new_for_days),
        "without_interactions": select.without_interactions,
        "placements": list(rule.placements),
        "variants": ", ".join(rule.variants),
        "in_control": rule.in_control,
        "priority": str(rule.priority),
        "enabled": rule.enabled,
        "audience": show_audience(rule.audience),
    }


def typed_rule(form: Form) -> Fields:
    """Return what was typed, to show it again."""
    audience: AudienceFields = typed_audience(form)
    return {
        **{name: form.text(name) for name in (*_TEXTS, *_LISTS)},
        **{name: form.is_on(name) for name in ("without_interactions", "in_control", "enabled")},
        "placements": form.all("placements"),
        "audience": audience,
    }


def read_rule(form: Form, stored: Rule | None) -> Rule:
    """Make the rule that was typed; what the form does not show stays as it is stored.

    Raises
    ------
    FormError, msgspec.ValidationError
        If a field holds what it cannot hold, or fields contradict each other.
    """
    action = form.text("action")
    kept = {} if stored is None else {"recipes": list(stored.recipes)}
    made: dict[str, Any] = {
        **kept,
        "name": form.optional("name"),
        "action": action,
        "select": _read_selection(form),
        "placements": form.all("placements"),
        "variants": words(form.text("variants")),
        "in_control": form.is_on("in_control"),
        "priority": _whole(form, "priority", "priority") if form.text("priority") else 0,
        "enabled": form.is_on("enabled"),
        "audience": read_audience(form),
        **read_schedule(form),
    }
    if action == "pin":
        made["position"] = _whole(form, "position", "position")
    elif action in ("boost", "bury"):
        made["factor"] = _read_factor(form, stored)
    elif action == "cap":
        made |= {"max_items": _whole(form, "max_items", "how many"), "per": form.text("per")}
    return msgspec.convert(made, Rule)


def is_about_nothing(form: Form) -> bool:
    """Say whether nothing was typed yet of what the rule is about."""
    select = _SELECTS["banners" if form.text("about") == "banners" else "items"]
    return not any(form.text(name) for name in select)


def _read_selection(form: Form) -> dict[str, Any]:
    if form.text("about") == "banners":
        return {"banner_ids": form.lines("banner_ids")}
    select: dict[str, Any] = {
        name: form.lines(name) for name in ("item_ids", "categories", "brands", "attributes")
    }
    for name, label in (("price_at_least", "price from"), ("price_below", "price below")):
        select[name] = form.number(name, label) if form.text(name) else None
    days = _whole(form, "new_for_days", "days") if form.text("new_for_days") else None
    return select | {
        "new_for_days": days,
        "without_interactions": form.is_on("without_interactions"),
    }


def _strength(factor: float) -> str:
    return f"{factor if factor > 1 else 1 / factor:.6g}"


def _read_factor(form: Form, stored: Rule | None) -> float:
    """Read how strongly; what was not changed keeps the digits that the form does not show."""
    action = form.text("action")
    kept = stored.factor if stored is not None and stored.action == action else None
    if kept is not None and form.text("strength") == _strength(kept):
        return kept
    strength = form.number("strength", "strength")
    if strength <= 1:
        raise FormError("strength", "the strength is above 1: 2 counts twice, or half")
    return strength if action == "boost" else round(1 / strength, 9)


def _whole(form: Form, name: str, label: str) -> int:
    typed = form.number(name, label)
    if typed != int(typed):
        raise FormError(name, f"{label}: {typed:g} is not a whole number")
    return int(typed)


def _text(value: float | None) -> str:
    return "" if value is None else exact(value)


def about_in_words(rule: Rule) -> str:
    """Say what a rule is about, in a line."""
    select = rule.select
    parts = []
    if select.item_ids:
        parts.append(_some("item", select.item_ids))
    if select.banner_ids:
        parts.append(_some("banner", select.banner_ids))
    if select.categories:
        parts.append(f"in {' or '.join(select.categories)}")
    if select.brands:
        parts.append(f"of {' or '.join(select.brands)}")
    if select.attributes:
        parts.append(f"with {' or '.join(select.attributes)}")
    if select.price_at_least is not None:
        parts.append(f"from {amount(select.price_at_least)}")
    if select.price_below is not None:
        parts.append(f"below {amount(select.price_below)}")
    if select.new_for_days is not None:
        parts.append(f"new for {plural(select.new_for_days, 'day')}")
    if select.without_interactions:
        parts.append("that nobody has met")
    return ", ".join(parts) or "every item"


def does_in_words(rule: Rule) -> str:
    """Say what a rule does, in a line."""
    match rule.action:
        case "pin":
            return f"Pins to position {rule.position}"
        case "boost":
            return f"Counts {rule.factor or 0:g} times"
        case "bury":
            return f"Counts 1/{1 / (rule.factor or 1):.3g}"
        case "hide":
            return "Hides"
        case "cap":
            return f"At most {rule.max_items} {dict(PER)[rule.per or 'brand']}"


def _some(noun: str, ids: tuple[str, ...]) -> str:
    return f"{noun} {ids[0]}" if len(ids) == 1 else f"{len(ids)} {noun}s"
