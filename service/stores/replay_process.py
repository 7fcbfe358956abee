"""The process that writes the file of `log_replay`, as those see it whose sums wait for it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import structlog

from models.errors import StoreError
from service.cpu.spare_cores import give_all
from service.stores.event_log import EventLog

REPLAY_AGAIN_S = 600.0
"""Before archived days that could not be read are tried again."""
_MODULE = "service.stores.replay_writing"

_log = structlog.get_logger(__name__)


class ReplayProcess:
    """Has the file made beside the caller, who asks from time to time."""

    def __init__(
        self, events: EventLog, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._events = events
        self._monotonic_s = monotonic_s
        self._process: subprocess.Popen[bytes] | None = None
        self._again_s = float("-inf")

    def is_done(self) -> bool:
        """Tell whether the file has been made; begin to make it, unless it failed a moment ago.

        Raises
        ------
        StoreError
            If it failed now.
        """
        process = self._process
        if process is None:
            if self._monotonic_s() >= self._again_s:
                self._again_s = self._monotonic_s() + REPLAY_AGAIN_S
                self._process = _start(self._events)
                _log.info("sums_made_anew", what="archived days are read first")
            return False
        if process.poll() is None:
            return False
        self._process = None
        with process:
            said = process.stderr.read() if process.stderr is not None else b""
        _check(process, said)
        return True

    def wait(self) -> None:
        """Wait until the process under way ends."""
        if self._process is not None:
            self._process.wait()

    def close(self) -> None:
        """End the process under way; what it has written so far is no use to anybody."""
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = None


def make_replay(events: EventLog) -> None:
    """Make the file and wait for it.

    Raises
    ------
    StoreError
        If a file cannot be read, or the disk has no room for it.
    """
    with _start(events) as process:
        _check(process, process.communicate()[1])


def _start(events: EventLog) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", _MODULE, str(events)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    give_all(process.pid)
    return process


def _check(process: subprocess.Popen[bytes], said: bytes) -> None:
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        raise StoreError(
            f"the archived days cannot be added up: {lines[-1] if lines else process.returncode}"
        )
