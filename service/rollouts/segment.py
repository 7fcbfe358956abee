"""Segments that an audience may ask about: uploaded lists of units, and intents by name.

A list is an ascending array of 64-bit numbers, the first half of each pseudonym: 8 MB a million,
mapped into memory once for all workers. Two units share a number once in 10^13 for a million.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from service.rollouts.bucketing import UnitKind
from service.rollouts.conditions import Condition, check_audience
from service.rollouts.fields import Revision

NUMBER_DIGITS = 16
"""Hexadecimal digits of a pseudonym that are kept."""

Intent = Literal["arriving", "browsing", "focused", "buying"]
"""What a visitor is here for at this moment; `service.serve.intent` tells it from their events."""
INTENT_PREFIX = "intent:"
INTENT_SEGMENTS = tuple(f"{INTENT_PREFIX}{intent}" for intent in get_args(Intent))


class Segment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An uploaded list of units, kept as pseudonyms beside the database; or a rule with a name."""

    key: Annotated[str, Meta(description="set from the path")] = ""
    unit: Annotated[UnitKind | None, Meta(description="which ids are on the list")] = None
    n_members: Annotated[int, Meta(ge=0)] = 0
    content: Annotated[
        Annotated[str, Meta(pattern="^[0-9a-f]{32}$")] | None,
        Meta(description="hash of the list; names its file"),
    ] = None
    rule: Annotated[
        Condition | None, Meta(description="instead of a list: who is in, asked at each request")
    ] = None
    revision: Revision = 0

    def __post_init__(self) -> None:
        is_list = self.unit is not None and self.content is not None
        if is_list == (self.rule is not None):
            raise ValueError("a segment is either an uploaded list or a rule; give one of the two")
        if self.rule is not None:
            check_audience(self.rule)


def number_of(pseudonym: str) -> int:
    """Return the number that stands on a list for a pseudonym."""
    return int(pseudonym[:NUMBER_DIGITS], 16)


class MemberList:
    """A list ready for look-ups."""

    def __init__(self, unit: UnitKind, numbers: memoryview) -> None:
        self._is_of_users = unit == "user_id"
        self._numbers = numbers
        self._n = len(numbers)

    def __len__(self) -> int:
        return self._n

    def has(self, user_key: str | None, anonymous_key: str | None) -> bool:
        """Say whether the user or the visitor, by the kind of id that the list holds, is on it."""
        key = user_key if self._is_of_users else anonymous_key
        if key is None:
            return False
        number = number_of(key)
        place = bisect_left(self._numbers, number)
        return place < self._n and self._numbers[place] == number
