"""Traffic as it is now: how many pages a second and how quick, from the counters of all workers."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock

from prometheus_client.samples import Sample

from service.telemetry.request_tally import BOUNDS_MS, SERVE_ROUTES, RequestCounts

_BUCKET = "endcap_request_seconds_bucket"
WINDOW_MS = 60_000
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class PageCounts:
    """Pages since the workers started, by their upper bound in ms; each counts the ones below."""

    at_ms: int
    n_by_bound_ms: Mapping[float, float]
    n_errors: float = 0.0

    @property
    def n(self) -> float:
        """All of them."""
        return self.n_by_bound_ms.get(float("inf"), 0.0)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Pages between two moments."""

    seconds: float
    n: float
    n_errors: float
    p50_ms: float | None
    p99_ms: float | None

    @property
    def pages_per_s(self) -> float | None:
        """How many a second; nothing where no time has passed."""
        return self.n / self.seconds if self.seconds else None


@dataclass(frozen=True, slots=True)
class Minute:
    """Pages of one minute, of all workers."""

    at_ms: int
    n: int
    n_errors: int
    p50_ms: float | None
    p99_ms: float | None


def count_pages(samples: Iterable[Sample], at_ms: int) -> PageCounts:
    """Add up the requests that fill slots and were not refused."""
    bounds: defaultdict[float, float] = defaultdict(float)
    n_errors = 0.0
    for sample in samples:
        if sample.name != _BUCKET:
            continue
        labels = sample.labels
        if (labels["method"], labels["route"]) not in SERVE_ROUTES:
            continue
        status, bound_ms = int(labels["status"]), float(labels["le"]) * 1000
        if status < 400 or status >= 500:
            bounds[bound_ms] += sample.value
            if status >= 500 and bound_ms == float("inf"):
                n_errors += sample.value
    return PageCounts(at_ms, dict(bounds), n_errors)


def traffic_between(before: PageCounts, after: PageCounts) -> Traffic:
    """Say what happened between two counts."""
    bounds = sorted(after.n_by_bound_ms)
    below = [after.n_by_bound_ms[bound] - before.n_by_bound_ms.get(bound, 0.0) for bound in bounds]
    return Traffic(
        seconds=(after.at_ms - before.at_ms) / 1000,
        n=after.n - before.n,
        n_errors=after.n_errors - before.n_errors,
        p50_ms=_quantile(bounds, below, 0.5),
        p99_ms=_quantile(bounds, below, 0.99),
    )


class TrafficWindow:
    """Remembers counts of the last minute, as often as somebody looks."""

    def __init__(self, started_ms: int) -> None:
        self._counts = deque([PageCounts(started_ms, {})])
        self._lock = Lock()

    def take(self, counts: PageCounts) -> Traffic:
        """Compare with the oldest count of the last minute, or else with the newest before it."""
        with self._lock:
            if counts.n < self._counts[-1].n:  # the workers were started anew
                self._counts.clear()
                self._counts.append(PageCounts(counts.at_ms, {}))
            self._counts.append(counts)
            while len(self._counts) > 2 and counts.at_ms - self._counts[1].at_ms >= WINDOW_MS:
                self._counts.popleft()
            return traffic_between(self._counts[0], counts)


def by_minute(counted: Iterable[RequestCounts]) -> list[Minute]:
    """Add up workers, which count from moments of their own, by the minute they ended in."""
    buckets: dict[int, list[int]] = {}
    errors: Counter[int] = Counter()
    for one in counted:
        minute = one.until_ms // MINUTE_MS
        if len(one.buckets) == len(BOUNDS_MS) + 1:
            sums = buckets.setdefault(minute, [0] * len(one.buckets))
            buckets[minute] = [a + b for a, b in zip(sums, one.buckets, strict=True)]
            errors[minute] += one.n_errors
    bounds = [*BOUNDS_MS, float("inf")]
    found = []
    for minute, ns in sorted(buckets.items()):
        below = [float(sum(ns[: place + 1])) for place in range(len(ns))]
        found.append(
            Minute(
                at_ms=minute * MINUTE_MS,
                n=sum(ns),
                n_errors=errors[minute],
                p50_ms=_quantile(bounds, below, 0.5),
                p99_ms=_quantile(bounds, below, 0.99),
            )
        )
    return found


def _quantile(bounds: list[float], below: list[float], share: float) -> float | None:
    """Find a quantile from counts at or below each bound, linear inside a bucket."""
    n = below[-1] if below else 0
    if n <= 0:
        return None
    wanted = share * n
    for (low, n_low), (high, n_high) in pairwise([(0.0, 0.0), *zip(bounds, below, strict=True)]):
        if n_high >= wanted:
            if high == float("inf"):
                return low
            return low + (high - low) * (wanted - n_low) / (n_high - n_low)
    return None
