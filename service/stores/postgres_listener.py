"""Hears of commits: one connection of a process that waits for notifications of the server.

Whoever follows the log asks for `version`, which costs nothing, and reads when it has changed.
While nothing can be heard it changes every second, so that followers read as if they polled.
"""

from __future__ import annotations

import threading
import time

import structlog

from service.stores.event_log import PostgresLog

CHANNEL = "endcap_log"
FALLBACK_ROUNDS = 10
"""After so many rounds of half a second without a word followers read all the same."""
DEAF_S = 1.0
"""Between attempts to connect, each of which counts as a change."""

_ROUND_S = 0.5

_log = structlog.get_logger(__name__)
_listeners: dict[PostgresLog, LogListener] = {}
_opening = threading.Lock()


class LogListener:
    """Listens from its first use to the end of the process, in a thread of its own."""

    def __init__(self, log: PostgresLog) -> None:
        self._log = log
        self.version = 0
        """Changes after each commit of anybody that is worth reading."""
        self.deaf_since_ms: int | None = None
        """Since when the server cannot be reached, if it cannot."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except Exception as error:  # a thread's loop: the server may come back
                if self.deaf_since_ms is None:
                    _log.warning("log_not_listened_to", error=str(error).strip())
                    self.deaf_since_ms = time.time_ns() // 1_000_000
            self.version += 1
            self._stopping.wait(DEAF_S)

    def _listen(self) -> None:
        from service.stores.postgres import open_raw  # noqa: PLC0415  # which imports this module

        with open_raw(self._log) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            if self.deaf_since_ms is not None:
                _log.info("log_listened_to_again")
            self.deaf_since_ms = None
            # What was committed before is not told.
            self.version += 1
            n_silent = 0
            while not self._stopping.is_set():
                heard = list(connection.notifies(timeout=_ROUND_S, stop_after=1))
                n_silent = 0 if heard else n_silent + 1
                if n_silent % FALLBACK_ROUNDS == 0:
                    self.version += 1


def listener_of(log: PostgresLog) -> LogListener:
    """Return this process's listener to a database."""
    found = _listeners.get(log)
    if found is None:
        with _opening:
            found = _listeners.get(log) or _listeners.setdefault(log, LogListener(log))
    return found


def stop_listening(log: PostgresLog) -> None:
    """End this process's listener to a database, if it has one."""
    with _opening:
        found = _listeners.pop(log, None)
    if found is not None:
        found.close()
