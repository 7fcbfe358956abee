"""Values of a flag: JSON of a declared type, checked when written so that every answer fits it."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

ValueType = Literal["boolean", "string", "integer", "float", "object"]

MAX_VALUE_BYTES = 65_536
MAX_INTEGER = 2**53 - 1
"""Beyond it a JavaScript client would round."""

_TYPES: dict[ValueType, tuple[type, ...]] = {
    "boolean": (bool,),
    "string": (str,),
    "integer": (int,),
    "float": (float, int),
    "object": (dict,),
}


def typed_value(name: str, value: Any, value_type: ValueType) -> Any:
    """Return a value as its type is written; a whole number declared float becomes a float.

    Raises
    ------
    ValueError
        If it is of another type, too long, or beyond what every client can hold exactly.
    """
    if type(value) not in _TYPES[value_type]:
        shown = msgspec.json.encode(value).decode()[:60]
        raise ValueError(f"{name} is {shown}, which is no {value_type}; send one")
    if value_type == "integer" and abs(value) > MAX_INTEGER:
        raise ValueError(f"{name} is {value}; an integer lies within ±{MAX_INTEGER}; send a string")
    if value_type == "float":
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            raise ValueError(f"{name} is no finite number; send one within ±1.7e308")
    if len(msgspec.json.encode(value)) > MAX_VALUE_BYTES:
        raise ValueError(f"{name} has more than {MAX_VALUE_BYTES} bytes as JSON; send a reference")
    return value
