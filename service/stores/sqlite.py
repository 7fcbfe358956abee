"""How a SQLite file is opened and brought to the newest schema, the same way for every store."""

from __future__ import annotations

import fcntl
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from models.errors import StoreError

BUSY_TIMEOUT_MS = 5_000
_PAUSE_S = 0.005
MIGRATIONS = Path(__file__).parent / "migrations"

Schema = Literal["control", "events"]
"""A folder of migrations below `migrations/`; each schema has a file of its own."""


def open_engine(path: Path, schema: Schema) -> Engine:
    """Open a SQLite file, made if missing, and upgrade it; other processes may do the same."""
    with reported(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin_immediate)
    with reported(path), _upgrade_lock(path), engine.connect() as connection:
        upgrade(connection, schema)
    return engine


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a read-only connection of the driver's own, for polling and other hot reads."""
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro",
        uri=True,
        timeout=BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA query_only = 1")
    return connection


def open_plain(path: Path) -> sqlite3.Connection:
    """Open a connection of the driver's own without a transaction around each statement."""
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)


def check_readable(path: Path, table: str) -> None:
    """Read a row of a store.

    Raises
    ------
    StoreError
        If the file is gone, damaged or may not be read.
    """
    with reported(path), closing(open_reader(path)) as connection:
        connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn a driver's error into a `StoreError` that names the file."""
    try:
        yield
    except (DBAPIError, sqlite3.Error, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise StoreError(
            f"the store {path} cannot be read or written: {cause}; "
            "check its free space, its owner and that no backup holds it"
        ) from error


def use_write_ahead_log(connection: sqlite3.Connection, busy_timeout_ms: int) -> None:
    """Have changes of a file written to a log beside it, as all of ours are.

    Where several open a file that is new, SQLite tells all but one at once that it is locked,
    whatever the timeout, so they ask again.

    Raises
    ------
    sqlite3.OperationalError
        If somebody holds the file for longer.
    """
    end_s = time.monotonic() + busy_timeout_ms / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() >= end_s:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own transactions begin too late for BEGIN IMMEDIATE, so they are switched off.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    use_write_ahead_log(connection, BUSY_TIMEOUT_MS)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock at once, so that what a transaction reads holds until it writes."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _upgrade_lock(path: Path) -> Iterator[None]:
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def upgrade(connection: Connection, schema: Schema) -> None:
    """Bring a store to the newest schema; the caller sees to it that one does so at a time."""
    config = Config()
    # Alembic interpolates % in its options, and a path may hold one.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("version_locations", str(MIGRATIONS / schema).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"the store {connection.engine.url.database or schema} is not of this version of "
            f"Endcap: {error}; start the version that wrote it, or bring back a backup"
        ) from error
