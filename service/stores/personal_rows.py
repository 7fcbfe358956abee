"""The rows of ``events.sqlite`` that belong to one person: found, read, deleted."""

from __future__ import annotations

import time
from collections.abc import Sequence

from service.stores.archive_files import CLOCKS, has_archive
from service.stores.derived import transaction
from service.stores.event_database import connect, erase_thoroughly, fold_log, reported
from service.stores.event_log import Database, EventLog
from service.stores.event_schema import metadata
from service.stores.key_list import LISTED, listed

Row = dict[str, str | int | float | None]

COLUMNS = {
    "events": ("user_key", "anonymous_key"),
    "exposures": ("user_key", "anonymous_key", "unit_key"),
    "identities": ("user_key", "unit_key"),
    "unit_links": ("unit_key", "other_key"),
}
"""Every table with pseudonyms of people, and its columns that hold one."""

HAS_KEY = {
    table: " OR ".join(f"{column} IN {LISTED}" for column in columns)
    for table, columns in COLUMNS.items()
}
"""By table, what holds for a row with one of the pseudonyms that `listed` gives."""

_NAMES = {table: metadata.tables[table].columns.keys() for table in COLUMNS}
_COUNTED = {"events": "erased_events", "exposures": "erased_exposures"}
_ARCHIVED = {"events": "archived_events", "exposures": "archived_exposures"}
AT_ONCE = 1_000
"""Rows that are deleted while others who write wait."""
REST_S = 0.02
"""How long the others may write then."""
_ERASER = 0
"""The writer under which the ledger counts what was deleted; no process has this number."""

# A visitor's id that came with this user and with no other one is theirs too. Links say so of those
# whose rows were kept long enough, and of users who are dealt as a visitor that came with others.
_VISITORS = """
SELECT anonymous_key FROM events WHERE user_key = :key AND anonymous_key IS NOT NULL
UNION SELECT anonymous_key FROM exposures WHERE user_key = :key AND anonymous_key IS NOT NULL
UNION SELECT unit_key FROM identities WHERE user_key = :key AND unit_kind = 'anonymous_id'
UNION SELECT other_key FROM unit_links WHERE other_kind = 'anonymous_id' AND unit_key IN (
  SELECT :key UNION SELECT unit_key FROM identities WHERE user_key = :key)
"""
_SHARED = f"""
SELECT anonymous_key FROM events WHERE anonymous_key IN {LISTED} AND user_key <> :key
UNION SELECT anonymous_key FROM exposures WHERE anonymous_key IN {LISTED} AND user_key <> :key
UNION SELECT unit_key FROM exposures WHERE unit_key IN {LISTED} AND user_key <> :key
UNION SELECT unit_key FROM identities WHERE unit_key IN {LISTED} AND user_key <> :key
UNION SELECT unit_key FROM unit_links WHERE unit_key IN {LISTED} AND other_kind = 'user_id'
  AND other_key <> :key
UNION SELECT unit_links.unit_key FROM unit_links
  JOIN identities ON identities.unit_key = other_key
  WHERE unit_links.unit_key IN {LISTED} AND identities.user_key <> :key
"""


def keys_of(path: EventLog, key: str) -> list[str]:
    """Return a person's pseudonym and those of the visitors that were nobody else.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    with reported(path):
        connection = connect(path, read_only=True)
        try:
            visitors = {row[0] for row in connection.execute(_VISITORS, {"key": key})}
            shared: set[str] = set()
            # Rows only ever move from the store to the archive: looked at last, it has them.
            if has_archive(path):
                from service.stores.archive import archived_visitors  # noqa: PLC0415  # PyArrow

                archived, shared = archived_visitors(path, key, visitors)
                visitors |= archived
            asked = {"key": key, **listed(visitors)}
            shared |= {row[0] for row in connection.execute(_SHARED, asked)}
            return [key, *sorted(visitors - shared)]
        finally:
            connection.close()


def read_rows(path: EventLog, keys: list[str]) -> dict[str, list[Row]]:
    """Return every row with one of these pseudonyms, by table, of the archive too.

    Raises
    ------
    StoreError
        If the store or a file of the archive cannot be read.
    """
    with reported(path):
        connection = connect(path, read_only=True)
        try:
            found = {table: _read(connection, table, keys) for table in COLUMNS}
        finally:
            connection.close()
    return _with_archived(path, keys, found) if has_archive(path) else found


def _read(connection: Database, table: str, keys: list[str]) -> list[Row]:
    """Read a table's rows by their `seq`; one that has two of the pseudonyms counts once."""
    names = _NAMES[table]
    found = connection.execute(
        f"SELECT {', '.join(names)} FROM {table} WHERE {HAS_KEY[table]} ORDER BY seq",
        listed(keys),
    )
    return [dict(zip(names, values, strict=True)) for values in found]


