"""Frequency caps: which banners a unit has seen so often that they rest for it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from service.exposure import Exposure


class Cap(NamedTuple):
    """At most so many views in so long."""

    max_views: int
    window_ms: int


class ViewSource(Protocol):
    """Who saw which banner when."""

    async def views(
        self, unit_keys: Iterable[str], now_ms: int, timeout_s: float
    ) -> list[tuple[str, int]] | None:
        """Return (banner, ms) of what the units were shown; nothing if it is not had in time."""
        ...

    def add(self, exposures: list[Exposure]) -> None:
        """Count what is being shown."""
        ...


def resting_banners(
    caps: Mapping[str, Cap], views: Iterable[tuple[str, int]] | None, now_ms: int
) -> frozenset[str]:
    """List the banners that are at their cap; where the views are not known, all that have one."""
    if views is None:
        return frozenset(caps)
    counts = Counter(
        banner_id
        for banner_id, at_ms in views
        if banner_id in caps and at_ms > now_ms - caps[banner_id].window_ms
    )
    return frozenset(one for one, n in counts.items() if n >= caps[one].max_views)
