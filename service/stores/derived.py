"""Tables of sums that are derived from the event store: of one version, or made anew.

In SQLite they are a file beside it, which the store is attached to as ``log``; in PostgreSQL a
schema beside the schema ``log``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from service.stores.event_log import Database
from service.stores.newer_sums import NewerSumsError


@contextmanager
def transaction(connection: Database) -> Iterator[None]:
    """Commit what is done inside, or on any error nothing of it; no other writer runs beside."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def make_tables(
    connection: Database,
    name: str,
    version: int,
    tables: str,
    *,
    upgrades: Mapping[int, str] = MappingProxyType({}),
    on_made: Callable[[], None] = lambda: None,
) -> None:
    """Make the tables where they are missing or of another version.

    `upgrades` says by version what is made beside the tables of a file, which stay. `on_made` is
    called in the transaction that makes any.

    Raises
    ------
    NewerSumsError
        If those in a database are newer: other machines use them. A file is of this one alone.
    """
    if version_of(connection, name) == version:
        return
    with transaction(connection):
        found = version_of(connection, name)
        if found == version:
            return
        if isinstance(connection, sqlite3.Connection):
            added = upgrades.get(found)
            if added is None:
                _drop_all(connection)
            else:
                tables = added
            statements = [*tables.split(";\n"), f"PRAGMA user_version = {version}"]
        else:
            from service.stores.postgres_schema import derived_tables  # noqa: PLC0415  # its driver

            if found > version:
                raise NewerSumsError(name, found, version)
            statements = derived_tables(name, version, tables)
        for statement in statements:
            connection.execute(statement)
        on_made()


def _drop_all(connection: sqlite3.Connection) -> None:
    names = connection.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'")
    for (table,) in names.fetchall():
        connection.execute(f"DROP TABLE main.{table}")


def version_of(connection: Database, name: str) -> int:
    """Read the version of the tables, 0 where there are none; costs a query of the catalogue."""
    if isinstance(connection, sqlite3.Connection):
        return int(connection.execute("PRAGMA main.user_version").fetchone()[0])
    # From the catalogue itself: what a session knows of a name may be older than a lock it got.
    shown = connection.execute(
        "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = ?", (name,)
    ).fetchone()
    return int((shown and shown[0]) or 0)