def _with_archived(
    path: EventLog, keys: list[str], found: dict[str, list[Row]]
) -> dict[str, list[Row]]:
    """Add archived rows; one that was being moved is there twice, and counts once."""
    from service.stores.archive import archived_rows  # noqa: PLC0415  # loads PyArrow

    joined = dict(found)
    for table in CLOCKS:
        rows = {row["seq"]: row for row in [*archived_rows(path, table, keys), *found[table]]}
        joined[table] = [rows[seq] for seq in sorted(rows, key=int)]  # type: ignore[arg-type]  # a number
    return joined


def delete_rows(path: EventLog, keys: list[str]) -> dict[str, int]:
    """Delete every row with one of these pseudonyms, overwrite it, and count by table.

    The rows are looked for before the write lock is taken, and deleted some at a time, so intake
    waits for a few of them only.

    Raises
    ------
    StoreError
        If the store cannot be written; what was deleted before stays deleted.
    """
    with reported(path):
        connection = connect(path)
        try:
            erase_thoroughly(connection)
            found = {table: _seqs(connection, table, keys) for table in COLUMNS}
            deleted = {table: _delete(connection, table, rows) for table, rows in found.items()}
            # The log still holds the old pages until it is folded into the file.
            fold_log(connection)
        finally:
            connection.close()
    return deleted


def _seqs(connection: Database, table: str, keys: list[str]) -> list[tuple[int]]:
    return connection.execute(
        f"SELECT seq FROM {table} WHERE {HAS_KEY[table]}", listed(keys)
    ).fetchall()


def _delete(connection: Database, table: str, seqs: list[tuple[int]]) -> int:
    n_rows = 0
    for begin in range(0, len(seqs), AT_ONCE):
        if begin:
            # Whoever waits for the lock looks for it now and then, and would find it taken again.
            time.sleep(REST_S)
        with transaction(connection):
            n_rows += delete_counted(connection, table, seqs[begin : begin + AT_ONCE])
    return n_rows


def delete_counted(connection: Database, table: str, seqs: Sequence[tuple[int]]) -> int:
    """Delete rows of the store, note in the ledger how many, so that it still adds up, and say it.

    Fewer than are named, if another process has deleted some since they were looked for.
    """
    if not seqs:
        return 0
    n_rows = connection.executemany(f"DELETE FROM {table} WHERE seq = ?", seqs).rowcount
    if table in _COUNTED:
        _count(connection, _COUNTED[table], n_rows)
    return n_rows


def count_archived(connection: Database, table: str, n_rows: int) -> None:
    """Note in the ledger how many rows went to the archive."""
    _count(connection, _ARCHIVED[table], n_rows)


def count_deleted_archived(connection: Database, table: str, n_rows: int) -> None:
    """Note in the ledger how many rows were deleted from the archive."""
    connection.execute("BEGIN IMMEDIATE")
    _count(connection, _ARCHIVED[table], -n_rows)
    _count(connection, _COUNTED[table], n_rows)
    connection.execute("COMMIT")


def read_archived(connection: Database, table: str) -> int:
    """Return how many rows the archive has by the ledger."""
    return int(
        connection.execute(
            "SELECT coalesce(sum(value), 0) FROM counters WHERE name = ?", (_ARCHIVED[table],)
        ).fetchone()[0]
    )


def _count(connection: Database, name: str, n_rows: int) -> None:
    connection.execute(
        "INSERT INTO counters (writer_id, name, value) VALUES (?, ?, ?) "
        "ON CONFLICT (writer_id, name) DO UPDATE SET value = counters.value + excluded.value",
        (_ERASER, name, n_rows),
    )
