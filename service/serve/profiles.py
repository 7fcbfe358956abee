"""The profiles of the shoppers seen last, so that a page view without news costs no scoring."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice

from service.serve.model_segments import KnownBy, user_row
from service.serve.profile import Profile
from service.serve.recent import RecentEvent
from service.serve.remembered import Room
from service.serve.stock import Stock

MAX_PROFILES = 9_000
MAX_SLATE_BYTES = 48_000_000
"""Of the slates that they remember."""
MAX_SEEN_LAST = 3_000
"""Shoppers whose candidates are worked out first under a new model."""


class Profiles:
    """Keeps a profile until its shopper acts, the model changes, or others push it out."""

    def __init__(
        self, max_profiles: int = MAX_PROFILES, max_slate_bytes: int = MAX_SLATE_BYTES
    ) -> None:
        self.max_profiles = max_profiles
        self.max_slate_bytes = max_slate_bytes
        self.room = Room()
        """What the slates take."""
        self._kept: OrderedDict[KnownBy, Profile] = OrderedDict()
        self._last_as: dict[str, KnownBy] = {}
        """Under which keys somebody came last, by either of them."""

    def __len__(self) -> int:
        return len(self._kept)

    def get(
        self,
        stock: Stock,
        user_key: str | None,
        anonymous_key: str | None,
        recent: Sequence[RecentEvent],
    ) -> Profile:
        """Return the profile of a shopper with these newest events."""
        key = (user_key, anonymous_key)
        profile = self._kept.get(key)
        if profile is not None and profile.stock is stock and _is_same(profile.recent, recent):
            self._kept.move_to_end(key)
            return profile
        if profile is None or profile.stock is not stock:
            row = user_row(stock.snapshot.users, user_key, anonymous_key)
        else:
            row = profile.user_row
        if profile is None:
            self._last_as.update((one, key) for one in key if one is not None)
        profile = Profile(stock, row, recent, profile, self.room)
        self._kept[key] = profile
        self._kept.move_to_end(key)
        while len(self._kept) > self.max_profiles or (
            self.room.n_bytes > self.max_slate_bytes and len(self._kept) > 1
        ):
            self._let_go(self._kept.popitem(last=False)[0])
        return profile

    def last_as(self, user_key: str | None, anonymous_key: str | None) -> KnownBy | None:
        """Return the keys under which a shopper came last, if there is a profile of theirs.

        An event often names one of the two by which a page knows them.
        """
        if (user_key, anonymous_key) in self._kept:
            return user_key, anonymous_key
        known_as = user_key or anonymous_key
        return None if known_as is None else self._last_as.get(known_as)

    def has(
        self,
        stock: Stock,
        user_key: str | None,
        anonymous_key: str | None,
        recent: Sequence[RecentEvent],
    ) -> bool:
        """Whether `get` would return what was made before."""
        profile = self._kept.get((user_key, anonymous_key))
        return profile is not None and profile.stock is stock and _is_same(profile.recent, recent)

    def seen_last(self) -> list[KnownBy]:
        """Return the shoppers seen last of whom nothing is newer than the model."""
        return [keys for keys, profile in self._newest() if not profile.recent]

    def _newest(self) -> list[tuple[KnownBy, Profile]]:
        """List the shoppers seen last, the newest first; requests go on meanwhile."""
        while True:
            with suppress(RuntimeError):  # one of them changed the order while it was read
                return list(islice(reversed(self._kept.items()), MAX_SEEN_LAST))

    def forget(self, key: str) -> None:
        """Drop every profile made for a pseudonym."""
        for keys in [keys for keys in list(self._kept) if key in keys]:
            self._kept.pop(keys, None)
            self._let_go(keys)

    def forget_all(self) -> None:
        """Drop every profile."""
        self._kept.clear()
        self._last_as.clear()

    def _let_go(self, keys: KnownBy) -> None:
        for key in keys:
            if key is not None and self._last_as.get(key) == keys:
                del self._last_as[key]


def _is_same(kept: Sequence[RecentEvent], recent: Sequence[RecentEvent]) -> bool:
    return kept is recent or kept == recent
