"""Times as people write them, ``2026-11-27T09:00``, where msgspec asks for the seconds too.

The decoder says at which place it met a time that it does not take; only what stands there is
looked at again, so a text that merely looks like a time stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from service.rollouts.json_place import find_place, split_message

T = TypeVar("T")

TIME_RULE = "Invalid RFC3339 encoded datetime"
"""What msgspec says of a text that is no time to it."""
SAID = (
    "is no date and time; write for example 2026-11-27T09:00+04:00, or 2026-11-27T09:00 beside a "
    "`time_zone`"
)
MAX_TIMES = 100
"""Of one value that lack seconds: for each of them all of it is decoded once more."""
_TO_THE_MINUTE = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d)((?:[Zz]|[+-]\d\d:\d\d)?)")


def convert(value: Any, target: type[T]) -> T:
    """Do what `msgspec.convert` does, and take times without seconds.

    Raises
    ------
    msgspec.ValidationError
        As `msgspec.convert` does.
    """
    return with_seconds(value, lambda whole: msgspec.convert(whole, target))


def with_seconds(value: Any, decode: Callable[[Any], T]) -> T:
    """Decode a JSON value, again for each time in it that lacks seconds.

    `value` itself is changed.

    Raises
    ------
    msgspec.ValidationError
        What `decode` raises of anything else, and of more than `MAX_TIMES` such times.
    """
    for _ in range(MAX_TIMES):
        try:
            return decode(value)
        except msgspec.ValidationError as error:
            if not _add_seconds(value, str(error)):
                raise
    try:
        return decode(value)
    except msgspec.ValidationError as error:
        if split_message(str(error))[0] != TIME_RULE:
            raise
        raise msgspec.ValidationError(
            f"more than {MAX_TIMES} times lack seconds; write them as 2026-11-27T09:00:00+04:00"
        ) from error


def _add_seconds(value: Any, message: str) -> bool:
    """Write seconds into the time that a message is about; say whether that helped."""
    rule, path = split_message(message)
    place = find_place(value, path) if rule == TIME_RULE else None
    if place is None:
        return False
    holder, step = place
    written = holder[step]
    found = _TO_THE_MINUTE.fullmatch(written) if isinstance(written, str) else None
    if found is None:
        return False
    holder[step] = f"{found[1]}:00{found[2]}"
    return True
