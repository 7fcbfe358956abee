"""Moves SQLite's write-ahead log into its file beside the connection that writes.

By itself a connection does so in the commit that makes the log too long, and who waits for that
commit waits for it, up to a second: and for that of every commit after it, as long as a reader
keeps the log from beginning anew.
"""

from __future__ import annotations

import threading
from pathlib import Path

import structlog

from service.stores.event_database import SqliteConnection, connect_file
from service.stores.event_log import Database

AFTER_ROWS = 6_000
"""Some 8,000 pages, 32 MB: a longer log lets pages that many commits touch be moved once."""
ROWS_A_COMMIT = 8
"""As many pages as a commit writes besides, counted as rows."""
AFTER_S = 60.0
"""When less is written."""
LONGEST_PAGES = 64_000
"""The connection that writes moves a log itself that grows to this in spite of the thread."""
N_PASSES = 4
"""What is committed during one is for the next, which is shorter."""
FEW_PAGES = 500
"""What may be left for the connection that writes."""
BETWEEN_PASSES_S = 0.02
"""In which an erasure, which SQLite lets wait for nobody else who moves the log, gets its turn."""

_log = structlog.get_logger(__name__)


class Checkpointer:
    """A thread with a connection of its own; the other methods are for the thread that writes."""

    def __init__(
        self, path: Path, *, after_rows: int = AFTER_ROWS, after_s: float = AFTER_S
    ) -> None:
        self._path = path
        self._after_rows = after_rows
        self._after_s = after_s
        self._n_rows = 0
        self._is_due = threading.Event()
        self._is_moved = threading.Event()
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpointer", daemon=True)

    def start(self) -> None:
        """Begin to wait for rows."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the pass under way."""
        self._is_closing.set()
        self._is_due.set()
        self._thread.join()

    def relieve(self, connection: Database) -> None:
        """Let a connection that writes leave it to this thread."""
        connection.execute(f"PRAGMA wal_autocheckpoint = {LONGEST_PAGES}")

    def note(self, n_rows: int) -> None:
        """Count a commit of so many rows."""
        # The thread may take the count meanwhile: then some rows are not in it, or stay in it.
        self._n_rows += n_rows + ROWS_A_COMMIT
        if self._n_rows >= self._after_rows:
            self._is_due.set()

    def finish(self, connection: Database) -> bool:
        """Move what little was committed during the last pass, if there was one; tell whether.

        Between two commits the log has no end that moves, so after it the next one begins the log
        anew. To be called when the answers of a commit are out.
        """
        if not self._is_moved.is_set():
            return False
        self._is_moved.clear()
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        return True

    def _run(self) -> None:
        connection: SqliteConnection | None = None
        while True:
            self._is_due.wait(self._after_s)
            self._is_due.clear()
            if self._is_closing.is_set():
                break
            n_rows, self._n_rows = self._n_rows, 0
            if not n_rows:
                continue
            try:
                connection = connection or connect_file(self._path)
                self._move(connection)
            except Exception as error:  # the log grows meanwhile, and the writer moves it
                _log.warning("log_not_moved", error=str(error))
        if connection is not None:
            connection.close()

    def _move(self, connection: SqliteConnection) -> None:
        before = 0
        for _ in range(N_PASSES):
            # The last is how much of the log is in the file, not what this pass has brought.
            _, _, n_moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if abs(n_moved - before) < FEW_PAGES or self._is_closing.wait(BETWEEN_PASSES_S):
                break
            before = n_moved
        self._is_moved.set()
