"""Slates that come out the same again, so that they are worked out once.

What a shopper sees in a placement depends on the shelf, the profile, the country, the rules that
act and the length asked for, unless the page bars something, is about items, explores or explains;
of banners also on which of them are in season. A profile lives until its shopper acts; everybody
whom nothing is known of shares what the shelf remembers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import msgspec

from service.exposure import Shown, Tier
from service.rollouts.definition import Recipe
from service.serve.page import Degraded, RuleNote, ServedBanner, ServedItem
from service.serve.slate_text import SlateText

MAX_SHARED_BYTES = 16_000_000
"""Of the slates that a shelf remembers; countries come from outside and have no end."""
MAX_OWN_BYTES = 200_000
"""Of those that a profile remembers."""
OTHER_BYTES = 500
"""Of a slate of items besides its text, about, and of each banner."""


Served = TypeVar("Served", ServedItem, ServedBanner)


class Filled(msgspec.Struct, Generic[Served], gc=False):
    """A filled placement, but for the ids of the request."""

    served: tuple[Served, ...]
    shown: tuple[Shown, ...]
    """It and `served` may be `msgspec.Raw`, if it was asked for as text: to be encoded alone."""
    ids: tuple[str, ...]
    """Of what is shown."""
    tier: Tier
    degraded: Degraded | None
    rules: tuple[RuleNote, ...] | msgspec.UnsetType = msgspec.UNSET


class FilledText(msgspec.Struct, frozen=True, gc=False):
    """A filled placement of items, as it is remembered."""

    text: SlateText
    ids: tuple[str, ...]
    tier: Tier
    degraded: Degraded | None

    def filled(self, *, as_text: bool) -> Filled[ServedItem]:
        """Give it as structs, or as text to who only encodes it."""
        served, shown = self.text.read() if not as_text else self._raw()
        return Filled(served, shown, self.ids, self.tier, self.degraded)

    def _raw(self) -> tuple[tuple[ServedItem, ...], tuple[Shown, ...]]:
        text = self.text
        return cast("tuple[ServedItem, ...]", text.served), cast("tuple[Shown, ...]", text.shown)


Key = tuple[str, Recipe, int, str | None, int, int]
"""Placement, recipe, length, country, rules and season; a placement has slates of one kind."""

Kept = FilledText | Filled[ServedBanner]


@dataclass(slots=True)
class Room:
    """How much memory slates take that are somewhere remembered."""

    n_bytes: int = 0


class RememberedSlates:
    """A bounded memory of one shopper, or of a shelf; a full one is emptied."""

    __slots__ = ("_kept", "_max_bytes", "_n_bytes", "_room")

    def __init__(self, max_bytes: int, room: Room | None = None) -> None:
        """Count what is remembered in `room`, too, for as long as it is."""
        self._kept: dict[Key, Kept] = {}
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._room = room

    def get(self, key: Key) -> Kept | None:
        """Return what was worked out before."""
        return self._kept.get(key)

    def keep(self, key: Key, kept: Kept) -> None:
        """Remember a slate."""
        if isinstance(kept, FilledText):
            n_bytes = OTHER_BYTES + kept.text.n_bytes
        else:
            n_bytes = OTHER_BYTES * (1 + len(kept.ids))
        if self._n_bytes + n_bytes > self._max_bytes:
            self._kept.clear()
            self._count(-self._n_bytes)
        self._kept[key] = kept
        self._count(n_bytes)

    def __del__(self) -> None:
        """Take no room any more."""
        self._count(-self._n_bytes)

    def _count(self, n_bytes: int) -> None:
        self._n_bytes += n_bytes
        if self._room is not None:
            self._room.n_bytes += n_bytes
