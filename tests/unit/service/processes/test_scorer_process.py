"""The scorer's process: when it is started, and what it does not outlive."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.processes import scorer_process
from service.processes.kept_process import STOP_S
from service.processes.scorer_process import (
    REST_S,
    ScorerProcess,
    common_ground,
    find_common_ground,
)
from service.serve.shared_candidates import N_BYTES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is shared")
LIMIT_S = 30.0
NONSENSE = b"\x00"
"""It ends when it does not understand a question."""


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def has_ended(pid: int) -> bool:
    """Tell whether a process is there only for its exit status to be read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize(
    ("n_cores", "n_workers", "scores", "has_memory", "has_scorer"),
    [
        (4, 1, True, True, True),
        (4, 3, True, True, True),
        (4, 4, True, True, False),
        (1, 1, True, False, False),
        (4, 1, False, False, False),
        (4, 2, False, True, False),
    ],
)
def test_scorer_needs_a_core_that_no_worker_has(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    n_cores: int,
    n_workers: int,
    scores: bool,
    has_memory: bool,
    has_scorer: bool,
) -> None:
    """Several workers share memory without one, and one worker has nobody to share with."""
    monkeypatch.setattr(scorer_process, "n_cores", lambda: n_cores)
    with common_ground(tmp_path, n_workers, scores=scores) as scorer:
        common = find_common_ground()
        assert (common is not None, scorer is not None) == (has_memory, has_scorer)
        assert common is None or (common.line is not None) == has_scorer
        assert common is None or len(common.memory) == N_BYTES
    assert find_common_ground() is None


class Clock:
    """A clock that is put forward."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a line."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def scorer(
    tmp_path: Path, line: tuple[socket.socket, socket.socket], clock: Clock
) -> Iterator[ScorerProcess]:
    """A scorer that nobody has asked yet."""
    with common_ground(tmp_path, 0, scores=True):
        common = find_common_ground()
        assert common is not None
        made = ScorerProcess(tmp_path, common, line[1], monotonic_s=clock)
        yield made
        made.stop()


def test_scorer_is_started_when_it_is_asked_and_not_again_and_again(
    scorer: ScorerProcess, line: tuple[socket.socket, socket.socket], clock: Clock
) -> None:
    """One that dies at once does so once a minute, and the one that runs ends with its server."""
    scorer.keep()
    assert scorer.pid is None
    line[0].send(NONSENSE)
    scorer.keep()
    first = _pid(scorer)
    until(lambda: has_ended(first))
    clock.now_s += REST_S - 1
    scorer.keep()
    assert _pid(scorer) == first
    clock.now_s += 1
    scorer.keep()
    second = _pid(scorer)
    assert second != first
    os.kill(second, signal.SIGSTOP)  # a stop of the server does not wait for it
    begin_s = time.monotonic()
    scorer.stop()
    assert time.monotonic() - begin_s < STOP_S / 2
    assert not Path(f"/proc/{second}").exists()


def test_scorer_that_cannot_be_started_is_told_and_tried_later(
    scorer: ScorerProcess,
    line: tuple[socket.socket, socket.socket],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No process is left, for one: pages are answered without it."""
    tries: list[float] = []

    def refuse(*_: object, **__: object) -> None:
        tries.append(clock.now_s)
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("service.processes.kept_process.subprocess.Popen", refuse)
    line[0].send(NONSENSE)
    for _ in range(3):
        scorer.keep()
        clock.now_s += REST_S / 2
    assert tries == [1_000.0, 1_000.0 + REST_S]
    assert scorer.pid is None


def test_server_runs_where_nothing_can_be_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox may forget the system call; workers then score each for itself."""

    def refuse(_: str) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "memfd_create", refuse)
    with common_ground(tmp_path, 0, scores=True) as scorer:
        assert scorer is None
        assert find_common_ground() is None


def test_memory_is_given_back_with_the_server(tmp_path: Path) -> None:
    """Neither its descriptor nor the line stays open."""
    before = _n_open()
    with common_ground(tmp_path, 0, scores=True):
        assert _n_open() > before
    assert _n_open() == before


def _n_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _pid(scorer: ScorerProcess) -> int:
    assert scorer.pid is not None
    return scorer.pid
