"""Opens ``events.sqlite`` for the hot path: the newest schema once, then driver connections."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from service.stores.sqlite import BUSY_TIMEOUT_MS, open_engine, reported

EVENTS_FILE = "events.sqlite"

# A larger log before a checkpoint lets pages that many commits touch be written back once.
_CHECKPOINT_PAGES = 8_000
_CACHE_KIB = 16_384
_READER_CACHE_KIB = 4_096
"""Readers touch few pages, and each worker has several; the system caches the file as well."""


def open_event_database(home: Path) -> Path:
    """Create or upgrade the event store of `home` and return its path; safe to race from workers.

    Raises
    ------
    StoreError
        If the file cannot be opened, is no database, or comes from a newer version of Endcap.
    """
    path = home / EVENTS_FILE
    with reported(path):
        open_engine(path, "events").dispose()
    return path


def connect(
    path: Path,
    *,
    busy_timeout_ms: int = BUSY_TIMEOUT_MS,
    read_only: bool = False,
    is_light: bool = False,
) -> sqlite3.Connection:
    """Open a connection in autocommit mode with write-ahead log and full synchronisation.

    One that `is_light` writes little, and keeps as few pages in memory as a reader.

    Raises
    ------
    StoreError
        If the file cannot be opened.
    """
    with reported(path):
        # Each connection is used by one thread at a time, though not always by the same one.
        # Addresses are for files that are attached read-only.
        connection = sqlite3.connect(
            path,
            isolation_level=None,
            check_same_thread=False,
            timeout=busy_timeout_ms / 1000,
            uri=True,
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        cache_kib = _READER_CACHE_KIB if read_only or is_light else _CACHE_KIB
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
    return connection
