"""Reads in the event loop, as long as the store answers at once.

A look-up by key takes some ten microseconds, and a hop to a thread and back costs ten times that.
But a disk may be slow, and then every visitor would wait for one. So a few slow reads send all of
the next second to the thread, where each waits for its own deadline.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

SLOW_S = 0.003
"""Above it, on average, reads are slow; a single one may be, for the scheduler has its moods."""
NEWEST_SHARE = 0.1
"""What the newest read counts in the average."""
PAUSE_S = 1.0

T = TypeVar("T")


class QuickReads:
    """Says whether the event loop may read, and watches how long that takes."""

    def __init__(self, monotonic_s: Callable[[], float] = time.perf_counter) -> None:
        self._monotonic_s = monotonic_s
        self._average_s = 0.0
        self._paused_until_s = float("-inf")

    def are_allowed(self) -> bool:
        """Tell whether the last reads were quick."""
        return self._monotonic_s() >= self._paused_until_s

    def read(self, work: Callable[[], T]) -> T:
        """Read, and remember how long it took."""
        begin_s = self._monotonic_s()
        try:
            return work()
        finally:
            end_s = self._monotonic_s()
            self._average_s += NEWEST_SHARE * (end_s - begin_s - self._average_s)
            if self._average_s > SLOW_S:
                self._paused_until_s, self._average_s = end_s + PAUSE_S, 0.0
