"""A thread stays on its core until somebody else wants that core.

What changes affinities runs in a process of its own.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.cpu.own_core import LEAST_WAIT_S, LONG_WAIT_S, LONGEST_REST_S, REST_S, STAY_S

PROGRAM = """
import os, sys, threading, time
from service.cpu import own_core

now_s = ran_s = waited_s = 0.0
own_core._schedule = lambda: (ran_s, waited_s)
core = own_core.OwnCore(int(sys.argv[1]), monotonic_s=lambda: now_s)
started = threading.Event()
stop = threading.Event()

def other():
    global theirs
    theirs = threading.get_native_id()
    started.set()
    stop.wait()

theirs = None
thread = threading.Thread(target=other)

for line in sys.stdin:
    word, *numbers = line.split()
    if word == "after":
        now_s += float(numbers[0])
        ran_s += float(numbers[1])
        waited_s += float(numbers[2])
        core.look()
    elif word == "thread":
        thread.start()
        started.wait()
    elif word == "moved":
        os.sched_setaffinity(0, set(map(int, numbers)))
    elif word == "free":
        freed = []
        run = lambda: (core.free_thread(), freed.append(sorted(os.sched_getaffinity(0))))
        one = threading.Thread(target=run)
        one.start()
        one.join()
        print(*freed[0], flush=True)
        continue
    elif word == "end":
        core.let_go()
    asked = theirs if word == "thread" or numbers[3:] == ["theirs"] else 0
    print(*sorted(os.sched_getaffinity(asked)), flush=True)
stop.set()
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux's")
OURS = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []


class Program:
    """The program above, which is told a line and says which cores a thread may use."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, line: str) -> list[int]:
        """Send a line and read the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(line, file=self._process.stdin, flush=True)
        return [int(word) for word in self._process.stdout.readline().split()]


