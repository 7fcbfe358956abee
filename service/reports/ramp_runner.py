"""Advances ramps: every worker asks each minute, and the one with the lease does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from models.errors import EndcapError
from service.control.consent import Consent
from service.control.plane import ControlPlane
from service.control.precondition import Precondition
from service.control.writing import Change
from service.reports.ramping import REQUESTS_MS, Advance, Measured, RollBack, decide
from service.rollouts.definition import Rollout
from service.rollouts.schedule import schedule_ms
from service.stores.control import ControlStore
from service.stores.event_log import EventLog
from service.stores.newer_sums import NewerSumsError, left_to_newer, tell_once
from service.stores.outcomes import read_outcomes
from service.stores.service_levels import read_service_levels
from service.telemetry.request_tally import RequestCounts, RequestTally

ACTOR = "ramp"
LEASE_MS = 180_000
POLL_S = 60.0

log = structlog.get_logger(__name__)


class RampRunner:
    """One worker's share in it."""

    def __init__(
        self,
        store: ControlStore,
        plane: ControlPlane,
        events: EventLog,
        *,
        holder: str,
        now_ms: Callable[[], int],
        pages: RequestTally,
    ) -> None:
        """`holder` names this worker among all; `pages` is what it counts of its requests."""
        self._store = store
        self._plane = plane
        self._events = events
        self._holder = holder
        self._now_ms = now_ms
        self._pages = pages
        pages.begin(now_ms())

    def take_requests(self) -> RequestCounts:
        """Take what this worker counted since the last time; call it in the event loop."""
        return self._pages.take(self._now_ms())

    def keep(self, counts: RequestCounts) -> None:
        """Write down what this worker counted, for whichever worker looks at the guardrails."""
        if counts.n:
            with self._store.transaction() as transaction:
                transaction.service_minutes.append(self._holder, counts)

    def run_once(self) -> int:
        """Move every ramp that may be moved, if this worker has the lease; count the moves."""
        climbing = [
            rollout
            for rollout in self._plane.list("rollout")
            if isinstance(rollout, Rollout) and self._is_climbing(rollout)
        ]
        if not climbing:
            return 0
        with self._store.transaction() as transaction:
            if not transaction.leases.take(
                ACTOR, self._holder, now_ms=self._now_ms(), for_ms=LEASE_MS
            ):
                return 0
        with left_to_newer(self._store, ACTOR, self._holder):
            return sum(self._move(rollout) for rollout in climbing)

    async def watch(self, poll_s: float = POLL_S) -> None:
        """Run until cancelled; what fails is logged and tried again."""
        while True:
            await asyncio.sleep(poll_s)
            counts = self.take_requests()
            try:
                await asyncio.to_thread(self.keep, counts)
                await asyncio.to_thread(self.run_once)
            except NewerSumsError as error:
                tell_once(error)
            except Exception:  # a task's loop: the next round may succeed
                log.exception("ramps_not_moved")

    def _is_climbing(self, rollout: Rollout) -> bool:
        if rollout.ramp is None or rollout.killed or not rollout.enabled:
            return False
        begin_ms, end_ms = schedule_ms(rollout.starts_at, rollout.ends_at, rollout.time_zone)
        return begin_ms <= self._now_ms() < end_ms

    def _move(self, rollout: Rollout) -> bool:
        move = decide(rollout, self._measure(rollout), self._now_ms())
        if move is None:
            return False
        # Whoever changed it meanwhile knows better, and a lease that ran out does no harm.
        expected = Precondition(revisions=frozenset({rollout.revision}), must_exist=True)
        try:
            self._apply(rollout.key, move, expected)
        except EndcapError as error:
            log.warning("ramp_not_moved", rollout=rollout.key, reason=error.message)
            return False
        return True

    def _apply(self, key: str, move: Advance | RollBack, expected: Precondition) -> None:
        if isinstance(move, RollBack):
            log.warning("ramp_rolled_back", rollout=key, reason=move.reason)
            note = f"rolled back: {move.reason}"
            change = Change("rollout", key, ACTOR, expected, note=note, is_approved=True)
            self._plane.patch(change, {"killed": True})
            return
        note = f"ramp to {move.step.share:g}"
        consent = Consent(confirm=True)
        change = Change("rollout", key, ACTOR, expected, consent, note, is_approved=True)
        self._plane.patch(change, {"share": move.step.share})

    def _measure(self, rollout: Rollout) -> Measured:
        with self._store.transaction() as transaction:
            opened_at_ms = transaction.list_epochs(rollout.key)[-1].opened_at_ms
            now_ms = self._now_ms()
            since_ms = max(opened_at_ms, now_ms - REQUESTS_MS)
            requests = transaction.service_minutes.sum_since(since_ms, now_ms)
        sums = read_outcomes(self._events, rollout.key)
        return Measured(
            opened_at_ms=opened_at_ms,
            arms=[arm for arm in sums.arms if arm.epoch == rollout.epoch],
            levels=read_service_levels(self._events, rollout.key, rollout.epoch),
            requests=requests,
        )
