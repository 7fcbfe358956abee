"""Whether the log takes what this process has for it: busy is no trouble, silent and refusing are.

The writer thread notes what it meets; a task in the event loop looks twice a second. So a store
that never returns is found out too, and whoever waits for it is told to come back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

import structlog

from models.errors import EndcapError
from service.intake.pending import EventWriter
from service.stores.events import StoreBusyError

STUCK_S = 5.0
"""A group that is not on disk after so long is no mere wait any more."""
REFUSED_S = 30.0
"""A refusal is forgotten when nothing was tried again for so long."""
LOOK_S = 0.5
_BUSY_TOLD_S = 60.0
_TROUBLE_TOLD_S = 30.0
_SILENT = "the event store does not answer"

_log = structlog.get_logger(__name__)


class Trouble(NamedTuple):
    """What keeps groups from the disk."""

    since_ms: int
    lasts_s: float
    why: str
    next_step: str
    is_silent: bool
    """Whether the same group still waits; otherwise each is refused by itself."""


class LogState:
    """What the writer thread of this process knows of the store."""

    def __init__(
        self,
        now_ms: Callable[[], int],
        monotonic_s: Callable[[], float] = time.monotonic,
        unreachable_since_ms: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._unreachable_since_ms = unreachable_since_ms
        self._now_ms = now_ms
        self._monotonic_s = monotonic_s
        self._since: tuple[float, int] | None = None
        """By both clocks: since when no group has got in though one is there."""
        self._group_s: float | None = None
        """When the group under way began."""
        self._waits: StoreBusyError | None = None
        """What it waits for."""
        self._refused: tuple[float, str] | None = None
        """When the last group was refused, and why, unless one has got in since."""
        self._n_waits = 0
        self._n_waits_told = 0
        self._busy_told_s = self._trouble_told_s = float("-inf")
        self._is_told = False
        self._has_written = False

    def begin(self) -> None:
        """Note that a group is on its way."""
        now_s = self._monotonic_s()
        if self._since is None:
            self._since = now_s, self._now_ms()
        self._waits = None
        self._group_s = now_s

    def wait(self, error: StoreBusyError) -> None:
        """Note that the group under way has to wait."""
        self._waits = error
        self._n_waits += 1

    def refuse(self, error: EndcapError) -> None:
        """Note that nothing of the group was written."""
        self._refused = self._monotonic_s(), str(error)
        self._group_s = None

    def succeed(self) -> None:
        """Note that a group is on disk, or was wrong in itself."""
        self._group_s = self._since = self._refused = None
        self._has_written = True

    def trouble(self) -> Trouble | None:
        """Return what is wrong now; a group that has waited for seconds is not, yet."""
        since, group_s, waits, refused = self._since, self._group_s, self._waits, self._refused
        if since is None:
            return self._unreachable()
        now_s = self._monotonic_s()
        if group_s is not None and now_s - group_s >= STUCK_S:
            why, next_step = (_SILENT, "") if waits is None else (str(waits), waits.next_step)
            return Trouble(since[1], now_s - group_s, why, next_step, is_silent=True)
        if refused is not None and now_s - refused[0] < REFUSED_S:
            return Trouble(since[1], now_s - since[0], refused[1], "", is_silent=False)
        return self._unreachable()

    def _unreachable(self) -> Trouble | None:
        """Look at a database that nothing has been given to meanwhile."""
        since_ms = self._unreachable_since_ms()
        if since_ms is None:
            return None
        lasts_s = max(0, self._now_ms() - since_ms) / 1000
        return Trouble(since_ms, lasts_s, "it cannot be reached", "", is_silent=False)

    def look(self, n_events: int, n_exposures: int) -> Trouble | None:
        """Return what is wrong, and log what the log has not been told: seldom, if it goes on."""
        now_s = self._monotonic_s()
        trouble = self.trouble()
        waiting = {"n_events": n_events, "n_exposures": n_exposures}
        if trouble is not None:
            if now_s - self._trouble_told_s >= _TROUBLE_TOLD_S:
                self._trouble_told_s = now_s
                _log.warning(
                    "event_log_stuck" if trouble.is_silent else "event_log_refuses",
                    reason=trouble.why,
                    next_step=trouble.next_step or None,
                    for_s=round(trouble.lasts_s, 1),
                    **waiting,
                )
            self._is_told, self._has_written = True, False
            return trouble
        if self._is_told and self._has_written:
            _log.warning("event_log_answers_again")
            self._is_told, self._trouble_told_s = False, float("-inf")
        if self._n_waits > self._n_waits_told and now_s - self._busy_told_s >= _BUSY_TOLD_S:
            _log.info("event_log_busy", n_waits=self._n_waits - self._n_waits_told, **waiting)
            self._n_waits_told, self._busy_told_s = self._n_waits, now_s
        return None


async def watch_log(
    state: LogState,
    events: EventWriter,
    *,
    wait_s: float,
    n_exposures: Callable[[], int],
    show: Callable[[bool], None] = lambda _is_up: None,
) -> None:
    """Look until cancelled, and let no request wait for the disk for longer than `wait_s`."""
    while True:
        trouble = state.look(events.n_pending, n_exposures())
        show(trouble is None)
        events.answer_overdue(wait_s, trouble.why if trouble else _SILENT)
        is_hopeless = trouble is not None and trouble.is_silent and trouble.lasts_s >= wait_s
        events.refusal = trouble.why if trouble is not None and is_hopeless else None
        await asyncio.sleep(LOOK_S)
