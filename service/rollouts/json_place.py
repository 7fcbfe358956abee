"""Places in a JSON value as msgspec names them in its messages: ``$.audience.all[0].at``."""

from __future__ import annotations

import re
from typing import Any

_PLACE = re.compile(r" - at `(?P<path>[^`]*)`$")
_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>\d+)\]")


def split_message(message: str) -> tuple[str, str]:
    """Part a message of msgspec into the rule and the place, `$` if it names none."""
    place = _PLACE.search(message)
    return (message[: place.start()], place["path"]) if place else (message, "$")


def find_place(value: Any, path: str) -> tuple[Any, str | int] | None:
    """Return the object or array that holds a place, and the step into it.

    Nothing for the whole value, for a path that does not tell all steps (`$[...]` stands for any
    key), and for one that leads nowhere.
    """
    found = list(_STEP.finditer(path))
    if not found or "$" + "".join(step[0] for step in found) != path:
        return None
    steps = [step["name"] if step["name"] is not None else int(step["index"]) for step in found]
    try:
        for step in steps[:-1]:
            value = value[step]
        value[steps[-1]]
    except (KeyError, IndexError, TypeError):
        return None
    return value, steps[-1]
