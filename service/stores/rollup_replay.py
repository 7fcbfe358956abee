"""Puts the log together again, archived days and all, for running sums that are made anew.

The folds join events to exposures by id and by unit, so all of them have to lie in one file with
its indexes: ``rollup-replay.sqlite``, made once, added up in place of the store, and deleted. For a
long log that takes memory and minutes, so a process of its own makes it:
``python -m service.stores.rollup_replay EVENTS``.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from models.errors import EndcapError, StoreError
from service.stores.archive_files import (
    CLOCKS,
    ArchivedTable,
    archive_lock,
    day_files,
    has_archive,
)
from service.stores.event_database import SqliteConnection, connect, reported
from service.stores.event_log import EVENTS_FILE, Database, EventLog
from service.stores.personal_rows import COLUMNS
from service.stores.settled_events import last_settled

REPLAY_FILE = "rollup-replay.sqlite"
PENDING = "replay"
"""Of `progress`, while archived rows are still to be added."""

_TABLES = (*CLOCKS, "identities")
_NICENESS = 10
_BUSY_TIMEOUT_S = 60.0
_MODULE = "service.stores.rollup_replay"


def mark(connection: Database, events: EventLog) -> None:
    """Note that sums which are empty want the archive, if there is one."""
    if has_archive(events):
        # One of sums before may not have what moved since.
        events.with_name(REPLAY_FILE).unlink(missing_ok=True)
        connection.execute("INSERT INTO progress VALUES (?, 1) ON CONFLICT DO NOTHING", (PENDING,))


def attach(connection: Database, events: EventLog) -> None:
    """Go over to all that ever was in the log, if the sums want it and it is there."""
    if isinstance(connection, sqlite3.Connection) and is_waiting(connection):
        store, path = _attached(connection), events.with_name(REPLAY_FILE)
        if path.exists():
            try:
                _go_over(connection, path)
            except sqlite3.OperationalError:  # added up and deleted by now, or half altered
                _go_over(connection, store)


def is_waiting(connection: Database) -> bool:
    """Tell whether nothing can be added before `write_replay`."""
    return (
        isinstance(connection, sqlite3.Connection)
        and _attached(connection).name != REPLAY_FILE
        and _is_pending(connection)
    )


def follow(connection: Database) -> None:
    """Go over to the event store, if another process has added the rest of the archive."""
    if isinstance(connection, sqlite3.Connection):
        path = _attached(connection)
        if path.name == REPLAY_FILE and not _is_pending(connection):
            _go_over(connection, path.with_name(EVENTS_FILE))


def finish(connection: Database) -> bool:
    """Go over to the event store once all of the archive is added; tell whether that was now."""
    if not isinstance(connection, sqlite3.Connection):
        return False
    path = _attached(connection)
    if path.name != REPLAY_FILE:
        return False
    connection.execute("DELETE FROM progress WHERE name = ?", (PENDING,))
    _go_over(connection, path.with_name(EVENTS_FILE))
    path.unlink(missing_ok=True)
    return True


def count_archived(connection: Database) -> int:
    """Count the archived rows that wait."""
    if not is_waiting(connection):
        return 0
    found = connection.execute(
        "SELECT coalesce(sum(value), 0) FROM log.counters "
        "WHERE name IN ('archived_events', 'archived_exposures')"
    )
    return int(found.fetchone()[0])


def forget(events: EventLog, keys: Collection[str]) -> int:
    """Take persons out of the file, if there is one; call it under the archive's lock.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    path = events.with_name(REPLAY_FILE)
    _draft(path).unlink(missing_ok=True)
    if not path.exists():
        return 0
    n_rows = 0
    marks = ", ".join("?" * len(keys))
    with (
        reported(path),
        closing(sqlite3.connect(path, isolation_level=None, timeout=_BUSY_TIMEOUT_S)) as connection,
    ):
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            for column in COLUMNS[table]:
                n_rows += connection.execute(
                    f"DELETE FROM {table} WHERE {column} IN ({marks})", (*keys,)
                ).rowcount
        connection.execute("COMMIT")
    return n_rows


