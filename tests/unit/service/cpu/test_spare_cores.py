"""Which cores are left to a process that keeps off those of others, and that its threads use them.

What changes affinities runs in a process of its own.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.cpu.spare_cores import core_of, n_cores, spare

ECHO = """
import sys
for line in sys.stdin:
    print(line, end="", flush=True)
"""
KEEP_OFF = """
import os, sys, threading
from pathlib import Path
from service.cpu.spare_cores import SpareCores

stop = threading.Event()
threading.Thread(target=stop.wait).start()
cores = SpareCores()
for line in sys.stdin:
    cores.keep_off([int(line)])
    tasks = Path("/proc/self/task").iterdir()
    [used] = {frozenset(os.sched_getaffinity(int(task.name))) for task in tasks}
    print(*sorted(used), flush=True)
stop.set()
"""
CHILDREN = """
import os, subprocess, sys
from service.cpu.spare_cores import apart_from

REPORT = '''
import os, sys
from service.cpu.spare_cores import SpareCores

began = sorted(os.sched_getaffinity(0))
SpareCores(frozenset(map(int, sys.argv[1].split(",")))).keep_off([])
print(*began, -1, *sorted(os.sched_getaffinity(0)))
'''
for line in sys.stdin:
    pid, *ours = map(int, line.split())
    if ours:
        os.sched_setaffinity(0, ours)
    with apart_from(pid) as had:
        given = ",".join(map(str, had))
        command = [sys.executable, "-c", REPORT, given]
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    print(said.strip(), -1, *sorted(os.sched_getaffinity(0)), flush=True)
"""


@contextmanager
def program(text: str) -> Iterator[subprocess.Popen[str]]:
    """Run one that answers line by line, until the block ends."""
    command = [sys.executable, "-c", text]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.communicate()
        assert process.returncode == 0


def ask(process: subprocess.Popen[str], *numbers: int) -> list[int]:
    """Send a line, and read the numbers of the line that comes back."""
    assert process.stdin is not None
    assert process.stdout is not None
    print(*numbers, file=process.stdin, flush=True)
    return [int(word) for word in process.stdout.readline().split()]


@pytest.mark.parametrize(
    ("given", "taken", "expected"),
    [
        ({0, 1, 2, 3}, [2], {0, 1, 3}),
        ({0, 1, 2, 3}, [2, 2], {0, 1, 3}),
        ({0, 1, 2, 3}, [0, 1, 3], {2}),
        ({0, 1, 2, 3}, [7, None], {0, 1, 2, 3}),
        ({0, 1}, [1], {0}),
        ({0, 1}, [1, 1], {0, 1}),
        ({0, 1}, [], {0, 1}),
        ({3}, [3], {3}),
        (set(), [1], set()),
    ],
)
def test_cores_are_spare_unless_there_are_as_many_takers(
    given: set[int], taken: list[int | None], expected: set[int]
) -> None:
    """What somebody answers pages on is left out, but never all, nor the last for many takers."""
    assert spare(frozenset(given), taken) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's")
def test_threads_of_a_process_leave_the_core_of_another() -> None:
    """All of them, the next time it is asked too, and they come back when it is gone."""
    ours = sorted(os.sched_getaffinity(0))
    if len(ours) < 2:
        pytest.skip("one core")
    with program(KEEP_OFF) as process:
        with program(ECHO) as worker:
            for core in (ours[0], ours[-1]):
                os.sched_setaffinity(worker.pid, {core})
                ask(worker, 0)  # one that sleeps moves when it wakes
                assert ask(process, worker.pid) == [one for one in ours if one != core]
        assert core_of(worker.pid) is None
        assert ask(process, worker.pid) == ours


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's")
def test_child_begins_off_the_core_of_another_and_knows_them_all() -> None:
    """From its first instruction; whoever started it goes on where it was."""
    ours = sorted(os.sched_getaffinity(0))
    if len(ours) < 2:
        pytest.skip("one core")
    with program(CHILDREN) as process, program(ECHO) as worker:
        os.sched_setaffinity(worker.pid, {ours[0]})
        ask(worker, 0)
        assert ask(process, worker.pid) == [*ours[1:], -1, *ours, -1, *ours]
        # Whoever took cores from the process while it ran took them from its children, too.
        left = ours[:1]
        assert ask(process, worker.pid, *left) == [*left, -1, *left, -1, *left]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process has all cores")
def test_container_may_have_fewer_cores_than_it_sees(tmp_path: Path) -> None:
    """Half a core is one, two and a half are two; without a limit it has those it was given."""
    given = len(os.sched_getaffinity(0))
    limit = tmp_path / "cpu.max"
    assert n_cores(limit) == given
    for text, expected in (
        ("max 100000\n", given),
        ("50000 100000\n", 1),
        ("250000 100000\n", min(2, given)),
        (f"{given * 100000} 100000\n", given),
        ("99900000 100000\n", given),
    ):
        limit.write_text(text)
        assert n_cores(limit) == expected
