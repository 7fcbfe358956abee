"""Counts the hot route for Prometheus: added up here, handed over in bulk.

Observing one value in the library costs as much as ranking a banner. A tally is used in the event
loop only; `flush` runs there too, ten times a second and before /metrics is written.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from prometheus_client import Counter, Histogram

FLUSH_S = 0.1

K = TypeVar("K", bound=Hashable)


class HistogramTally:
    """Values of one series of a histogram."""

    __slots__ = ("_bounds", "_counts", "_series", "_sum")

    def __init__(self, series: Histogram, bounds: Sequence[float]) -> None:
        self._series = series
        self._bounds = list(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def flush(self) -> None:
        """Hand over what was counted; the library has no call for many values at once."""
        for place, n in enumerate(self._counts):
            if n:
                self._series._buckets[place].inc(n)
                self._counts[place] = 0
        if self._sum:
            self._series._sum.inc(self._sum)
            self._sum = 0.0


class CounterTally(Generic[K]):
    """Counts by key; `series_of` names the series of a key."""

    def __init__(self, series_of: Callable[[K], Counter]) -> None:
        self._series_of = series_of
        self._series: dict[K, Counter] = {}
        self._counts: dict[K, int] = {}

    def count(self, key: K, n: int = 1) -> None:
        """Count one, or several."""
        self._counts[key] = self._counts.get(key, 0) + n

    def flush(self) -> None:
        """Hand over what was counted."""
        for key, n in self._counts.items():
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = self._series_of(key)
            series.inc(n)
        self._counts.clear()
