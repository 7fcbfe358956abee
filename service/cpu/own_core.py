"""Keeps the thread that answers pages on one core for as long as nobody else wants that core.

Linux moves a thread that wakes and sleeps thousands of times a second from core to core, onto one
that others are at work on too: pages then wait for turns of theirs, or find their memory on the
core that they left. Whoever keeps off the pages' core (`service.cpu.spare_cores`) cannot know where
the next page will be answered unless it stays. docs/adr/0010-hot-path.md has the figures.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from service.cpu.spare_cores import core_of

LOOK_S = 0.25
REST_S = 5.0
"""How long a thread that had to wait goes wherever the system puts it, the first time."""
LONGEST_REST_S = 320.0
"""The same where it has to wait whenever it comes to rest: each time it rests twice as long."""
STAY_S = 60.0
"""How long it has to have stayed on a core for the next rest to be a short one."""
MAX_WAIT = 0.1
"""Share of the time in which the thread wants its core that it may not have it."""
LEAST_WAIT_S = 0.001
"""What it may wait between two looks however little it does."""
LONG_WAIT_S = 0.025
"""What is too much at once. Less of it is too much only between two looks that follow each other:
machines take a core for some milliseconds now and then, and the next one they take is another."""


class OwnCore:
    """The core of the event loop of a process, whose first thread that must be.

    It has one where there are more cores than processes that answer pages.
    """

    def __init__(
        self, n_workers: int, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._n_workers = n_workers
        self._monotonic_s = monotonic_s
        self._thread = os.getpid()
        self._core: int | None = None
        self._given: set[int] = set()
        self._ran_s = self._waited_s = 0.0
        self._has_waited = False
        """Whether it waited for more than is good between the last two looks."""
        self._taken_s = self._again_s = float("-inf")
        self._rest_s = REST_S / 2

    async def watch(self) -> None:
        """Look after it until cancelled; the loop's own threads for calls that wait are freed."""
        if sys.platform != "linux" or threading.get_native_id() != self._thread:
            return
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(None, "asyncio", self.free_thread))
        try:
            while True:
                await asyncio.sleep(LOOK_S)
                self.look()
        finally:
            self.let_go()

    if sys.platform == "linux":

        def look(self) -> None:
            """Take the core on which the thread is, or leave the one where it had to wait."""
            with suppress(OSError):  # cores were taken from the process at this moment
                if self._core is None:
                    self._take()
                elif os.sched_getaffinity(self._thread) != {self._core}:
                    self._core = None  # somebody wants it elsewhere, and is let have it
                    self._rest()
                elif self._had_to_wait():
                    self.let_go()
                    self._rest()
                else:
                    self._free_others()

        def let_go(self) -> None:
            """Let the thread go wherever it was allowed to."""
            core, self._core = self._core, None
            with suppress(OSError):
                if core is not None and os.sched_getaffinity(self._thread) == {core}:
                    os.sched_setaffinity(self._thread, self._given)

        def free_thread(self) -> None:
            """Let the calling thread, which inherits the core of who starts it, use all cores."""
            core = self._core
            with suppress(OSError):
                if core is not None and os.sched_getaffinity(0) == {core}:
                    os.sched_setaffinity(0, self._given)

        def _take(self) -> None:
            given = os.sched_getaffinity(self._thread)
            core = core_of(self._thread)
            rests = self._monotonic_s() < self._again_s
            if rests or core not in given or len(given) <= self._n_workers:
                return
            self._given = given
            os.sched_setaffinity(self._thread, {core})
            self._core = core
            self._taken_s = self._monotonic_s()
            self._ran_s, self._waited_s = _schedule()
            self._has_waited = False

        def _rest(self) -> None:
            now_s = self._monotonic_s()
            has_stayed = now_s - self._taken_s >= STAY_S
            self._rest_s = REST_S if has_stayed else min(2 * self._rest_s, LONGEST_REST_S)
            self._again_s = now_s + self._rest_s

        def _free_others(self) -> None:
            for task in Path("/proc/self/task").iterdir():
                thread = int(task.name)
                with suppress(OSError):  # it has ended
                    if thread != self._thread and os.sched_getaffinity(thread) == {self._core}:
                        os.sched_setaffinity(thread, self._given)
    else:

        def look(self) -> None:
            """Nothing: no other system has both."""

        def let_go(self) -> None:
            """Nothing."""

        def free_thread(self) -> None:
            """Nothing."""

    def _had_to_wait(self) -> bool:
        """Tell whether the thread waits too long for its core, and not by chance once."""
        before = self._ran_s, self._waited_s
        self._ran_s, self._waited_s = _schedule()
        ran_s, waited_s = self._ran_s - before[0], self._waited_s - before[1]
        had_waited = self._has_waited
        self._has_waited = waited_s > max(LEAST_WAIT_S, MAX_WAIT * (ran_s + waited_s))
        return self._has_waited and (had_waited or waited_s > LONG_WAIT_S)


def _schedule() -> tuple[float, float]:
    """Return how long the calling thread has run, and waited for a core, since it began."""
    try:
        ran_ns, waited_ns, _ = Path("/proc/thread-self/schedstat").read_bytes().split()
        return int(ran_ns) / 1e9, int(waited_ns) / 1e9
    except (OSError, ValueError):  # a kernel without such a thing
        return 0.0, 0.0