@contextmanager
def program(n_workers: int) -> Iterator[Program]:
    """Run it until the block ends."""
    command = [sys.executable, "-c", PROGRAM, str(n_workers)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield Program(process)
        process.communicate()
        assert process.returncode == 0


@pytest.mark.skipif(len(OURS) < 2, reason="one core")
def test_thread_stays_where_it_is_and_leaves_a_core_that_others_want() -> None:
    """It comes to rest again on whichever it is on a while later; at the end it is free."""
    with program(1) as one:
        [first] = one.ask("after 0 0 0")
        assert first in OURS
        assert one.ask("after 1 0.91 0.09") == [first]
        assert one.ask("after 1 0.89 0.11") == OURS
        assert one.ask(f"after {REST_S - 1} 0 0") == OURS
        assert len(one.ask("after 1 0 0")) == 1
        assert one.ask("end") == OURS


@pytest.mark.skipif(len(OURS) < 2, reason="one core")
def test_rests_are_longer_where_others_are_at_work_all_the_time() -> None:
    """Twice as long each time, to a limit; whoever stayed for a while rests shortly again."""
    with program(1) as one:
        rest_s = REST_S
        for _ in range(9):
            one.ask("after 0 0 0")
            assert one.ask("after 1 0 1") == OURS
            assert one.ask(f"after {rest_s - 1} 0 0") == OURS
            assert len(one.ask("after 1 0 0")) == 1
            one.ask("after 0 0 1")
            rest_s = min(2 * rest_s, LONGEST_REST_S)
            assert one.ask(f"after {rest_s - 1} 0 0") == OURS
            assert len(one.ask("after 1 0 0")) == 1
            rest_s = min(2 * rest_s, LONGEST_REST_S)
        one.ask(f"after {STAY_S} 0 0")
        assert one.ask("after 0 0 1") == OURS
        assert len(one.ask(f"after {REST_S} 0 0")) == 1


@pytest.mark.skipif(len(OURS) < 2, reason="one core")
def test_thread_with_little_to_do_leaves_a_busy_core_too() -> None:
    """A page a second that waits 2 ms could have been answered elsewhere; a wake-up is no wait."""
    with program(1) as one:
        own = one.ask("after 0 0 0")
        for _ in range(2):
            assert one.ask(f"after 1 0.001 {LEAST_WAIT_S - 0.0001}") == own
        assert one.ask("after 1 0.001 0.002") == own
        assert one.ask("after 1 0.001 0.002") == OURS


@pytest.mark.skipif(len(OURS) < 2, reason="one core")
def test_a_short_wait_now_and_then_is_no_reason_to_leave() -> None:
    """Two looks in a row are, or one long wait; what was before it came to rest is forgotten."""
    with program(1) as one:
        own = one.ask("after 0 0 0")
        for _ in range(3):
            assert one.ask(f"after 1 0.03 {LONG_WAIT_S - 0.001}") == own
            assert one.ask("after 1 0.03 0.001") == own
        assert one.ask(f"after 1 0.03 {LONG_WAIT_S - 0.001}") == own
        assert one.ask(f"after 1 0.03 {LONG_WAIT_S - 0.001}") == OURS
        own = one.ask(f"after {REST_S} 0.03 0.01")
        assert len(own) == 1
        assert one.ask(f"after 1 0.03 {LONG_WAIT_S - 0.001}") == own
        assert one.ask("after 1 0.03 0.001") == own
        assert one.ask(f"after 1 0.03 {LONG_WAIT_S + 0.001}") == OURS


@pytest.mark.skipif(len(OURS) < 2, reason="one core")
def test_what_was_waited_while_it_was_free_does_not_count() -> None:
    """The first second on a core is measured from its beginning."""
    with program(1) as one:
        one.ask("after 0 0 100")
        assert len(one.ask("after 1 0 0")) == 1


@pytest.mark.skipif(len(OURS) < 2, reason="one core")
def test_threads_that_it_starts_are_let_go_where_they_like() -> None:
    """At once where they ask for it, else the next time that somebody looks."""
    with program(1) as one:
        own = one.ask("after 0 0 0")
        assert one.ask("thread") == own
        assert one.ask("free") == OURS
        assert one.ask("after 1 0 0") == own
        assert one.ask("after 1 0 0 theirs") == OURS


@pytest.mark.skipif(len(OURS) < 2, reason="one core")
def test_whoever_moves_it_has_the_last_word() -> None:
    """An operator takes cores away while it runs: it stays within those that are left."""
    with program(1) as one:
        one.ask("after 0 0 0")
        assert one.ask(f"moved {OURS[0]} {OURS[1]}") == OURS[:2]
        assert one.ask("after 1 0 0") == OURS[:2]
        [core] = one.ask(f"after {REST_S} 0 0")
        assert core in OURS[:2]
        assert one.ask("end") == OURS[:2]


def test_nothing_is_taken_where_all_cores_answer_pages() -> None:
    """A worker that must share could only lose."""
    with program(len(OURS)) as one:
        assert one.ask("after 0 0 0") == OURS
        assert one.ask("after 1 0 1") == OURS
        assert one.ask("free") == OURS


WATCH = """
import asyncio, os
from service.cpu import own_core

own_core.LOOK_S = 0.01
own_core._schedule = lambda: (0.0, 0.0)

def cores():
    return sorted(os.sched_getaffinity(0))

async def main():
    task = asyncio.get_running_loop().create_task(own_core.OwnCore(1).watch())
    while len(cores()) > 1:
        await asyncio.sleep(0.01)
    print(*await asyncio.to_thread(cores))
    task.cancel()
    await asyncio.wait([task])
    print(*cores())

asyncio.run(main())
"""


@pytest.mark.skipif(len(OURS) < 2, reason="one core")
def test_threads_of_the_event_loop_are_free_from_their_beginning() -> None:
    """Whatever waits for a disk there does not wait for pages; in the end the loop is free too."""
    command = [sys.executable, "-c", WATCH]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    assert [[int(core) for core in line.split()] for line in said.stdout.splitlines()] == [
        OURS,
        OURS,
    ]
