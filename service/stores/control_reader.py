"""The hot read of control.sqlite: has anything changed, and what? Each worker polls with it.

`PRAGMA data_version` moves when another connection commits; it takes microseconds and no lock.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from service.stores.control import StoredDocument, StoredKey
from service.stores.sqlite import open_reader, reported


class ControlReader:
    """One read-only connection; threads wait for each other.

    `close` waits too: closing a connection that another thread reads from crashes the process, and
    a cancelled task does not stop the thread it waits for.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        with reported(path):
            self._connection = open_reader(path)

    def data_version(self) -> int:
        """Return a number that differs after any commit of any other connection."""
        with self._lock, reported(self._path):
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def changes_since(
        self, revision: int
    ) -> tuple[int, list[StoredDocument], list[tuple[str, str]], list[StoredKey]]:
        """Return the newest revision, documents written, (kind, id) deleted, and all keys."""
        with self._lock, reported(self._path):
            self._connection.execute("BEGIN")
            try:
                return self._read(revision)
            finally:
                self._connection.execute("COMMIT")

    def _read(
        self, revision: int
    ) -> tuple[int, list[StoredDocument], list[tuple[str, str]], list[StoredKey]]:
        run = self._connection.execute
        newest = run("SELECT coalesce(max(revision), 0) FROM audit").fetchone()[0]
        written = run(
            "SELECT kind, id, body, revision FROM documents WHERE revision > ?", (revision,)
        ).fetchall()
        deleted = run(
            "SELECT DISTINCT kind, id FROM audit WHERE revision > ? AND after IS NULL "
            "AND NOT EXISTS (SELECT 1 FROM documents d "
            "WHERE d.kind = audit.kind AND d.id = audit.id)",
            (revision,),
        ).fetchall()
        keys = run(
            "SELECT id, name, scope, digest, created_at_ms, revoked_at_ms FROM keys"
        ).fetchall()
        return (
            int(newest),
            [StoredDocument(*row) for row in written],
            [(kind, document_id) for kind, document_id in deleted],
            [StoredKey(*row) for row in keys],
        )

    def close(self) -> None:
        """Close the connection; reads that come later are refused."""
        with self._lock:
            self._connection.close()
