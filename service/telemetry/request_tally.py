"""How quick and how right this worker's answers were lately, for guardrails on the whole service.

Fixed buckets, so that the counts of all workers add up. Prometheus' own are four times wider.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

BOUNDS_MS = (
    *(1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.3, 8.0),
    *(10.0, 12.5, 16.0, 20.0, 25.0, 32.0, 40.0, 50.0, 63.0, 80.0),
    *(100.0, 125.0, 160.0, 200.0, 250.0, 320.0, 400.0, 500.0, 630.0, 800.0),
    *(1_000.0, 1_250.0, 1_600.0, 2_000.0, 2_500.0, 3_200.0, 4_000.0, 5_000.0),
)
"""Upper bounds of the buckets but the last, each about a quarter above the one before."""

SERVE_ROUTES = frozenset(
    {
        ("POST", "/v1/serve"),
        ("GET", "/v1/placements/{placement_id}"),
    }
)
"""Methods and templates of the routes that fill slots: the others say nothing about a visitor."""

_BOUNDS_S = [bound / 1_000 for bound in BOUNDS_MS]
_SERVER_ERROR = 500
_REFUSED, _CLIENT_LEFT = 400, 499


class RequestCounts(NamedTuple):
    """What requests for pages took and came to, between two moments."""

    from_ms: int
    until_ms: int
    buckets: tuple[int, ...]
    """One more than the bounds: the last is what took longer than all of them."""
    n_errors: int

    @property
    def n(self) -> int:
        """How many requests there were."""
        return sum(self.buckets)

    def n_slower(self, limit_ms: float) -> int:
        """Count requests that surely took longer; those of the limit's own bucket are let off."""
        return sum(self.buckets[bisect_left(BOUNDS_MS, limit_ms) + 1 :])


class RequestTally:
    """Counts requests in the event loop, and gives up what it counted there too."""

    __slots__ = ("_buckets", "_from_ms", "_n_errors", "_waiting", "count_page")

    def __init__(self) -> None:
        self._from_ms = 0
        self._buckets = [0] * (len(BOUNDS_MS) + 1)
        self._n_errors = 0
        self._waiting: list[float] = []
        self.count_page: Callable[[float], None] = self._waiting.append
        """Count one request that was answered with a page, by its seconds."""

    def begin(self, now_ms: int) -> None:
        """Say when counting begins."""
        self._from_ms = now_ms

    def settle(self) -> None:
        """Sort what waits into its buckets, many times a second."""
        for seconds in self._waiting:
            self._buckets[bisect_left(_BOUNDS_S, seconds)] += 1
        self._waiting.clear()

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count any request; one that was refused, as 401 or 404, would only hide slow ones."""
        if _REFUSED <= status < _CLIENT_LEFT or (method, route) not in SERVE_ROUTES:
            return
        self.count_page(seconds)
        if status >= _SERVER_ERROR:
            self._n_errors += 1

    def take(self, now_ms: int) -> RequestCounts:
        """Return what was counted since the last time, and begin anew."""
        self.settle()
        taken = RequestCounts(self._from_ms, now_ms, tuple(self._buckets), self._n_errors)
        self._from_ms = now_ms
        self._buckets = [0] * (len(BOUNDS_MS) + 1)
        self._n_errors = 0
        return taken
