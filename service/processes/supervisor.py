"""Keeps the workers of a server and the processes beside them, renews and ends workers in time.

uvicorn's supervisor starts them. What it does with one worker at a time, waiting for it as long as
that takes, is done here in steps: signals are heard and the others are kept meanwhile.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from service.processes.kept_process import KeptProcess
from service.processes.stop_limit import stop_limit_s

AGAIN_S = 5.0
"""Before a worker that could not be started is tried again."""
READY_S = 60.0
"""How long a worker that is to take the place of another may need to start."""
_LOOK_S = 0.5
_PING_S = 0.1

_log = structlog.get_logger(__name__)


class Supervisor(Multiprocess):
    """The loop of the process that holds the port; `run` ends when all workers have."""

    def __init__(
        self,
        config: uvicorn.Config,
        sockets: list[socket.socket],
        beside: Sequence[KeptProcess],
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(config, sockets)
        self.could_not_start = False
        """Whether the server ends because its workers could not be started."""
        self.has_killed = False
        """Whether a worker had to be killed when the server stopped."""
        self._beside = beside
        self._monotonic_s = monotonic_s
        self._stop_s = stop_limit_s(config)
        self._first: list[Process] = []
        self._again_s: dict[int, float] = {}
        """Places without a worker, and when to start one there."""
        self._outdated: list[Process] = []
        """Workers that are to be renewed, the first one now."""
        self._fresh: Process | None = None
        """Who is starting to take its place."""
        self._leaving: Process | None = None
        """Who has left its place, and is ending."""
        self._until_s = 0.0
        """When the fresh, or the leaving one, has had time enough."""

    def init_processes(self) -> None:
        """Start the first workers."""
        super().init_processes()
        self._first = list(self.processes)

    def keep_subprocess_alive(self) -> None:
        """Start whatever has died, and go on renewing."""
        if self.should_exit.is_set():
            return
        self._keep_beside()
        for place, worker in enumerate(self.processes):
            if self._ask(worker, self.config.timeout_worker_healthcheck) is None:
                self._replace(place, worker)
        if not self.should_exit.is_set():
            self._renew()

    def handle_hup(self) -> None:
        """Begin to start all workers anew, one by one."""
        self._outdated = list(self.processes)

    def terminate_all(self) -> None:
        """Tell all workers to stop, and let go of the socket that they no longer accept from.

        Else new connections would queue up there for as long as one of them drains, unanswered.
        """
        for listener in self.sockets:
            listener.close()
        for worker in self._everybody():
            _tell_to_stop(worker)

    def join_all(self) -> None:
        """Wait for all workers, and kill who takes longer than any of them should."""
        end_s = self._monotonic_s() + self._stop_s
        for worker in self._everybody():
            while worker.process.is_alive() and self._monotonic_s() < end_s:
                self._keep_beside()  # to which they bring what they still have
                worker.process.join(_LOOK_S)
            self.has_killed |= self._end(worker)

    def _everybody(self) -> list[Process]:
        others = (self._fresh, self._leaving)
        return [*self.processes, *(one for one in others if one is not None)]

    def _keep_beside(self) -> None:
        for process in self._beside:
            process.keep()

    def _replace(self, place: int, worker: Process) -> None:
        """Put another worker in the place of one that has died, or does not answer."""
        again_s = self._again_s.get(place)
        if again_s is None:
            is_silent = worker.process.is_alive()
            worker.kill()
            worker.join()
            _forget_metrics(worker.pid)
            if worker.exitcode == STARTUP_FAILURE:
                if worker in self._first or not self._serves_without(place):
                    self.could_not_start = True
                    self.should_exit.set()
                    return
                self._start_later(place, "the log lines above say why; the other workers go on")
                return
            silent_s = self.config.timeout_worker_healthcheck
            _log.error(
                "worker_ended",
                pid=worker.pid,
                exit_code=worker.exitcode,
                reason=f"it did not answer for {silent_s} s and was killed" if is_silent else None,
            )
        elif self._monotonic_s() < again_s:
            return
        try:
            fresh = self._start()
        except OSError as error:
            self._start_later(place, f"the system has no room for a process: {error}")
            return
        self._again_s.pop(place, None)
        self.processes[place] = fresh
        _log.info("worker_started", pid=fresh.pid)

    def _start_later(self, place: int, reason: str) -> None:
        self._again_s[place] = self._monotonic_s() + AGAIN_S
        _log.error("worker_not_started", reason=reason, again_after_s=AGAIN_S)

    def _serves_without(self, place: int) -> bool:
        """Tell whether any other worker answers requests."""
        others = [one for other, one in enumerate(self.processes) if other != place]
        return any(self._ask(one, _LOOK_S) for one in others)

    def _ask(self, worker: Process, wait_s: float) -> bool | None:
        """Ask a worker whether it has started; nothing if it is dead or does not answer in time.

        uvicorn's own question would wait all the time for one that dies before it answers.
        """
        end_s, pipe = self._monotonic_s() + wait_s, worker.parent_conn
        with suppress(OSError, EOFError):
            while pipe.poll(0):
                pipe.recv()  # what came too late, when it was asked before
            pipe.send(b"ping")
            while worker.process.is_alive():
                if pipe.poll(_PING_S):
                    return bool(pipe.recv())
                if self._monotonic_s() >= end_s:
                    break
        return None

    def _start(self) -> Process:
        worker = Process(self.config, self.sockets)
        worker.start()
        return worker

    def _renew(self) -> None:
        """Take the next step of starting all workers anew."""
        if self._leaving is not None:
            if self._leaving.process.is_alive() and self._monotonic_s() < self._until_s:
                return
            self._end(self._leaving)
            self._leaving = None
        if self._fresh is not None:
            self._welcome(self._fresh)
            return
        self._outdated = [one for one in self._outdated if one in self.processes]
        if self._outdated:
            try:
                self._fresh = self._start()
            except OSError as error:
                self._give_up_renewing(f"the system has no room for a process: {error}")
            self._until_s = self._monotonic_s() + READY_S

    def _welcome(self, fresh: Process) -> None:
        """Give a fresh worker its place once it is ready."""
        if not fresh.process.is_alive() or self._monotonic_s() >= self._until_s:
            self._fresh = None
            fresh.kill()
            fresh.join()
            _forget_metrics(fresh.pid)
            self._give_up_renewing("the one that was started did not get ready")
        elif self._ask(fresh, _LOOK_S):
            old, self._fresh = self._outdated.pop(0), None
            if old in self.processes:
                place = self.processes.index(old)
                self.processes[place] = fresh
                self._again_s.pop(place, None)
            else:  # it died, and has been replaced
                old = fresh
            _tell_to_stop(old)
            self._leaving, self._until_s = old, self._monotonic_s() + self._stop_s

    def _give_up_renewing(self, reason: str) -> None:
        left, self._outdated = self._outdated, []
        _log.error(
            "workers_not_renewed",
            reason=reason,
            kept=[one.pid for one in left],
            next_step="the log lines above may say why; send SIGHUP again",
        )

    def _end(self, worker: Process) -> bool:
        """Wait for a worker that was told to stop; kill it if it has not by now, and say so."""
        has_to_be_killed = worker.process.is_alive()
        if has_to_be_killed:
            _log.error("worker_killed", pid=worker.pid, after_s=self._stop_s)
            worker.kill()
        worker.join()
        _forget_metrics(worker.pid)
        return has_to_be_killed


def _tell_to_stop(worker: Process) -> None:
    worker.terminate()
    if worker.pid is not None and worker.exitcode is None:
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGCONT)  # one that is stopped hears nothing before


def _forget_metrics(pid: int | None) -> None:
    """Drop what a worker said of itself last, for it would be said for ever."""
    # Whether it is for several processes is decided when it is imported.
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

    mark_process_dead(pid)  # type: ignore[no-untyped-call]  # the library has none there
