"""Keeps the running sums up to date behind the service, so that a report finds them ready.

The counts of banners, which click rates are learned from, are kept beside them.

Every worker has a keeper, and the one with the lease works: in a thread of its own, of low
priority, in short steps of SQL alone, which hold neither the interpreter nor the event store.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from service.stores.attribution import DEFAULT_DAYS, set_window_days
from service.stores.banner_counts import fold_banners, open_banner_counts
from service.stores.event_database import is_busy
from service.stores.event_log import Database, EventLog
from service.stores.file_lease import FileLease
from service.stores.log_replay import attach, is_waiting
from service.stores.newer_sums import NewerSumsError, tell_once
from service.stores.replay_process import ReplayProcess
from service.stores.rollup import add_new, is_outdated, open_rollup

LEASE_FILE = "rollup.lease"
POLL_S = 5.0
STEP_ROWS = 50_000
"""Rows of the log that one step adds, in a second or two: many of one unit cost little more."""
SHARE = 0.25
"""Of one core, that the sums take while there is much to do: what storing and answering need more.

It adds some 5,000 to 10,000 rows a second; what comes faster is added when less comes."""
_CACHE_KIB = 16_384
_NICENESS = 10
_BUSY_TIMEOUT_MS = 200
"""Short, for a service that stops waits for the step under way."""

_log = structlog.get_logger(__name__)


class RollupKeeper:
    """One worker's share in it."""

    def __init__(
        self,
        events: EventLog,
        *,
        attribution_days: int = DEFAULT_DAYS,
        poll_s: float = POLL_S,
        step_rows: int = STEP_ROWS,
        monotonic_s: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._events = events
        self._attribution_days = attribution_days
        self._lease = FileLease(events.with_name(LEASE_FILE))
        self._poll_s = poll_s
        self._step_rows = step_rows
        self._monotonic_s = monotonic_s
        self._now_ms = now_ms
        self._connection: Database | None = None
        self._replay = ReplayProcess(events, monotonic_s=monotonic_s)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rollup-keeper", daemon=True)

    def start(self) -> None:
        """Begin to work, or to wait for the lease, which tells others that a server runs."""
        with suppress(OSError):  # the first step tries again, and says so
            self._lease.take()
        self._thread.start()

    def close(self) -> None:
        """Stop after the step under way, and let another process go on."""
        self._stopping.set()
        self._thread.join()
        self._replay.close()

    def step(self) -> bool:
        """Take one step, if this process has or gets the lease; tell whether there is more to do.

        Raises
        ------
        Exception
            If a store or a file cannot be read or written; the next step may succeed.
        """
        if not self._lease.take():
            return False
        if self._connection is not None and is_outdated(self._connection):
            self._connection.close()
            self._connection = None
        if self._connection is None:
            self._connection = open_rollup(
                self._events, max_new=0, cache_kib=_CACHE_KIB, busy_timeout_ms=_BUSY_TIMEOUT_MS
            )
        if is_waiting(self._connection):
            is_there = self._replay.is_done()
            if is_there:
                attach(self._connection, self._events)
            return is_there
        try:
            if set_window_days(self._connection, self._attribution_days):
                _log.info("attribution_window_changed", days=self._attribution_days)
            return add_new(self._connection, self._step_rows)
        except Exception as error:
            if not is_busy(error):
                raise
            return False  # a report adds up itself, or somebody is erased

    def count_banners(self) -> None:
        """Count what is new of banners, if this process has or gets the lease.

        Raises
        ------
        Exception
            If a store cannot be read or written; the next time may succeed.
        """
        if self._lease.take():
            with open_banner_counts(self._events) as counts:
                fold_banners(counts, self._now_ms(), max_chunks=1)

    def give_back(self) -> None:
        """Close the sums and let another process have the lease."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._lease.give_back()

    def _run(self) -> None:
        _lower_priority()
        pause_s = self._poll_s
        while not self._stopping.wait(pause_s):
            begin_s = self._monotonic_s()
            is_behind = False
            try:
                is_behind = self.step()
                self.count_banners()
            except NewerSumsError as error:
                tell_once(error)
            except Exception:  # a thread's loop: the next round may succeed
                _log.exception("rollup_not_kept")
                self.give_back()
                is_behind = False
            taken_s = self._monotonic_s() - begin_s
            pause_s = taken_s * (1 / SHARE - 1) if is_behind else self._poll_s
        self.give_back()


def _lower_priority() -> None:
    """Let those who answer requests go first; Linux alone can say so of one thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
