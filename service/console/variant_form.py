"""The variants of a rollout as rows of a form: name, weight, and what each gets or answers."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import msgspec
from msgspec import UNSET

from service.console.form import Form, FormError, words
from service.console.value_form import read_type, read_value
from service.rollouts.definition import Rollout

COLUMNS = ("variant_key", "variant_weight", "variant_recipe", "variant_value", "variant_banners")


def read_variants(form: Form, base: Rollout) -> list[dict[str, Any]]:
    """Read the rows that have a name; a variant keeps what the form does not show.

    Raises
    ------
    FormError
        If a weight is none, or under ``variant_value_N`` if row N holds no value of the type.
    """
    known = {one.key: one for one in base.variants}
    value_type = read_type(form.text("value_type"))
    has_banners = "variant_banners" in form.fields
    found = []
    rows = zip_longest(*(form.all(name) for name in COLUMNS), fillvalue="")
    for place, (key, weight, recipe, value, banners) in enumerate(rows, start=1):
        if not key:
            continue
        if not (weight or "1").isdigit():
            raise FormError(
                "variants", f"the weight of {key!r} is {weight!r}; write a whole number"
            )
        before = known.get(key)
        variant = {} if before is None else msgspec.to_builtins(before)
        variant |= {"key": key, "weight": int(weight or 1), "recipe": recipe or None}
        if has_banners and words(banners) != list(variant.get("banner_ids", ())):
            variant["banner_ids"] = words(banners)
        variant.pop("value", None)
        if value_type is not None:
            is_same = before is not None and value_type == base.value_type
            kept = before.value if before is not None and is_same else UNSET
            variant["value"] = read_value(value, value_type, f"variant_value_{place}", kept)
        found.append(variant)
    return found
