"""The hot read of control.sqlite: has anything changed, and what? Each worker polls with it.

`PRAGMA data_version` moves when another connection commits; it takes microseconds and no lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from service.stores.control import StoredDocument, StoredKey
from service.stores.sqlite import open_reader, reported


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed after a revision."""

    newest: int
    """The newest revision of all."""
    latest: dict[str, int]
    """The newest revision by kind of document, of the kinds that have changed."""
    written: list[StoredDocument]
    deleted: list[tuple[str, str]]
    """Kind and id."""
    keys: list[StoredKey]
    """All keys, changed or not."""


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

    def changes_since(self, revision: int) -> Changes:
        """Read everything that has changed after a revision, in one state of the store."""
        with self._lock, reported(self._path):
            self._connection.execute("BEGIN")
            try:
                return self._read(revision)
            finally:
                self._connection.execute("COMMIT")

    def _read(self, revision: int) -> Changes:
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
        latest = run(
            "SELECT kind, max(revision) FROM audit WHERE revision > ? GROUP BY kind", (revision,)
        ).fetchall()
        return Changes(
            newest=int(newest),
            latest=dict(latest),
            written=[StoredDocument(*row) for row in written],
            deleted=[(kind, document_id) for kind, document_id in deleted],
            keys=[StoredKey(*row) for row in keys],
        )

    def close(self) -> None:
        """Close the connection; reads that come later are refused."""
        with self._lock:
            self._connection.close()
