"""The rows of ``events.sqlite`` that belong to one person: found, read, deleted."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from service.stores.event_database import connect
from service.stores.sqlite import reported

Row = dict[str, str | int | float | None]

COLUMNS = {
    "events": ("user_key", "anonymous_key"),
    "exposures": ("user_key", "anonymous_key", "unit_key"),
    "identities": ("user_key", "unit_key"),
    "unit_links": ("unit_key", "other_key"),
}
"""Every table with pseudonyms of people, and its columns that hold one."""

_COUNTED = {"events": "erased_events", "exposures": "erased_exposures"}
_ERASER = 0
"""The writer under which the ledger counts what was deleted; no process has this number."""

# A visitor's id that came with this user and with no other one is theirs too.
_VISITORS = """
SELECT anonymous_key FROM events WHERE user_key = :key AND anonymous_key IS NOT NULL
UNION SELECT anonymous_key FROM exposures WHERE user_key = :key AND anonymous_key IS NOT NULL
UNION SELECT unit_key FROM identities WHERE user_key = :key AND unit_kind = 'anonymous_id'
"""
_SHARED = """
SELECT EXISTS (SELECT 1 FROM events WHERE anonymous_key = :visitor AND user_key <> :key)
    OR EXISTS (SELECT 1 FROM exposures WHERE anonymous_key = :visitor AND user_key <> :key)
"""


def keys_of(path: Path, key: str) -> list[str]:
    """Return a person's pseudonym and those of the visitors that were nobody else.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    with reported(path):
        connection = connect(path, read_only=True)
        try:
            visitors = [row[0] for row in connection.execute(_VISITORS, {"key": key})]
            return [key] + [
                visitor
                for visitor in visitors
                if not connection.execute(_SHARED, {"key": key, "visitor": visitor}).fetchone()[0]
            ]
        finally:
            connection.close()


def read_rows(path: Path, keys: list[str]) -> dict[str, list[Row]]:
    """Return every row with one of these pseudonyms, by table.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    with reported(path):
        connection = connect(path, read_only=True)
        connection.row_factory = sqlite3.Row
        try:
            return {
                table: [
                    dict(row)
                    for row in connection.execute(
                        f"SELECT * FROM {table} WHERE {_where(table, keys)} ORDER BY seq",
                        keys * len(COLUMNS[table]),
                    )
                ]
                for table in COLUMNS
            }
        finally:
            connection.close()


def delete_rows(path: Path, keys: list[str]) -> dict[str, int]:
    """Delete every row with one of these pseudonyms, overwrite it, and count by table.

    The rows are looked for before the write lock is taken, so intake waits for the deletion only.

    Raises
    ------
    StoreError
        If the store cannot be written; then nothing was deleted.
    """
    with reported(path):
        connection = connect(path)
        try:
            connection.execute("PRAGMA secure_delete = ON")
            found = {
                table: connection.execute(
                    f"SELECT seq FROM {table} WHERE {_where(table, keys)}",
                    keys * len(COLUMNS[table]),
                ).fetchall()
                for table in COLUMNS
            }
            connection.execute("BEGIN IMMEDIATE")
            for table, rows in found.items():
                connection.executemany(f"DELETE FROM {table} WHERE seq = ?", rows)
                count_deleted(connection, table, len(rows))
            connection.execute("COMMIT")
            # The log still holds the old pages until it is folded into the file.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
    return {table: len(rows) for table, rows in found.items()}


def count_deleted(connection: sqlite3.Connection, table: str, n_rows: int) -> None:
    """Note in the ledger how many rows were deleted, so that it still adds up."""
    if table in _COUNTED:
        connection.execute(
            "INSERT INTO counters (writer_id, name, value) VALUES (?, ?, ?) "
            "ON CONFLICT (writer_id, name) DO UPDATE SET value = value + excluded.value",
            (_ERASER, _COUNTED[table], n_rows),
        )


def _where(table: str, keys: list[str]) -> str:
    marks = ", ".join("?" * len(keys))
    return " OR ".join(f"{column} IN ({marks})" for column in COLUMNS[table])
