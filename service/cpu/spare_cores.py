"""Keeps a process off the cores where pages are answered.

Linux wakes a thread on the core of whoever wakes it often enough, and may leave it there for tens
of milliseconds with another core idle. An event loop that shares its core by turns answers pages at
half its speed meanwhile, or not at all. docs/adr/0010-hot-path.md has the figures.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CONTAINER_LIMIT = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of all cores together, and in which time; what a container sees of its own group."""


class SpareCores:
    """The cores that this process was given at its start, and those of them that it uses now."""

    def __init__(self, given: frozenset[int] | None = None) -> None:
        """Begin with the cores `given`, if whoever started this process held some of them back."""
        self._given = _GIVEN if given is None else given
        self._used = _now()

    def keep_off(self, pids: Collection[int]) -> None:
        """Let all threads of this process run where the first thread of no process of `pids` runs.

        Anywhere, if that leaves no core or the system has no such thing. Costs some 20 µs a
        process, so it may be called before each task: whoever is kept away from may have moved.
        """
        wanted = spare(self._given, [core_of(pid) for pid in pids])
        if wanted != self._used:
            self._used = wanted
            _use(wanted)


@contextmanager
def apart_from(pid: int) -> Iterator[frozenset[int]]:
    """Until the block ends, keep this thread off the core of a process's first thread.

    A process that the block starts inherits that: loading a program, which takes half a second
    for one of ours, is then off that core from its first instruction on. The block is given the
    cores that the thread had, for that process to be told; none where the system has no such thing.
    """
    before = _now()
    with suppress(OSError):  # the cores were taken from the process meanwhile
        _set(0, spare(before, [core_of(pid)]))
    try:
        yield before
    finally:
        with suppress(OSError):
            _set(0, before)


def give_all(pid: int) -> None:
    """Let a process that was just started run wherever this one could at first."""
    with suppress(OSError):
        _set(pid, _GIVEN)


def spare(given: frozenset[int], taken: Collection[int | None]) -> frozenset[int]:
    """Return the cores that nobody has taken; all of them where there are not more than takers."""
    if len(given) <= len(taken):
        return given
    return given.difference(core for core in taken if core is not None)


def core_of(pid: int) -> int | None:
    """Return the core on which the first thread of a process runs, or ran last, if it is known."""
    try:
        return int(
            Path(f"/proc/{pid}/task/{pid}/stat").read_bytes().rpartition(b")")[2].split()[36]
        )
    except (OSError, IndexError, ValueError):
        return None


def n_cores(limit: Path = CONTAINER_LIMIT) -> int:
    """Count the cores that this process may have at one time: fewer than it sees in a container
    with a limit, which takes them all away for moments once it is used up.
    """
    given = len(_now()) or os.cpu_count() or 1
    try:
        quota, period = map(int, limit.read_text().split())
    except (OSError, ValueError):  # there is none, and so it says
        return given
    return max(1, min(given, quota // period))


if sys.platform == "linux":

    def _now() -> frozenset[int]:
        return frozenset(os.sched_getaffinity(0))

    def _set(thread: int, cores: frozenset[int]) -> None:
        os.sched_setaffinity(thread, cores)

    def _use(cores: frozenset[int]) -> None:
        with suppress(OSError):  # no descriptor is left
            for thread in Path("/proc/self/task").iterdir():
                with suppress(OSError):  # it has ended, or the cores were taken from the process
                    _set(int(thread.name), cores)
else:

    def _now() -> frozenset[int]:
        return frozenset()

    def _set(thread: int, cores: frozenset[int]) -> None:
        """Nothing: no other system has both."""

    def _use(cores: frozenset[int]) -> None:
        """Nothing."""


_GIVEN = _now()
"""When the program began; a child of ours may have been given fewer by a thread that keeps off."""
