"""Who keeps the workers: what it starts again, what it gives up, and that it waits for nobody."""

import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
import uvicorn
from structlog.testing import capture_logs
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from service.processes import supervisor
from service.processes.log_process import LogProcess
from service.processes.stop_limit import GRACE_S
from service.processes.supervisor import AGAIN_S, READY_S, Supervisor

DRAIN_S = 20
KILLED = -int(signal.SIGKILL)


class Worker:
    """Stands for uvicorn's handle of a worker, and for the process behind it."""

    def __init__(self, pid: int, clock: "Clock") -> None:
        self.pid = pid
        self.exitcode: int | None = None
        self.answers = self.ready = True
        self.dies_when_asked = False
        self.heeds = True
        """Whether it ends when it is told to."""
        self.told: list[str] = []
        self.process = self.parent_conn = self
        self._clock = clock
        self._n_asked = 0

    def is_alive(self) -> bool:
        """Tell whether it runs."""
        return self.exitcode is None

    def send(self, _question: bytes) -> None:
        """Hear whether it answers requests."""
        if self.dies_when_asked:
            self.exitcode = KILLED
        self._n_asked += 1

    def poll(self, timeout: float) -> bool:
        """Wait for an answer."""
        if self._n_asked and self.answers and self.is_alive():
            return True
        self._clock.now_s += timeout
        return False

    def recv(self) -> bool:
        """Answer."""
        self._n_asked -= 1
        return self.ready

    def kill(self) -> None:
        """End, unless it has."""
        self.told.append("kill")
        self.exitcode = KILLED if self.exitcode is None else self.exitcode

    def terminate(self) -> None:
        """End if it heeds it."""
        self.told.append("stop")
        if self.heeds and self.exitcode is None:
            self.exitcode = 0

    def join(self, timeout: float | None = None) -> None:
        """Let the time pass; without a limit a worker that runs would be waited for in vain."""
        assert timeout is not None or self.exitcode is not None
        if self.exitcode is None:
            self._clock.now_s += timeout or 0.0


class Clock:
    """Goes when it is told to."""

    now_s = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now_s


class Log:
    """Stands for the log process."""

    n_kept = 0

    def keep(self) -> None:
        """Count."""
        self.n_kept += 1


class Shop:
    """A supervisor of three workers that are no processes."""

    def __init__(self) -> None:
        self.clock, self.log = Clock(), Log()
        self.made: list[Worker] = []
        self.refusal: OSError | None = None
        config = uvicorn.Config(
            "nothing:here", workers=3, log_config=None, timeout_graceful_shutdown=DRAIN_S
        )
        self.supervisor = Supervisor(
            config, [], [cast("LogProcess", self.log)], monotonic_s=self.clock
        )
        self._pids = count(4_000_001)

    def make(self, *_: object) -> Any:
        """Make a worker that is ready."""
        self.made.append(Worker(next(self._pids), self.clock))
        return self.made[-1]

    @property
    def workers(self) -> list[Worker]:
        """Who has a place."""
        return cast("list[Worker]", list(self.supervisor.processes))

    def look(self, n: int = 1) -> list[str]:
        """Look after all, and return what was logged."""
        with capture_logs() as logs:
            for _ in range(n):
                self.supervisor.keep_subprocess_alive()
        return [str(one["event"]) for one in logs]


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shop:
    """Return a supervisor whose first workers run; no signal is sent or caught."""
    monkeypatch.setattr(multiprocess, "SIGNALS", {})
    monkeypatch.setattr("service.processes.supervisor.os.kill", lambda *_: None)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    made = Shop()

    def start(worker: Worker) -> None:
        if made.refusal is not None:
            raise made.refusal

    monkeypatch.setattr(Worker, "start", start, raising=False)
    for module in (multiprocess, supervisor):
        monkeypatch.setattr(module, "Process", made.make)
    made.supervisor.init_processes()
    return made


def test_worker_that_died_is_replaced_and_its_gauges_are_dropped(
    shop: Shop, tmp_path: Path
) -> None:
    """At once; what it said of itself last would be said for ever."""
    first = shop.workers
    gauges = [tmp_path / f"gauge_livemin_{worker.pid}.db" for worker in first]
    for gauge in gauges:
        gauge.touch()
    first[1].exitcode = KILLED
    assert shop.look() == ["worker_ended", "worker_started"]
    assert shop.workers == [first[0], shop.made[3], first[2]]
    assert [gauge.exists() for gauge in gauges] == [True, False, True]
    assert shop.look() == []


def test_worker_that_does_not_answer_is_killed_and_the_log_says_so(shop: Shop) -> None:
    """Else its exit code would look as if somebody else had killed it."""
    silent = shop.workers[0]
    silent.answers = False
    with capture_logs() as logs:
        shop.supervisor.keep_subprocess_alive()
    assert silent.told == ["kill"]
    assert logs[0]["event"] == "worker_ended"
    assert logs[0]["reason"] == "it did not answer for 5 s and was killed"


def test_worker_that_dies_when_it_is_asked_is_waited_for_no_longer(shop: Shop) -> None:
    """Its pipe stays open, for others have it too."""
    shop.workers[0].dies_when_asked = True
    begin_s = shop.clock.now_s
    assert shop.look() == ["worker_ended", "worker_started"]
    assert shop.clock.now_s - begin_s < 0.5


