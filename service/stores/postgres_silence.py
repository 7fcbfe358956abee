"""Ends statements that a database does not answer, once the process is to stop.

A thread in such a statement hears nothing else, and whoever closes waits for it: what waits to be
written would neither be stored nor counted as lost.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import psycopg
import structlog
from psycopg import pq

SILENT_S = 5.0
"""How long a statement may be under way while the process stops."""
_LOOK_S = 0.5

_log = structlog.get_logger(__name__)
_connections: WeakSet[psycopg.Connection[Any]] = WeakSet()


def watch_over(raw: psycopg.Connection[Any]) -> None:
    """Remember a connection for as long as it is there."""
    _connections.add(raw)


class SilenceWatch:
    """While the process stops, cuts off each connection on which a statement takes too long."""

    def __init__(self, silent_s: float = SILENT_S) -> None:
        self._silent_s = silent_s
        self._has_ended = threading.Event()

    def begin(self) -> None:
        """Look from now on, in a thread."""
        threading.Thread(target=self._watch, name="silence", daemon=True).start()

    def end(self) -> None:
        """Look no more."""
        self._has_ended.set()

    def _watch(self) -> None:
        since_s: WeakKeyDictionary[psycopg.Connection[Any], float] = WeakKeyDictionary()
        while not self._has_ended.wait(min(_LOOK_S, self._silent_s)):
            now_s = time.monotonic()
            for raw in list(_connections):
                if not _is_waited_for(raw):
                    since_s.pop(raw, None)
                elif now_s - since_s.setdefault(raw, now_s) >= self._silent_s:
                    since_s.pop(raw)
                    _cut_off(raw)


def _is_waited_for(raw: psycopg.Connection[Any]) -> bool:
    return not raw.closed and raw.info.transaction_status == pq.TransactionStatus.ACTIVE


def _cut_off(raw: psycopg.Connection[Any]) -> None:
    """Have whoever waits hear that the connection has ended; to close it is their affair."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(raw.fileno())) as ours:
        ours.shutdown(socket.SHUT_RDWR)
        _log.warning("database_given_up", reason="it does not answer, and the service stops")
