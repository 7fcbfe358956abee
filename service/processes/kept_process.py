"""A process beside a server's workers: started, and started again when it dies."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

import structlog

STOP_S = 10.0
NOT_HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_RESTART_S = 0.5

_log = structlog.get_logger(__name__)


class KeptProcess:
    """One for each server; `keep` is to be called from time to time, or `keep_by_itself` once.

    It hears no signal that is for the whole group of processes, and is to end when its standard
    input does.
    """

    def __init__(self, name: str, arguments: Sequence[str], passed: Sequence[int]) -> None:
        """Take a module and its arguments, and the descriptors that the process is to have."""
        self._name = name
        self._arguments = arguments
        self._passed = passed
        self._process: subprocess.Popen[bytes] | None = None
        self._is_refused = False
        """Whether the system had no room for a process when one was to be started."""
        self._stopping = threading.Event()
        self._keeper: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """The process that runs, or ran last."""
        return None if self._process is None else self._process.pid

    def keep(self) -> None:
        """Start the process if it does not run; if that fails now, a later call tries again."""
        process = self._process
        if process is not None:
            if process.poll() is None:
                return
            _log.error(f"{self._name}_ended", pid=process.pid, exit_code=process.returncode)
            self._close_input(process)
            self._process = None
        try:
            process = self._process = self._start()
        except OSError as error:
            if not self._is_refused:
                _log.error(
                    f"{self._name}_not_started",
                    reason=f"the system has no room for a process: {error}",
                    next_step="see its limits of memory, processes and open files; it is tried "
                    "again and again",
                )
            self._is_refused = True
            return
        if self._is_refused:
            self._is_refused = False
            _log.warning(f"{self._name}_started", pid=process.pid)
        self.has_started(process)

    def has_started(self, process: subprocess.Popen[bytes]) -> None:
        """Do what is to be done each time that the process was started: nothing, here."""

    def keep_by_itself(self) -> None:
        """Keep it in a thread: for a process that has nothing to fork."""
        self._keeper = threading.Thread(target=self._keep_on, name=self._name, daemon=True)
        self._keeper.start()

    def stop(self) -> None:
        """Let it finish what it has and end."""
        self._stopping.set()
        if self._keeper is not None:
            self._keeper.join()
        process = self._process
        if process is None:
            return
        self._close_input(process)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            _log.error(f"{self._name}_killed", pid=process.pid, after_s=STOP_S)
            process.kill()
            process.wait()

    def _keep_on(self) -> None:
        while not self._stopping.wait(_RESTART_S):
            self.keep()

    def _start(self) -> subprocess.Popen[bytes]:
        # A signal to the whole group of processes is not for this one, from its first moment on.
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, NOT_HEARD)
        try:
            return subprocess.Popen(
                [sys.executable, "-m", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=self._passed,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)

    @staticmethod
    def _close_input(process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
