"""Writes the file of `log_replay` in slices: who erases or moves rows goes between any two of them.

For a long log it takes memory and minutes, so a process of its own does it:
``python -m service.stores.replay_writing EVENTS``.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from pathlib import Path

from models.errors import EndcapError
from service.stores.archive_files import (
    CLOCKS,
    ArchivedTable,
    archive_turn,
    day_files,
    is_archive_awaited,
    stamp_of,
)
from service.stores.derived import transaction
from service.stores.event_database import SqliteConnection, connect, reported
from service.stores.log_replay import REPLAY_FILE, REPLAYED, draft_of, replay_lock
from service.stores.settled_events import last_settled

SLICE_ROWS = 50_000
"""Two seconds of work."""

_NICENESS = 10
_STEPS_A_LOOK = 500_000
"""Of SQLite's machine, a fraction of a second: how often an index looks whether somebody waits."""

_Turn = Callable[[], AbstractContextManager[None]]


def write_replay(events: Path) -> None:
    """Copy the store, and then the archive, which a row may move to meanwhile.

    Raises
    ------
    StoreError
        If a file cannot be read, or the disk has no room for it.
    """
    path = events.with_name(REPLAY_FILE)
    draft = draft_of(path)
    turn = partial(archive_turn, events)
    with reported(path), replay_lock(events):
        journal = path.with_name(f"{path.name}-journal")
        with turn():
            if path.exists() and not journal.exists():
                return
            for half in (path, journal, draft):
                half.unlink(missing_ok=True)
        try:
            _write(events, draft, turn, is_awaited=partial(is_archive_awaited, events))
            with turn():
                draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def write_whole(events: Path, draft: Path) -> None:
    """Put all of a log that nobody writes into a file; call it under the archive's lock."""
    draft.unlink(missing_ok=True)
    with reported(draft):
        _write(events, draft, nullcontext, is_quiet=True)


def _write(
    events: Path,
    draft: Path,
    turn: _Turn,
    *,
    is_awaited: Callable[[], bool] = lambda: False,
    is_quiet: bool = False,
) -> None:
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
        # What is cut off by whoever waits is taken back.
        connection.execute("PRAGMA journal_mode = MEMORY")
        # Who takes a person out finds all tables.
        with turn(), transaction(connection):
            for text in tables:
                connection.execute(text)
        connection.execute("ATTACH ? AS log", (f"{events.resolve().as_uri()}?mode=ro",))
        _copy_store(connection, turn, is_quiet=is_quiet)
        for table in CLOCKS:
            for file in day_files(events, table):
                _copy_file(connection, file, table, turn)
        connection.execute("DETACH log")
        for (text,) in definitions:
            if text not in tables:
                _make_index(connection, text, turn, is_awaited)


def _copy_store(connection: SqliteConnection, turn: _Turn, *, is_quiet: bool) -> None:
    """Copy what is there at one moment; where others write, no event whose exposure may come."""
    connection.execute("BEGIN")
    bounds = {
        table: connection.execute(f"SELECT coalesce(max(seq), 0) FROM log.{table}").fetchone()[0]
        for table in REPLAYED
    }
    if not is_quiet:
        bounds["events"] = last_settled(connection, 0, bounds["events"], None)
    connection.execute("COMMIT")
    for table, bound in bounds.items():
        after: int | None = 0
        while after is not None:
            with turn():
                after = _copy_slice(connection, table, after, bound)


def _copy_slice(connection: SqliteConnection, table: str, after: int, bound: int) -> int | None:
    """Copy some rows of the store, and return the last of them, if there was any."""
    upto = connection.execute(
        f"SELECT max(seq) FROM (SELECT seq FROM log.{table} "
        "WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?)",
        (after, bound, SLICE_ROWS),
    ).fetchone()[0]
    if upto is not None:
        connection.execute(
            f"INSERT INTO main.{table} SELECT * FROM log.{table} WHERE seq > ? AND seq <= ?",
            (after, upto),
        )
    return None if upto is None else int(upto)


def _copy_file(connection: SqliteConnection, file: Path, table: ArchivedTable, turn: _Turn) -> None:
    """Copy an archived day, from its begin again when somebody has altered it meanwhile."""
    from service.stores.archive import read_batches  # noqa: PLC0415  # loads PyArrow

    seen, batches = (0, 0), read_batches(file, table)
    while True:
        with turn():
            if not file.exists():  # nobody is left in it
                return
            stamp = stamp_of(file)
            if stamp != seen:
                seen, batches = stamp, read_batches(file, table)
            batch = next(batches, None)
            if batch is None:
                return
            names = ", ".join(batch.schema.names)
            marks = ", ".join("?" * batch.num_columns)
            with transaction(connection):
                # After a cut in the middle of a move a row is in both places.
                connection.executemany(
                    f"INSERT OR IGNORE INTO main.{table} ({names}) VALUES ({marks})",
                    zip(*(column.to_pylist() for column in batch.columns), strict=True),
                )


def _make_index(
    connection: SqliteConnection, definition: str, turn: _Turn, is_awaited: Callable[[], bool]
) -> None:
    """Make an index; who waits cuts it off, and then it is made from its begin."""
    while True:
        with turn():
            connection.set_progress_handler(is_awaited, _STEPS_A_LOOK)
            try:
                connection.execute(definition)
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                    raise
            finally:
                connection.set_progress_handler(None, 0)


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
