"""How long a process may take to stop, and a server that takes no longer.

A thread that waits for a database which says nothing, and does not close the connection, cannot be
stopped; a process waits for its threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import FrameType

import structlog
import uvicorn

GRACE_S = 20.0
"""What it may take beyond twice the drain time, for requests and then for queues."""

KILLED_CODE = 1
"""How a server exits of which something had to be killed: what waited in queues may be lost."""

_log = structlog.get_logger(__name__)


def stop_limit_s(config: uvicorn.Config) -> float:
    """Return after how long a process that was told to stop is killed."""
    return 2 * (config.timeout_graceful_shutdown or 0) + GRACE_S


class PunctualServer(uvicorn.Server):
    """uvicorn's server; it ends the process where nobody else would."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        limit_s: float | None = None,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        super().__init__(config)
        self._limit_s = stop_limit_s(config) if limit_s is None else limit_s
        self._end = end
        self._is_stopping = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a signal's handler."""
        if not self._is_stopping:
            self._is_stopping = True
            ending = threading.Timer(self._limit_s, self._end_now)
            ending.daemon = True
            ending.start()
        super().handle_exit(sig, frame)

    def _end_now(self) -> None:
        _log.error(
            "server_killed",
            after_s=self._limit_s,
            reason="it did not stop in time; something does not answer, such as a database",
        )
        self._end(KILLED_CODE)
