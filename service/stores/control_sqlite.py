"""The control plane in control.sqlite: one machine, whose processes share the file.

`PRAGMA data_version` moves when another connection commits; it takes microseconds and no lock.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from threading import Lock

import sqlalchemy as sa

from service.stores.control_reader import Changes, read_changes
from service.stores.sqlite import open_engine, open_plain, open_reader, reported


class SqliteControl:
    """The file, opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.engine: sa.Engine = open_engine(path, "control")

    def reported(self) -> AbstractContextManager[None]:
        """Turn a driver's error into a `StoreError` that names the file."""
        return reported(self._path)

    def open_reader(self) -> SqliteControlReader:
        """Open what a worker polls with."""
        return SqliteControlReader(self._path)

    def drop_old_rows(self) -> None:
        """Fold the write-ahead log, which holds old pages, into the file."""
        with reported(self._path), closing(open_plain(self._path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class SqliteControlReader:
    """One read-only connection; threads wait for each other.

    `close` waits too: closing a connection that another thread reads from crashes the process, and
    a cancelled task does not stop the thread it waits for.
    """

    listen: Callable[[], None] | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        with reported(path):
            self._connection = open_reader(path)

    def data_version(self) -> int:
        """Return a number that differs after any commit of any other connection."""
        with self._lock, reported(self._path):
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def follows(self, _revision: int) -> bool:
        """Say yes: the file stays the same one as long as it is open."""
        return True

    def changes_since(self, revision: int) -> Changes:
        """Read everything that has changed after a revision, in one state of the store."""
        run = self._connection.execute
        with self._lock, reported(self._path):
            self._connection.execute("BEGIN")
            try:
                return read_changes(lambda sql, values: run(sql, values).fetchall(), revision)
            finally:
                self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the connection; reads that come later are refused."""
        with self._lock:
            self._connection.close()
