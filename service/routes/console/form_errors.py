"""What is wrong with a form, sorted by field, so that it stands beside what was typed."""

from __future__ import annotations

import re

import msgspec

from models.errors import EndcapError
from service.console.form import Form, FormError
from service.console.next_steps import for_the_console
from service.console.plain_words import in_plain_words
from service.control.precondition import RevisionError
from service.middleware.problems import BodyError
from service.rollouts.json_place import split_message

GENERAL = ""
"""The name under which an error stands that belongs to no field."""
_FIELD = re.compile(r"[A-Za-z_]\w*")
_INPUTS = {
    "cap": "cap_views",
    "cap.max_views": "cap_views",
    "cap.hours": "cap_hours",
    "explore_share": "explore_percent",
    "factor": "strength",
    "recipes": "recipes_json",
}
"""Inputs that are not named as the place in the document."""
_BEGINNINGS = frozenset(
    {
        *("starts_at", "ends_at", "time_zone", "control_value", "price_below", "static_ids"),
        *("item_ids", "banner_ids", "categories", "brands", "attributes"),
    }
)
"""Fields that rules about several fields, or about one as a whole, begin with."""
REFUSALS = (EndcapError, msgspec.ValidationError)
"""What `errors_of` can say beside a form."""


def errors_of(error: Exception, form: Form | None = None) -> dict[str, str]:
    """Sort what is wrong by field; what belongs to none stands under `GENERAL`.

    A field is named as in the document, so a form names its inputs so too, but for `_INPUTS`. With
    the form, a wrong audience stands where it was typed: beside the rows, or beside the JSON.
    """
    errors = _sorted(error)
    if "audience" in errors and form is not None and form.text("audience_json"):
        errors["audience_json"] = errors.pop("audience")
    return errors


def _sorted(error: Exception) -> dict[str, str]:
    if isinstance(error, FormError):
        return {error.field: error.message}
    if isinstance(error, BodyError) and error.errors:
        return dict(_placed(one.path, one.message) for one in error.errors)
    if isinstance(error, msgspec.ValidationError):
        rule, path = split_message(str(error))
        return dict([_placed(path, rule)])
    if isinstance(error, RevisionError):
        return {GENERAL: "someone else has changed it meanwhile"}
    if isinstance(error, EndcapError):
        return {GENERAL: for_the_console(error.message)}
    raise error


def _placed(path: str, rule: str) -> tuple[str, str]:
    """Return the input that a rule stands beside, and the rule in plain words."""
    place = path.removeprefix("$.").removeprefix("select.")
    found = _FIELD.match(place)
    named = _named_in(rule)
    field = _INPUTS.get(place) or (found[0] if found else named)
    if field == "select":  # which is no input: its own rules name one
        field = named or field
    return _INPUTS.get(field, field), in_plain_words(for_the_console(rule))


def _named_in(rule: str) -> str:
    """Return the field that a rule about a whole document begins with, if it is one."""
    if "; say in select" in rule:
        return "select"
    begins = _FIELD.match(rule)
    return begins[0] if begins is not None and begins[0] in _BEGINNINGS else GENERAL
