"""Keeps the learned click rates up to date: one worker publishes them, every worker reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from service.control.configuration import Configuration
from service.learning.click_rates import learn_click_rates
from service.stores.banner_counts import fold_banners, open_banner_counts, read_banner_counts
from service.stores.banner_rates import (
    PublishedRates,
    list_periods,
    publish_rates,
    read_published,
)
from service.stores.control import ControlStore
from service.stores.event_log import EventLog
from service.stores.log_replay import attach, is_waiting
from service.stores.newer_sums import NewerSumsError, left_to_newer, tell_once
from service.stores.replay_process import ReplayProcess

NAME = "banners"
LEASE_MS, RENEW_MS = 90_000, 30_000
LEAD_MS = 60_000
"""How long before a period its rates are published, so that every worker has them in time."""
POLL_S = 5.0

log = structlog.get_logger(__name__)


class BannerLearner:
    """One worker's share in it."""

    def __init__(
        self,
        store: ControlStore,
        events: EventLog,
        configuration: Callable[[], Configuration],
        put: Callable[[Sequence[PublishedRates]], None],
        *,
        holder: str,
        now_ms: Callable[[], int],
        period_ms: int,
        half_life_days: float,
        lease: str = NAME,
    ) -> None:
        """`put` takes what is published; `holder` names this worker among all of the lease."""
        self._store = store
        self._events = events
        self._configuration = configuration
        self._put = put
        self._holder = holder
        self._now_ms = now_ms
        self._period_ms = period_ms
        self._half_life_days = half_life_days
        self._lease = lease
        self._replay = ReplayProcess(events)
        self._is_holder = False
        self._asked_ms: int | None = None
        self._known: tuple[int, ...] = ()

    def read(self) -> None:
        """Take over what is published, if that is new."""
        with open_banner_counts(self._events) as connection:
            periods = tuple(list_periods(connection))
            if periods != self._known:
                self._put([read_published(connection, period) for period in periods])
                self._known = periods

    def run_once(self) -> bool:
        """Publish what is due, if this worker has the lease; tell if so.

        Little is new to be counted then: the keeper of the running sums counts all the time. Where
        counts are made anew, archived days are read first, in a process beside.

        Raises
        ------
        NewerSumsError
            If the counts are of a newer release; a worker of that one may have the lease.
        """
        if not self._has_lease():
            return False
        try:
            with left_to_newer(self._store, self._lease, self._holder):
                return self._publish()
        except NewerSumsError:
            self._is_holder = False
            raise

    def _publish(self) -> bool:
        now_ms = self._now_ms()
        with open_banner_counts(self._events) as connection:
            if is_waiting(connection):
                if not self._replay.is_done():
                    return False
                attach(connection, self._events)
            period = self._due(list_periods(connection), now_ms)
            if period is None:
                return False
            fold_banners(connection, now_ms)
            counts = read_banner_counts(connection, now_ms, self._half_life_days)
            configuration = self._configuration()
            learned = learn_click_rates(
                counts,
                {one.id for one in configuration.banners.values() if one.enabled},
                {one.id for one in configuration.placements.values() if one.kind == "banners"},
            )
            return publish_rates(connection, period, learned.rates, learned.lifts, now_ms=now_ms)

    async def watch(self, poll_s: float = POLL_S) -> None:
        """Run until cancelled; what fails is logged and tried again."""
        while True:
            try:
                await asyncio.to_thread(self.run_once)
                await asyncio.to_thread(self.read)
            except NewerSumsError as error:
                tell_once(error)
            except Exception:  # a task's loop: the next round may succeed
                log.exception("banners_not_learned")
            await asyncio.sleep(poll_s)

    def close(self) -> None:
        """End what was begun beside."""
        self._replay.close()

    def _has_lease(self) -> bool:
        now_ms = self._now_ms()
        if self._asked_ms is None or now_ms - self._asked_ms >= RENEW_MS:
            with self._store.transaction() as transaction:
                self._is_holder = transaction.leases.take(
                    self._lease, self._holder, now_ms=now_ms, for_ms=LEASE_MS
                )
            self._asked_ms = now_ms
        return self._is_holder

    def _due(self, published: Sequence[int], now_ms: int) -> int | None:
        """Name the period whose rates are wanted now: the next one, shortly before it begins.

        Later ones are of shorter periods, before a restart, or of a clock that was ahead.
        """
        period, passed_ms = divmod(now_ms, self._period_ms)
        newest = max((one for one in published if one <= period + 1), default=-1)
        if newest < period:
            return period
        is_near = passed_ms >= self._period_ms - min(LEAD_MS, self._period_ms // 2)
        return period + 1 if newest == period and is_near else None
