"""The profiles of the shoppers seen last, so that a page view without news costs no scoring."""

from __future__ import annotations

from collections import OrderedDict

from service.serve.model_segments import user_row
from service.serve.profile import Profile
from service.serve.recent import RecentEvent
from service.serve.stock import Stock

MAX_PROFILES = 10_000


class Profiles:
    """Keeps a profile until its shopper acts, the model changes, or others push it out."""

    def __init__(self, max_profiles: int = MAX_PROFILES) -> None:
        self.max_profiles = max_profiles
        self._kept: OrderedDict[tuple[str | None, str | None], Profile] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(
        self,
        stock: Stock,
        user_key: str | None,
        anonymous_key: str | None,
        recent: tuple[RecentEvent, ...],
    ) -> Profile:
        """Return the profile of a shopper with these newest events."""
        key = (user_key, anonymous_key)
        profile = self._kept.get(key)
        if profile is not None and profile.stock is stock and _is_same(profile.recent, recent):
            self._kept.move_to_end(key)
            return profile
        row = user_row(stock.snapshot.users, user_key, anonymous_key)
        profile = self._kept[key] = Profile(stock, row, recent)
        self._kept.move_to_end(key)
        if len(self._kept) > self.max_profiles:
            self._kept.popitem(last=False)
        return profile

    def forget(self, key: str) -> None:
        """Drop every profile made for a pseudonym."""
        for keys in [keys for keys in self._kept if key in keys]:
            del self._kept[keys]

    def forget_all(self) -> None:
        """Drop every profile."""
        self._kept.clear()


def _is_same(kept: tuple[RecentEvent, ...], recent: tuple[RecentEvent, ...]) -> bool:
    return kept is recent or kept == recent
