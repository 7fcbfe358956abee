"""Opens the event store, whatever it is: the newest schema once, then driver connections."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

from service.stores.event_log import LOG, Database, EventLog, PostgresLog, event_log
from service.stores.sqlite import BUSY_TIMEOUT_MS, open_engine, use_write_ahead_log
from service.stores.sqlite import reported as reported_of_file

# A larger log before a checkpoint lets pages that many commits touch be written back once.
_CHECKPOINT_PAGES = 8_000
_TRY_AGAIN_S = 0.005
_CACHE_KIB = 16_384
_READER_CACHE_KIB = 4_096
"""Readers touch few pages, and each worker has several; the system caches the file as well."""


class SqliteConnection(sqlite3.Connection):
    """The driver's connection, and what each database says in its own way."""

    def data_version(self) -> int:
        """Return a number that changes when another connection commits; costs microseconds."""
        return int(self.execute("PRAGMA data_version").fetchone()[0])

    def stream(self, sql: str, parameters: Sequence[Any], n_rows: int) -> Iterator[list[Any]]:
        """Hand a long answer out in blocks."""
        cursor = self.execute(sql, parameters)
        while rows := cursor.fetchmany(n_rows):
            yield rows


@overload
def open_event_database(home: Path) -> Path: ...


@overload
def open_event_database(home: Path, url: str | None) -> EventLog: ...


def open_event_database(home: Path, url: str | None = None) -> EventLog:
    """Create or upgrade the event store of `home` and return its place; safe to race from workers.

    Raises
    ------
    StoreError
        If it cannot be opened, is no database, or comes from a newer version of Endcap.
    """
    log = event_log(home, url)
    with reported(log):
        if isinstance(log, PostgresLog):
            from service.stores.postgres_schema import make_schema  # noqa: PLC0415  # its driver

            make_schema(log)
        else:
            open_engine(log, "events").dispose()
    return log


def connect(
    log: EventLog,
    *,
    busy_timeout_ms: int = BUSY_TIMEOUT_MS,
    read_only: bool = False,
    is_light: bool = False,
) -> Database:
    """Open a connection in autocommit mode; what it commits is on disk.

    One that `is_light` writes little, and keeps as few pages in memory as a reader.

    Raises
    ------
    StoreError
        If the store cannot be opened.
    """
    if isinstance(log, PostgresLog):
        return _connect_to_server(log, LOG, busy_timeout_ms)
    cache_kib = _READER_CACHE_KIB if read_only or is_light else _CACHE_KIB
    connection = connect_file(log, busy_timeout_ms=busy_timeout_ms, cache_kib=cache_kib)
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def connect_file(
    path: Path, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS, cache_kib: int = _READER_CACHE_KIB
) -> SqliteConnection:
    """Open a SQLite file with write-ahead log and full synchronisation.

    Raises
    ------
    StoreError
        If the file cannot be opened.
    """
    with reported_of_file(path):
        # Each connection is used by one thread at a time, though not always by the same one.
        # Addresses are for files that are attached read-only.
        connection = sqlite3.connect(
            path,
            isolation_level=None,
            check_same_thread=False,
            timeout=busy_timeout_ms / 1000,
            uri=True,
            factory=SqliteConnection,
        )
        use_write_ahead_log(connection, busy_timeout_ms)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    return connection


def connect_derived(
    log: EventLog, name: str, *, busy_timeout_ms: int, cache_kib: int = _READER_CACHE_KIB
) -> Database:
    """Open sums that are derived from the event store: a file beside it, or a schema in it.

    Its tables are seen as those of ``log``.

    Raises
    ------
    StoreError
        If they cannot be opened.
    """
    if isinstance(log, PostgresLog):
        return _connect_to_server(log, name, busy_timeout_ms)
    path = derived_file(log, name)
    connection = connect_file(path, busy_timeout_ms=busy_timeout_ms, cache_kib=cache_kib)
    try:
        with reported_of_file(path):
            # Losing the last steps to a power cut costs no more than taking them again.
            connection.execute("PRAGMA synchronous = NORMAL")
            # Read-only, for BEGIN IMMEDIATE takes the write lock of every file that has one.
            connection.execute("ATTACH ? AS log", (f"{log.resolve().as_uri()}?mode=ro",))
    except BaseException:
        connection.close()
        raise
    return connection


def derived_file(log: EventLog, name: str) -> Path:
    """Name the file of derived sums beside a SQLite file."""
    return log.with_name(f"{name}.sqlite")


def erase_thoroughly(connection: Database) -> None:
    """Let what this connection deletes be overwritten too; a server has no such wish to grant."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA secure_delete = ON")


def fold_log(connection: Database) -> bool:
    """Bring what was overwritten to the file itself, for its log still holds the old pages.

    Of no file that is attached, for those are read-only. Whoever holds a page for longer than
    `BUSY_TIMEOUT_MS` keeps it in the log; a search finds it there, and the answer is no.
    """
    if not isinstance(connection, sqlite3.Connection):
        return True
    end_s = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    # SQLite waits for readers, but not for another connection that moves the log right now.
    while connection.execute("PRAGMA main.wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > end_s:
            return False
        time.sleep(_TRY_AGAIN_S)
    return True


@contextmanager
def reported(log: EventLog) -> Iterator[None]:
    """Turn a driver's error into a `StoreError` that names the store."""
    if isinstance(log, PostgresLog):
        from service.stores.postgres import reported_by_server  # noqa: PLC0415  # its driver

        with reported_by_server(log):
            yield
    else:
        with reported_of_file(log):
            yield


@contextmanager
def reported_derived(log: EventLog, name: str) -> Iterator[None]:
    """Turn a driver's error into a `StoreError` that names the file of derived sums."""
    with reported(log if isinstance(log, PostgresLog) else derived_file(log, name)):
        yield


def has_derived(log: EventLog, name: str) -> bool:
    """Say whether sums may be there; a server is not asked."""
    return isinstance(log, PostgresLog) or derived_file(log, name).exists()


def stop_listening(log: EventLog) -> None:
    """End what this process hears of a server's commits, if it does."""
    if isinstance(log, PostgresLog):
        from service.stores.postgres_listener import stop_listening as stop  # noqa: PLC0415  # its driver

        stop(log)


def unreachable_since_ms(log: EventLog) -> int | None:
    """Return since when the server of a log cannot be reached, if it cannot; a file always can."""
    if isinstance(log, PostgresLog):
        from service.stores.postgres_listener import listener_of  # noqa: PLC0415  # its driver

        return listener_of(log).deaf_since_ms
    return None


def is_busy(error: Exception) -> bool:
    """Tell whether a driver's error says that somebody else held a lock for too long."""
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return type(error).__name__ == "LockNotAvailable"


def _connect_to_server(log: PostgresLog, schema: str, busy_timeout_ms: int) -> Database:
    from service.stores.postgres import PostgresConnection  # noqa: PLC0415  # its driver

    with reported(log):
        return PostgresConnection(log, schema, busy_timeout_ms=busy_timeout_ms, looks=True)
