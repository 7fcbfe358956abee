"""Slates that come out the same again, so that they are worked out once.

What a shopper sees in a placement depends on the shelf, the profile, the country, the rules that
act and the length asked for, unless the page bars something, is about items, explores or explains;
of banners also on which of them are in season. A profile lives until its shopper acts; everybody
whom nothing is known of shares what the shelf remembers.

What is asked for again and again has the JSON with it that becomes of it, in the answer and in the
log, for most of the encoding of a page is its twelve items. It takes some 4 KB, so the last
`MAX_TEXTS` have it.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Generic, TypeVar, cast

import msgspec
from msgspec.structs import replace

from service.exposure import Shown, Tier
from service.rollouts.definition import Recipe
from service.serve.page import Degraded, RuleNote, ServedBanner, ServedItem

MAX_SHARED = 10_000
"""Slates that a shelf remembers; countries come from outside and have no end."""
MAX_OWN = 20
"""Slates that a profile remembers."""
TEXT_FROM = 3
"""The how many-th time that a slate is asked for it is made text, too."""
MAX_TEXTS = 5_000
"""Of a process."""


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
    text: Text | None = None
    n_asked: int = 1


class Text(msgspec.Struct, gc=False):
    """A filled placement as text, until there are too many of them."""

    filled: Filled[Any] | None
    """Its `served` and `shown` are `msgspec.Raw`: to be encoded, and nothing else."""


Key = tuple[str, Recipe, int, str | None, int, int]
"""Placement, recipe, length, country, rules and season; a placement has slates of one kind."""


class RememberedSlates:
    """A bounded memory of one shopper, or of a shelf; a full one is emptied."""

    __slots__ = ("_filled", "_max")

    def __init__(self, max_filled: int) -> None:
        self._filled: dict[Key, Filled[Any]] = {}
        self._max = max_filled

    def get(self, key: Key, *, as_text: bool = False) -> Filled[Any] | None:
        """Return what was worked out before; maybe as text for who only encodes it."""
        filled = self._filled.get(key)
        if filled is None or not as_text:
            return filled
        if filled.text is not None and filled.text.filled is not None:
            return filled.text.filled
        filled.n_asked += 1
        if filled.n_asked < TEXT_FROM:
            return filled
        return _texts.make(filled)

    def keep(self, key: Key, filled: Filled[Any]) -> None:
        """Remember a slate."""
        if len(self._filled) >= self._max:
            self._filled.clear()
        self._filled[key] = filled


class Texts:
    """The newest texts; of a slate that is forgotten, too, until others take its place."""

    def __init__(self, max_texts: int = MAX_TEXTS) -> None:
        self._kept: deque[Text] = deque()
        self._max = max_texts

    def make(self, filled: Filled[Served]) -> Filled[Served]:
        """Encode what stands there, once for all who will get it."""
        if len(self._kept) >= self._max:
            self._kept.popleft().filled = None
        served = cast("tuple[Served, ...]", msgspec.Raw(_encode(filled.served)))
        shown = cast("tuple[Shown, ...]", msgspec.Raw(_encode(filled.shown)))
        as_text = replace(filled, served=served, shown=shown, text=None)
        filled.text = Text(as_text)
        self._kept.append(filled.text)
        return as_text


_texts = Texts()
