"""Slates that come out the same again, so that they are worked out once.

What a shopper sees in a placement depends on the shelf, the profile, the country, the rules that
act and the length asked for, unless the page bars something, is about items, explores or explains;
of banners also on which of them are in season. A profile lives until its shopper acts; everybody
whom nothing is known of shares what the shelf remembers.

What is asked for again and again is kept as the JSON that becomes of it, in the answer and in the
log: to encode twelve items takes 16 µs, more than all else that is done for them then. It is half
as large again, so those who come only twice keep what they have.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar, cast

import msgspec

from service.exposure import Shown, Tier
from service.rollouts.definition import Recipe
from service.serve.page import Degraded, RuleNote, ServedBanner, ServedItem

MAX_SHARED = 10_000
"""Slates that a shelf remembers; countries come from outside and have no end."""
MAX_OWN = 20
"""Slates that a profile remembers."""
TEXT_FROM = 3
"""The how many-th time that a slate is asked for it becomes text."""


Served = TypeVar("Served", ServedItem, ServedBanner)


_encode = msgspec.json.Encoder().encode


class Filled(msgspec.Struct, Generic[Served], gc=False):
    """A filled placement, but for the ids of the request."""

    served: tuple[Served, ...]
    shown: tuple[Shown, ...]
    ids: tuple[str, ...]
    """Of what is shown."""
    tier: Tier
    degraded: Degraded | None
    rules: tuple[RuleNote, ...] | msgspec.UnsetType = msgspec.UNSET
    is_text: bool = False
    """Whether `served` and `shown` are `msgspec.Raw`: good for being encoded, and nothing else."""
    n_asked: int = 1


Key = tuple[str, Recipe, int, str | None, int, int]
"""Placement, recipe, length, country, rules and season; a placement has slates of one kind."""


class RememberedSlates:
    """A bounded memory of one shopper, or of a shelf; a full one is emptied."""

    __slots__ = ("_filled", "_max")

    def __init__(self, max_filled: int) -> None:
        self._filled: dict[Key, Filled[Any]] = {}
        self._max = max_filled

    def get(self, key: Key, *, as_text: bool = False) -> Filled[Any] | None:
        """Return what was worked out before; as text for who only encodes it, and else never."""
        filled = self._filled.get(key)
        if filled is None or filled.is_text == as_text:
            return filled
        if not as_text:
            return None
        filled.n_asked += 1
        if filled.n_asked >= TEXT_FROM:
            _make_text(filled)
        return filled

    def keep(self, key: Key, filled: Filled[Any]) -> None:
        """Remember a slate."""
        if len(self._filled) >= self._max:
            self._filled.clear()
        self._filled[key] = filled


def _make_text(filled: Filled[Any]) -> None:
    """Encode what stands there, once for all who will get it."""
    filled.served = cast("tuple[Any, ...]", msgspec.Raw(_encode(filled.served)))
    filled.shown = cast("tuple[Shown, ...]", msgspec.Raw(_encode(filled.shown)))
    filled.is_text = True
