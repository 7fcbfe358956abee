"""Opens ``events.sqlite``: brings its schema up to date once, then hands out driver connections."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine, event
from sqlalchemy.engine import Connection

from models.errors import StoreError

EVENTS_FILE = "events.sqlite"

_MIGRATIONS = Path(__file__).with_name("event_migrations")
_MIGRATE_TIMEOUT_S = 30.0
# A larger log before a checkpoint lets pages that many commits touch be written back once.
_CHECKPOINT_PAGES = 8_000
_CACHE_KIB = 32_768


def connect(
    path: Path, *, busy_timeout_ms: int = 5_000, read_only: bool = False
) -> sqlite3.Connection:
    """Open a connection in autocommit mode with write-ahead log and full synchronisation.

    Raises
    ------
    StoreError
        If the file cannot be opened.
    """
    try:
        # Each connection is used by one thread at a time, though not always by the same one.
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=busy_timeout_ms / 1000
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        raise StoreError(
            f"the event store {path} cannot be opened: {error}; check that the folder exists, is "
            "writable and has space"
        ) from error
    return connection


def open_event_database(home: Path) -> Path:
    """Create or upgrade the event store of `home` and return its path; safe to race from workers.

    Raises
    ------
    StoreError
        If the file cannot be opened, is no database, or comes from a newer version of Endcap.
    """
    home.mkdir(parents=True, exist_ok=True)
    path = home / EVENTS_FILE
    connect(path).close()
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    head = ScriptDirectory.from_config(config).get_current_head()
    if _revision(path) != head:
        _upgrade(path, config)
    return path


def _revision(path: Path) -> str | None:
    connection = connect(path, read_only=True)
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:  # a new file has no such table
        return None
    finally:
        connection.close()
    return None if row is None else str(row[0])


def _upgrade(path: Path, config: Config) -> None:
    engine = create_engine(
        "sqlite://",
        creator=lambda: connect(path, busy_timeout_ms=int(_MIGRATE_TIMEOUT_S * 1000)),
        poolclass=NullPool,
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # The write lock makes a second process wait, and find nothing left to do.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except Exception as error:
        raise StoreError(
            f"the event store {path} cannot be brought to this version's schema: {error}; "
            "restore a backup or use the version of Endcap that wrote it"
        ) from error
    finally:
        engine.dispose()
