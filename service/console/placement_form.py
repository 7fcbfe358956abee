"""A placement as fields of a form, and back."""

from __future__ import annotations

from typing import Any

import msgspec

from service.console.form import Form, FormError, read_json
from service.control.documents import Placement

RECIPES = {
    "items": (
        ("for_you", "For you: what the shopper's newest items speak for"),
        ("similar_items", "Similar items: alike to the items of the page"),
        ("bought_together", "Bought together with the items of the page or basket"),
        ("trending", "Trending in the country, then everywhere"),
        ("recently_viewed", "Recently viewed by the shopper"),
        ("static", "Your list, as written"),
    ),
    "banners": (
        ("banner_for_you", "The banners that fit the shopper"),
        ("static", "Your list, as written"),
    ),
}
_TEXTS = (
    *("id", "name", "kind", "count", "recipe", "rollout", "explore_percent"),
    *("max_per_brand", "max_per_category", "static_ids", "find", "recipes_json"),
)
_TICKS = ("only_available", "exclude_purchased", "show_because", "enabled")

Fields = dict[str, Any]


def blank_placement() -> Fields:
    """Return the fields of a placement that is yet to be made."""
    return {
        **dict.fromkeys(_TEXTS, ""),
        **dict.fromkeys(_TICKS, True),
        "kind": "items",
        "recipe": "for_you",
        "explore_percent": "0",
    }


def show_placement(placement: Placement) -> Fields:
    """Write a placement for the inputs."""
    return {
        "id": placement.id,
        "name": placement.name or "",
        "kind": placement.kind,
        "count": _text(placement.count),
        "recipe": placement.main_recipe,
        "rollout": placement.rollout or "",
        "explore_percent": f"{placement.explore_share * 100:.6g}",
        "max_per_brand": _text(placement.max_per_brand),
        "max_per_category": _text(placement.max_per_category),
        "static_ids": "\n".join(placement.static_ids),
        "find": "",
        "recipes_json": _show_recipes(placement),
        **{name: getattr(placement, name) for name in _TICKS},
    }


def typed_placement(form: Form) -> Fields:
    """Return what was typed, to show it again."""
    return {
        **{name: form.text(name) for name in _TEXTS},
        **{name: form.is_on(name) for name in _TICKS},
        "recipe": _typed_recipe(form),
    }


def read_placement(form: Form) -> Placement:
    """Make the placement that was typed.

    Raises
    ------
    FormError, msgspec.ValidationError
        If a field holds what it cannot hold, or fields contradict each other.
    """
    percent = form.number("explore_percent", "share for chance")
    if not 0 <= percent <= 50:
        raise FormError("explore_percent", f"{percent:g} % is not between 0 and 50 %")
    made: dict[str, Any] = {
        "kind": form.text("kind"),
        "name": form.optional("name"),
        "count": _count(form, "count", "how many"),
        "recipe": _typed_recipe(form),
        "recipes": _read_recipes(form),
        "rollout": form.optional("rollout"),
        "explore_share": round(percent / 100, 6),
        "max_per_brand": _count(form, "max_per_brand", "of a brand"),
        "max_per_category": _count(form, "max_per_category", "of a category"),
        "static_ids": form.lines("static_ids"),
        **{name: form.is_on(name) for name in _TICKS},
    }
    return msgspec.convert(made, Placement)


def _typed_recipe(form: Form) -> str:
    """Return the recipe of the kind that was chosen: both kinds' lists stand in one form."""
    if form.text("kind") == "banners":
        return form.text("recipe_banners") or "banner_for_you"
    return form.text("recipe") or "for_you"


def _show_recipes(placement: Placement) -> str:
    if not placement.recipes:
        return ""
    return msgspec.json.format(msgspec.json.encode(placement.recipes), indent=2).decode()


def _read_recipes(form: Form) -> Any:
    text = form.text("recipes_json")
    return read_json(text, "recipes_json") if text else ()


def _count(form: Form, name: str, label: str) -> int | None:
    if not form.text(name):
        return None
    number = form.number(name, label)
    if number != int(number):
        raise FormError(name, f"{label}: {number:g} is not a whole number")
    return int(number)


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
