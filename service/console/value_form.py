"""Values of a flag as fields of a form: yes or no, text, numbers and JSON, by the declared type."""

from __future__ import annotations

from typing import Any, cast, get_args

import msgspec
from msgspec import UNSET

from service.console.form import FormError, plain_number, read_json
from service.rollouts.values import ValueType, typed_value

VALUE_TYPES: tuple[tuple[str, str], ...] = (
    ("", "nothing: it steers a placement, or code asks for the variant"),
    ("boolean", "yes or no"),
    ("string", "a text"),
    ("integer", "a whole number"),
    ("float", "a number"),
    ("object", "JSON, for developers"),
)
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def value_text(value: Any) -> str:
    """Write a value as its field holds it; nothing where there is none."""
    if value is UNSET:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return msgspec.json.format(msgspec.json.encode(value)).decode()
    return msgspec.json.encode(value).decode()


def read_type(typed: str) -> ValueType | None:
    """Read which type was chosen; `FormError` if it is none."""
    if not typed:
        return None
    if typed not in get_args(ValueType):
        raise FormError("value_type", f"{typed!r} is no type of values")
    return cast("ValueType", typed)


def read_value(typed: str, value_type: ValueType, field: str, before: Any = UNSET) -> Any:
    """Read what was typed as a value of a type.

    `before` is what stood there: where the text says the same, it is kept to the letter.

    Raises
    ------
    FormError
        Under the name of the field, if it is no such value.
    """
    if before is not UNSET and typed == value_text(before).strip().replace("\r\n", "\n"):
        value = before
    elif value_type == "string":
        value = typed
    elif value_type == "object":
        value = read_json(typed, field)
    elif value_type == "boolean":
        value = _WORDS.get(typed.lower(), typed)
    else:
        value = _number(typed, value_type)
    try:
        return typed_value("this", value, value_type)
    except ValueError:
        raise FormError(field, _WANTED[value_type].format(typed[:40] or "nothing")) from None


_WANTED: dict[ValueType, str] = {
    "boolean": "{!r} is neither yes nor no; choose one",
    "string": "{!r} is too long; a text has at most 65,536 bytes",
    "integer": "{!r} is no whole number that every client can hold; write it as 12",
    "float": "{!r} is no number; write it as 12.5",
    "object": "{!r} is no JSON object; it begins with {{ and ends with }}",
}


def _number(typed: str, value_type: ValueType) -> Any:
    try:
        plain = plain_number(typed)
        return int(plain) if value_type == "integer" else float(plain)
    except ValueError:
        return typed
