"""The profiles of the shoppers seen last, so that a page view without news costs no scoring."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

from models.snapshot import Snapshot
from models.vocabulary import MISSING_ROW
from service.serve.model_segments import user_row
from service.serve.profile import Profile
from service.serve.recent import RecentEvent
from service.serve.stock import Stock

MAX_PROFILES = 10_000
MAX_RENEWED = 3_000
"""Shoppers whose candidates are worked out under a new model before it answers."""
RENEWING_S = 2.0
"""And how long that may take."""
BREATH_S = 0.002
"""Between two of them: a request takes the interpreter lock several times, and may have to wait for
the end of a scoring each time."""
WAIT_S = 0.02
"""Between two looks at what another process works out."""


class Profiles:
    """Keeps a profile until its shopper acts, the model changes, or others push it out."""

    def __init__(self, max_profiles: int = MAX_PROFILES) -> None:
        self.max_profiles = max_profiles
        self._kept: OrderedDict[tuple[str | None, str | None], Profile] = OrderedDict()
        self._renewed: dict[tuple[str | None, str | None], Profile] = {}

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
        renewed = self._renewed.pop(key, None) if self._renewed else None
        if renewed is not None and renewed.stock is stock and _is_same(renewed.recent, recent):
            profile = renewed
        else:
            if profile is None or profile.stock is not stock:
                row = user_row(stock.snapshot.users, user_key, anonymous_key)
            else:
                row = profile.user_row
            profile = Profile(stock, row, recent)
        self._kept[key] = profile
        self._kept.move_to_end(key)
        if len(self._kept) > self.max_profiles:
            self._kept.popitem(last=False)
        return profile

    def rows_seen_last(self, snapshot: Snapshot) -> list[int]:
        """Return the rows of the shoppers seen last that a snapshot knows all of."""
        newest = self._newest()
        rows = (user_row(snapshot.users, *key) for key, profile in newest if not profile.recent)
        return [row for row in rows if row != MISSING_ROW]

    def renew(
        self,
        stock: Stock,
        *,
        pause: Callable[[float], None] = time.sleep,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Work out, in another thread, what the shoppers seen last need under a new model.

        Else each of their next pages costs a scoring, all at the moment of the swap. Those of whom
        nothing is new are waited for, where a process works them out ahead.
        """
        end_s = monotonic_s() + RENEWING_S
        self._renewed.clear()
        newest = self._newest()
        for key, profile in newest:
            if stock.ready is not None and not profile.recent:
                continue
            if monotonic_s() > end_s:
                return
            row = user_row(stock.snapshot.users, *key)
            renewed = Profile(stock, row, profile.recent)
            if renewed.speaks:
                renewed.prepare()
            self._renewed[key] = renewed
            pause(BREATH_S)
        if stock.ready is not None:
            rows = self.rows_seen_last(stock.snapshot)
            while not stock.ready.has(rows) and monotonic_s() < end_s:
                pause(WAIT_S)

    def _newest(self) -> list[tuple[tuple[str | None, str | None], Profile]]:
        """List the shoppers seen last, the newest first; requests go on meanwhile."""
        while True:
            with suppress(RuntimeError):  # one of them changed the order while it was read
                return list(islice(reversed(self._kept.items()), MAX_RENEWED))

    def forget(self, key: str) -> None:
        """Drop every profile made for a pseudonym."""
        for profiles in (self._kept, self._renewed):
            for keys in [keys for keys in list(profiles) if key in keys]:
                profiles.pop(keys, None)

    def forget_all(self) -> None:
        """Drop every profile."""
        self._kept.clear()
        self._renewed.clear()


def _is_same(kept: tuple[RecentEvent, ...], recent: tuple[RecentEvent, ...]) -> bool:
    return kept is recent or kept == recent
