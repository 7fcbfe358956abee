"""Reads the figures of the last days, and keeps them for some seconds."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from models.artifact import ArtifactStore
from models.snapshot import Snapshot
from models.vocabulary import MISSING_ROW
from service.insights.comparison import compare, orders_since
from service.insights.figures import (
    Insights,
    by_day,
    channels,
    coverage,
    funnels,
    segment_sizes,
    sum_orders,
)
from service.insights.readiness import N_WEEKS, Readiness, readiness
from service.insights.shares import date_of
from service.stores.days import read_days, read_shown
from service.stores.event_log import EventLog
from service.stores.rollup_days import DAY_MS
from service.stores.week_samples import Sampled, sample_weeks

KEPT_MS = 15_000
KEPT_MS_A_DAY = 1_000
"""Of the period: what takes longer to read is kept longer, a year for six minutes."""
MAX_DAYS = 365


class InsightsReader:
    """One for a process; threads that ask for the same wait for the one that reads."""

    def __init__(
        self,
        events: EventLog,
        artifacts: ArtifactStore,
        snapshot: Callable[[], Snapshot | None],
        now_ms: Callable[[], int],
    ) -> None:
        self._events = events
        self._artifacts = artifacts
        self._snapshot = snapshot
        self._now_ms = now_ms
        self._lock = Lock()
        self._kept: dict[int, tuple[int, Insights]] = {}
        self._shown: dict[int, tuple[int, dict[str, int]]] = {}

    def read(self, n_days: int) -> Insights:
        """Return the figures of the last `n_days` days, today included; see `KEPT_MS`.

        Raises
        ------
        EndcapError
            If a store cannot be read.
        """
        now_ms = self._now_ms()
        with self._lock:
            kept = self._kept.get(n_days)
            if kept is None or now_ms - kept[0] > _kept_ms(n_days):
                kept = self._kept[n_days] = (now_ms, self._read(n_days, now_ms))
        return kept[1]

    def shown(self, n_days: int) -> dict[str, int]:
        """Count how often each item was shown in the last `n_days` days; see `KEPT_MS`."""
        now_ms = self._now_ms()
        today = now_ms // DAY_MS
        with self._lock:
            kept = self._shown.get(n_days)
            if kept is None or now_ms - kept[0] > _kept_ms(n_days):
                found = read_shown(self._events, today - n_days + 1, today)
                kept = self._shown[n_days] = (now_ms, found)
        return kept[1]

    def _read(self, n_days: int, now_ms: int) -> Insights:
        last = now_ms // DAY_MS
        first = last - n_days + 1
        sums = read_days(self._events, first, last)
        # A day more than the period: what is compared ends with yesterday.
        before = read_days(self._events, first - n_days - 1, first - 1)
        shown = read_shown(self._events, first, last)
        snapshot = self._snapshot()
        ids = None if snapshot is None else snapshot.items.ids
        overall, placements = funnels(sums)
        return Insights(
            first_day=date_of(first),
            last_day=date_of(last),
            orders=sum_orders(sums),
            compared=compare(
                [*before.orders, *sums.orders],
                today=last,
                n_days=n_days,
                first_order_day=orders_since(sums.orders_by_day),
            ),
            days=by_day(sums, first, last),
            funnel=overall,
            placements=placements,
            channels=channels(sums),
            coverage=coverage(
                0 if ids is None else len(ids),
                shown,
                (ids is not None and ids.row(item) != MISSING_ROW for item in shown),
            ),
            segments=segment_sizes(self._artifacts.versions()),
            readiness=self._readiness(snapshot, now_ms),
            waiting=sums.n_waiting,
        )

    def _readiness(self, snapshot: Snapshot | None, now_ms: int) -> Readiness:
        def was_known(one: Sampled) -> bool:
            return snapshot is not None and any(
                _met_before(snapshot, key, one.at_ms)
                for key in (one.user_key, one.anonymous_key)
                if key is not None
            )

        samples = sample_weeks(self._events, now_ms=now_ms, n_weeks=N_WEEKS)
        return readiness(samples, was_known, now_ms)


def _met_before(snapshot: Snapshot, key: str, at_ms: int) -> bool:
    """Say whether a person of the model had met one of their items before a moment."""
    users = snapshot.users
    row = users.ids.row(key)
    if row == MISSING_ROW:
        return False
    begin, end = users.history.offsets[row], users.history.offsets[row + 1]
    return bool((users.history_at_ms[begin:end] < at_ms).any())


def _kept_ms(n_days: int) -> int:
    return max(KEPT_MS, KEPT_MS_A_DAY * n_days)
