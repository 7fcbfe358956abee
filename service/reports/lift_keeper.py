"""Keeps the lift of running rollouts from time to time: one worker does, the one with the lease."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from models.errors import EndcapError
from service.control.plane import ControlPlane
from service.reports.gather import report_rollout
from service.reports.report import Report
from service.rollouts.definition import Rollout
from service.stores.control import ControlStore
from service.stores.event_log import EventLog
from service.stores.lift_points import LiftPoint
from service.stores.newer_sums import NewerSumsError, left_to_newer, tell_once

LEASE = "lift"
LEASE_MS = 180_000
POLL_S = 60.0
FIRST_MS = 60_000
"""Between the first points; later ones are further apart, so that a year has no more than days."""
SHARE_OF_AGE = 0.005
"""A point comes when this share of the time since the first has passed since the last."""

_log = structlog.get_logger(__name__)


def is_due(span: tuple[int, int] | None, now_ms: int) -> bool:
    """Say whether a rollout with points in this span wants another one."""
    if span is None:
        return True
    first_ms, last_ms = span
    return now_ms - last_ms >= max(FIRST_MS, SHARE_OF_AGE * (now_ms - first_ms))


def points_of(report: Report) -> list[LiftPoint]:
    """Take the lift of each metric out of a report, where it can be told."""
    return [
        LiftPoint(report.at_ms, one.variant, one.metric, lift.value, lift.low, lift.high)
        for one in report.comparisons
        if (lift := one.always_valid_relative) is not None
    ]


class LiftKeeper:
    """One worker's share in it."""

    def __init__(
        self,
        store: ControlStore,
        plane: ControlPlane,
        events: EventLog,
        *,
        holder: str,
        now_ms: Callable[[], int],
    ) -> None:
        """`holder` names this worker among all."""
        self._store = store
        self._plane = plane
        self._events = events
        self._holder = holder
        self._now_ms = now_ms

    def run_once(self) -> int:
        """Keep a point of every rollout that is due, if this worker has the lease; count them."""
        running = [
            rollout.key
            for rollout in self._plane.list("rollout")
            if isinstance(rollout, Rollout)
            and rollout.enabled
            and not rollout.killed
            and 0 < rollout.share < 1
        ]
        if not running:
            return 0
        now_ms = self._now_ms()
        with self._store.transaction() as transaction:
            if not transaction.leases.take(LEASE, self._holder, now_ms=now_ms, for_ms=LEASE_MS):
                return 0
            due = [key for key in running if is_due(transaction.lift_points.span_of(key), now_ms)]
        with left_to_newer(self._store, LEASE, self._holder):
            return sum(map(self._keep, due))

    async def watch(self, poll_s: float = POLL_S) -> None:
        """Run until cancelled; what fails is logged and tried again."""
        while True:
            await asyncio.sleep(poll_s)
            try:
                await asyncio.to_thread(self.run_once)
            except NewerSumsError as error:
                tell_once(error)
            except Exception:  # a task's loop: the next round may succeed
                _log.exception("lift_not_kept")

    def _keep(self, key: str) -> bool:
        try:
            # What is not added up yet is the keeper's of the sums, who need not hurry: to add a
            # burst of pages up here takes a core for seconds, and memory that the worker keeps.
            report = report_rollout(self._events, self._store, key, at_ms=self._now_ms(), max_new=0)
        except NewerSumsError:
            raise
        except EndcapError as error:
            _log.warning("lift_not_kept", rollout=key, reason=error.message)
            return False
        points = points_of(report)
        with self._store.transaction() as transaction:
            transaction.lift_points.append(key, points)
        return bool(points)
