"""The rows of ``events.sqlite`` that belong to one person: found, read, deleted."""

from __future__ import annotations

from collections.abc import Sequence

from service.stores.archive_files import CLOCKS, has_archive
from service.stores.event_database import connect, erase_thoroughly, fold_log, reported
from service.stores.event_log import Database, EventLog
from service.stores.event_schema import metadata
from service.stores.key_pieces import in_pieces

Row = dict[str, str | int | float | None]

COLUMNS = {
    "events": ("user_key", "anonymous_key"),
    "exposures": ("user_key", "anonymous_key", "unit_key"),
    "identities": ("user_key", "unit_key"),
    "unit_links": ("unit_key", "other_key"),
}
"""Every table with pseudonyms of people, and its columns that hold one."""

_NAMES = {table: metadata.tables[table].columns.keys() for table in COLUMNS}
_COUNTED = {"events": "erased_events", "exposures": "erased_exposures"}
_ARCHIVED = {"events": "archived_events", "exposures": "archived_exposures"}
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
_SHARED = """
SELECT EXISTS (SELECT 1 FROM events WHERE anonymous_key = :visitor AND user_key <> :key)
    OR EXISTS (SELECT 1 FROM exposures WHERE anonymous_key = :visitor AND user_key <> :key)
    OR EXISTS (SELECT 1 FROM exposures WHERE unit_key = :visitor AND user_key <> :key)
    OR EXISTS (SELECT 1 FROM identities WHERE unit_key = :visitor AND user_key <> :key)
    OR EXISTS (SELECT 1 FROM unit_links WHERE unit_key = :visitor AND other_kind = 'user_id'
               AND other_key <> :key)
    OR EXISTS (SELECT 1 FROM unit_links JOIN identities ON identities.unit_key = other_key
               WHERE unit_links.unit_key = :visitor AND identities.user_key <> :key)
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
            return [key] + [
                visitor
                for visitor in sorted(visitors - shared)
                if not connection.execute(_SHARED, {"key": key, "visitor": visitor}).fetchone()[0]
            ]
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
    rows: dict[int, Row] = {}
    for piece, marks in in_pieces(keys):
        for values in connection.execute(
            f"SELECT seq, {', '.join(names)} FROM {table} WHERE {_where(table, marks)}",
            [*piece] * len(COLUMNS[table]),
        ):
            rows[values[0]] = dict(zip(names, values[1:], strict=True))
    return [rows[seq] for seq in sorted(rows)]


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

    The rows are looked for before the write lock is taken, so intake waits for the deletion only.

    Raises
    ------
    StoreError
        If the store cannot be written; then nothing was deleted.
    """
    with reported(path):
        connection = connect(path)
        try:
            erase_thoroughly(connection)
            found = {table: _seqs(connection, table, keys) for table in COLUMNS}
            connection.execute("BEGIN IMMEDIATE")
            deleted = {
                table: delete_counted(connection, table, rows) for table, rows in found.items()
            }
            connection.execute("COMMIT")
            # The log still holds the old pages until it is folded into the file.
            fold_log(connection)
        finally:
            connection.close()
    return deleted


def _seqs(connection: Database, table: str, keys: list[str]) -> list[tuple[int]]:
    return [
        row
        for piece, marks in in_pieces(keys)
        for row in connection.execute(
            f"SELECT seq FROM {table} WHERE {_where(table, marks)}",
            [*piece] * len(COLUMNS[table]),
        )
    ]


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


def _where(table: str, marks: str) -> str:
    return " OR ".join(f"{column} IN ({marks})" for column in COLUMNS[table])
