"""Counts the hot route for Prometheus: added up here, handed over in bulk.

Observing one value in the library costs as much as ranking a banner. A tally is used in the event
loop only; `flush` runs there too, ten times a second and before /metrics is written.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter, Histogram

FLUSH_S = 0.1

K = TypeVar("K", bound=Hashable)


class HistogramTally:
    """Values of one series of a histogram, which wait as they came until all are sorted at once."""

    __slots__ = ("_bounds", "_series", "_values", "observe")

    def __init__(self, series: Histogram, bounds: Sequence[float]) -> None:
        self._series = series
        self._bounds = np.array(bounds)
        self._values: list[float] = []
        self.observe: Callable[[float], None] = self._values.append
        """Count one value."""

    def observe_all(self, values: NDArray[np.float64]) -> None:
        """Count several values, and hand them over; the library has no call for that."""
        counts = np.bincount(np.searchsorted(self._bounds, values))
        for place, n in enumerate(counts.tolist()):
            if n:
                self._series._buckets[place].inc(n)
        self._series._sum.inc(float(values.sum()))

    def flush(self) -> None:
        """Hand over what was counted."""
        if self._values:
            self.observe_all(np.array(self._values))
            self._values.clear()


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
