"""What is wrong with a form, sorted by field, so that it stands beside what was typed."""

from __future__ import annotations

import re

import msgspec

from models.errors import EndcapError
from service.console.form import FormError
from service.control.precondition import RevisionError
from service.problems import BodyError

GENERAL = ""
"""The name under which an error stands that belongs to no field."""
_FIELD = re.compile(r"\$\.([A-Za-z_]\w*)")
_PLACE = re.compile(r"^(.*?) - at `(\$[^`]*)`")
REFUSALS = (EndcapError, msgspec.ValidationError)
"""What `errors_of` can say beside a form."""


def errors_of(error: Exception) -> dict[str, str]:
    """Sort what is wrong by field; what belongs to none stands under `GENERAL`.

    A field is named as in the document, so a form names its inputs so too.
    """
    if isinstance(error, FormError):
        return {error.field: error.message}
    if isinstance(error, BodyError) and error.errors:
        return {_field_of(one.path): one.message for one in error.errors}
    if isinstance(error, msgspec.ValidationError):
        place = _PLACE.match(str(error))
        return {_field_of(place[2]): place[1]} if place else {GENERAL: str(error)}
    if isinstance(error, RevisionError):
        return {GENERAL: "someone else has changed it meanwhile"}
    if isinstance(error, EndcapError):
        return {GENERAL: error.message}
    raise error


def _field_of(path: str) -> str:
    found = _FIELD.match(path)
    return found[1] if found else GENERAL