def test_server_whose_first_workers_cannot_start_ends(shop: Shop) -> None:
    """What keeps one from starting would keep the next one."""
    shop.workers[2].exitcode = STARTUP_FAILURE
    shop.look()
    assert shop.supervisor.should_exit.is_set()
    assert shop.supervisor.could_not_start


def test_worker_that_cannot_be_replaced_now_takes_no_other_with_it(shop: Shop) -> None:
    """As while a database is away: those that serve go on, and it is tried again."""
    shop.workers[0].exitcode = KILLED
    shop.look()
    for _ in range(3):
        shop.workers[0].exitcode = STARTUP_FAILURE
        assert shop.look() == ["worker_not_started"]
        shop.clock.now_s += AGAIN_S - 1
        assert shop.look() == []
        shop.clock.now_s += 2
        assert shop.look() == ["worker_started"]
    assert not shop.supervisor.should_exit.is_set()
    assert [worker.exitcode for worker in shop.workers] == [None, None, None]


def test_server_without_any_worker_left_ends(shop: Shop) -> None:
    """Where the last that served has died and no other can start, whoever started it must know."""
    for worker in shop.workers:
        worker.exitcode = KILLED
    shop.look()
    for worker in shop.workers:
        worker.exitcode = STARTUP_FAILURE
    shop.look()
    assert shop.supervisor.could_not_start


def test_no_room_for_a_process_ends_nothing(shop: Shop) -> None:
    """A fork that fails is told once and tried again; a server ended with a traceback."""
    shop.workers[0].exitcode = KILLED
    shop.refusal = BlockingIOError(11, "Resource temporarily unavailable")
    assert shop.look(3) == ["worker_ended", "worker_not_started"]
    shop.refusal = None
    shop.clock.now_s += AGAIN_S
    assert shop.look() == ["worker_started"]


def renewed(shop: Shop, meanwhile: Callable[[], object] = lambda: None) -> list[str]:
    """Start all anew, one step after the other, and return what was logged."""
    shop.supervisor.handle_hup()
    found = []
    for _ in range(20):
        found += shop.look()
        assert len(shop.workers) == 3
        meanwhile()
    return found


def test_renewal_replaces_all_workers_one_by_one(shop: Shop, tmp_path: Path) -> None:
    """Each stops when another is ready, the next after it has ended; its gauges are dropped."""
    first = shop.workers
    gauges = [tmp_path / f"gauge_livemin_{worker.pid}.db" for worker in first]
    for gauge in gauges:
        gauge.touch()
    served = []
    renewed(shop, lambda: served.append(sum(worker.is_alive() for worker in shop.made)))
    assert shop.workers == shop.made[3:]
    assert [worker.told for worker in first] == [["stop"]] * 3
    assert set(served) == {3, 4}
    assert not any(gauge.exists() for gauge in gauges)


def test_renewal_holds_nobody_up(shop: Shop) -> None:
    """While a worker takes its time to stop, the log process is kept, and the dead replaced."""
    slow = shop.workers[0]
    slow.heeds = False
    shop.supervisor.handle_hup()
    shop.look(2)
    n_kept = shop.log.n_kept
    shop.workers[2].exitcode = KILLED
    assert shop.look(4) == ["worker_ended", "worker_started"]
    assert shop.log.n_kept == n_kept + 4
    assert len(shop.made) == 3 + 1 + 1  # nobody else is renewed before it has ended
    shop.clock.now_s += 2 * DRAIN_S + GRACE_S
    assert shop.look() == ["worker_killed"]
    assert slow.told == ["stop", "kill"]


def test_renewal_whose_worker_does_not_get_ready_keeps_the_old_ones(shop: Shop) -> None:
    """A large model may take its time; what never gets ready is given up."""
    first = shop.workers
    shop.supervisor.handle_hup()
    shop.look()
    shop.made[3].ready = False
    shop.clock.now_s += READY_S - 1
    assert shop.look() == []
    shop.clock.now_s += 1
    assert shop.look() == ["workers_not_renewed"]
    assert shop.workers == first
    assert shop.made[3].exitcode == KILLED
    assert shop.look(5) == []
    assert len(shop.made) == 4


def test_stop_reaches_whoever_is_being_renewed(shop: Shop) -> None:
    """A signal to stop is not heard only after the last has been renewed."""
    shop.supervisor.handle_hup()
    shop.look()
    shop.supervisor.should_exit.set()
    assert shop.look() == []
    shop.supervisor.terminate_all()
    shop.supervisor.join_all()
    assert [worker.told[0] for worker in shop.made] == ["stop"] * 4
    assert not shop.supervisor.has_killed


def test_stop_waits_for_no_worker_for_ever(shop: Shop) -> None:
    """One that heeds no signal is killed after the times for requests and queues, with a word."""
    slow = shop.workers[1]
    slow.heeds = False
    begin_s = shop.clock.now_s
    shop.supervisor.should_exit.set()
    shop.supervisor.terminate_all()
    with capture_logs() as logs:
        shop.supervisor.join_all()
    assert [(one["event"], one["pid"]) for one in logs] == [("worker_killed", slow.pid)]
    assert shop.clock.now_s - begin_s == pytest.approx(2 * DRAIN_S + GRACE_S, abs=1)
    assert shop.log.n_kept > 10  # to the last it may have something to write
    assert shop.supervisor.has_killed
