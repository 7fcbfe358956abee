"""Starts the log process of a server, and starts it again when it dies.

The supervisor holds the listening socket: while no log process is there, workers' connections wait.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from models.errors import ConfigError
from service.stores.log_wire import PID_FILE, SOCKET_VARIABLE

STOP_S = 10.0
NOT_HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_RESTART_S = 0.5
_BACKLOG = 128
_LONGEST_ADDRESS = 100
"""Bytes that the address of a socket may have on every system."""
_MODULE = "service.log_server"

_log = structlog.get_logger(__name__)


class LogProcess:
    """One for each server; `keep` is to be called from time to time, or `keep_by_itself` once."""

    def __init__(self, events: Path, listener: socket.socket) -> None:
        self._events = events
        self._listener = listener
        self._pid_file = Path(listener.getsockname()).with_name(PID_FILE)
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._keeper: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """The process that runs, or ran last."""
        return None if self._process is None else self._process.pid

    def keep(self) -> None:
        """Start the process if it does not run."""
        process = self._process
        if process is not None:
            if process.poll() is None:
                return
            _log.error("log_process_ended", pid=process.pid, exit_code=process.returncode)
            self._close_input(process)
        # A signal to the whole group of processes is not for this one, from its first moment on.
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, NOT_HEARD)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(self._events), str(self._listener.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=(self._listener.fileno(),),
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        with suppress(OSError):
            self._pid_file.write_text(f"{self._process.pid}\n")

    def keep_by_itself(self) -> None:
        """Keep it in a thread: for a process that has nothing to fork."""
        self._keeper = threading.Thread(target=self._keep_on, name="log-process", daemon=True)
        self._keeper.start()

    def stop(self) -> None:
        """Let it write what it has and end."""
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
            _log.error("log_process_killed", pid=process.pid, after_s=STOP_S)
            process.kill()
            process.wait()

    def _keep_on(self) -> None:
        while not self._stopping.wait(_RESTART_S):
            self.keep()

    @staticmethod
    def _close_input(process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()


@contextmanager
def log_process(events: Path, folder: Path) -> Iterator[LogProcess]:
    """Run a log process, whose socket is in `folder`, until the block ends.

    Raises
    ------
    ConfigError
        If the socket cannot be made.
    """
    with _listener(folder) as listener:
        process = LogProcess(events, listener)
        os.environ[SOCKET_VARIABLE] = listener.getsockname()
        process.keep()
        try:
            yield process
        finally:
            process.stop()
            del os.environ[SOCKET_VARIABLE]


@contextmanager
def _listener(folder: Path) -> Iterator[socket.socket]:
    address = folder.resolve() / "log.sock"
    elsewhere = None
    if len(os.fsencode(address)) > _LONGEST_ADDRESS:
        elsewhere = tempfile.mkdtemp(prefix="endcap-")
        address = Path(elsewhere) / "log.sock"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            try:
                listener.bind(str(address))
                address.chmod(0o600)
                listener.listen(_BACKLOG)
            except OSError as error:
                raise ConfigError(
                    f"no socket for the log process at {address}: {error}; "
                    "put --home where sockets can be made"
                ) from error
            yield listener
    finally:
        address.unlink(missing_ok=True)
        address.with_name(PID_FILE).unlink(missing_ok=True)
        if elsewhere is not None:
            shutil.rmtree(elsewhere, ignore_errors=True)
