"""The profiles of the shoppers seen last, so that a page view without news costs no scoring."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice

from service.serve.model_segments import KnownBy, user_row
from service.serve.profile import Profile
from service.serve.recent import RecentEvent
from service.serve.stock import Stock

MAX_PROFILES = 10_000
MAX_SEEN_LAST = 3_000
"""Shoppers whose candidates are worked out first under a new model."""


class Profiles:
    """Keeps a profile until its shopper acts, the model changes, or others push it out."""

    def __init__(self, max_profiles: int = MAX_PROFILES) -> None:
        self.max_profiles = max_profiles
        self._kept: OrderedDict[KnownBy, Profile] = OrderedDict()

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
        profile = Profile(stock, row, recent, profile)
        self._kept[key] = profile
        self._kept.move_to_end(key)
        if len(self._kept) > self.max_profiles:
            self._kept.popitem(last=False)
        return profile

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

    def forget_all(self) -> None:
        """Drop every profile."""
        self._kept.clear()


def _is_same(kept: Sequence[RecentEvent], recent: Sequence[RecentEvent]) -> bool:
    return kept is recent or kept == recent