def start_replay(events: EventLog) -> subprocess.Popen[bytes]:
    """Begin to make the file, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", _MODULE, str(events)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def make_replay(events: EventLog) -> None:
    """Make the file and wait for it.

    Raises
    ------
    StoreError
        If a file cannot be read, or the disk has no room for it.
    """
    with start_replay(events) as process:
        check_replay(process, process.communicate()[1])


def check_replay(process: subprocess.Popen[bytes], said: bytes) -> None:
    """Raise `StoreError` if a process that made the file failed."""
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        raise StoreError(
            f"the archived days cannot be added up: {lines[-1] if lines else process.returncode}"
        )


def write_replay(events: Path) -> None:
    """Copy the store, and then the archive: what moves meanwhile waits for the lock."""
    path = events.with_name(REPLAY_FILE)
    with archive_lock(events), reported(path):
        journal = path.with_name(f"{path.name}-journal")
        if path.exists() and not journal.exists():
            return
        for half in (path, journal):
            half.unlink(missing_ok=True)
        draft = _draft(path)
        draft.unlink(missing_ok=True)
        try:
            _write(events, draft)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def write_whole(events: Path, draft: Path) -> None:
    """Put all of a log that nobody writes into a file; call it under the archive's lock."""
    draft.unlink(missing_ok=True)
    with reported(draft):
        _write(events, draft, is_quiet=True)


def _write(events: Path, draft: Path, *, is_quiet: bool = False) -> None:
    with closing(connect(events, read_only=True)) as store:
        definitions = store.execute(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL "
            "AND tbl_name IN ('events', 'exposures', 'identities') "
            "ORDER BY type = 'index'"
        ).fetchall()
    tables = [text for (text,) in definitions if text.startswith("CREATE TABLE")]
    with closing(
        sqlite3.connect(draft, isolation_level=None, uri=True, factory=SqliteConnection)
    ) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = OFF")
        for text in tables:
            connection.execute(text)
        connection.execute("ATTACH ? AS log", (f"{events.resolve().as_uri()}?mode=ro",))
        connection.execute("BEGIN")
        _copy_store(connection, is_quiet=is_quiet)
        for table in CLOCKS:
            _copy_archive(connection, events, table)
        connection.execute("COMMIT")
        connection.execute("DETACH log")
        for (text,) in definitions:
            if text not in tables:
                connection.execute(text)


def _copy_store(connection: SqliteConnection, *, is_quiet: bool) -> None:
    """Copy what is there at one moment; where others write, no event whose exposure may come."""
    last = connection.execute("SELECT coalesce(max(seq), 0) FROM log.events").fetchone()[0]
    settled = last if is_quiet else last_settled(connection, 0, last, None)
    for table in _TABLES:
        upto = settled if table == "events" else sys.maxsize
        connection.execute(
            f"INSERT INTO main.{table} SELECT * FROM log.{table} WHERE seq <= ?", (upto,)
        )


def _copy_archive(connection: sqlite3.Connection, events: Path, table: ArchivedTable) -> None:
    from service.stores.archive import read_batches  # noqa: PLC0415  # loads PyArrow

    for file in day_files(events, table):
        for batch in read_batches(file, table):
            names = ", ".join(batch.schema.names)
            marks = ", ".join("?" * batch.num_columns)
            # After a cut in the middle of a move a row is in both places.
            connection.executemany(
                f"INSERT OR IGNORE INTO main.{table} ({names}) VALUES ({marks})",
                zip(*(column.to_pylist() for column in batch.columns), strict=True),
            )


def _draft(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _is_pending(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM main.progress WHERE name = ?", (PENDING,))
    return found.fetchone() is not None


def _attached(connection: sqlite3.Connection) -> Path:
    names = {row[1]: row[2] for row in connection.execute("PRAGMA database_list")}
    return Path(names["log"])


def _go_over(connection: sqlite3.Connection, path: Path) -> None:
    names = {row[1] for row in connection.execute("PRAGMA database_list")}
    if "log" in names:
        connection.execute("DETACH log")
    # Read-only, for BEGIN IMMEDIATE takes the write lock of every file that has one.
    connection.execute("ATTACH ? AS log", (f"{path.resolve().as_uri()}?mode=ro",))


def main(arguments: list[str]) -> int:
    """Make the file of one event store."""
    os.nice(_NICENESS)
    try:
        write_replay(Path(arguments[0]))
    except EndcapError as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
