"""Writes ``events.sqlite`` from the process that has the events: commands, and a service in tests.

Workers of a server share a process that writes, see `service.stores.remote_events`.
"""

from __future__ import annotations

import os
from pathlib import Path

from service.stores.event_tables import BUSY_TIMEOUT_MS, EventTables
from service.stores.events import Batch, Committed, number_events
from service.stores.exposure_rows import exposure_rows


class SqliteEventStore:
    """The adapter of `service.stores.events.EventStore` with a connection of its own."""

    def __init__(
        self, path: Path, *, opened_ms: int, busy_timeout_ms: int = BUSY_TIMEOUT_MS
    ) -> None:
        self._tables = EventTables(path, busy_timeout_ms)
        self._opened_ms = opened_ms
        self._writer_id: int | None = None

    def commit(self, batch: Batch) -> Committed:
        """Write a batch; see the port."""
        rows = exposure_rows(batch.exposures)
        tables = self._tables
        with tables.transaction():
            writer_id = self._writer_id
            if writer_id is None:
                writer_id = tables.register(os.getpid(), self._opened_ms)
            inserted = tables.insert(batch.events, rows)
            tables.count(writer_id, batch.counts, inserted)
        self._writer_id = writer_id
        is_new, first_seq, n_exposures = inserted
        added = number_events(batch.events, is_new, first_seq)
        return Committed(is_new=is_new, added=added, n_exposures=n_exposures)

    def close(self, closed_ms: int) -> None:
        """Note that this writer drained, if it ever wrote, and close the file."""
        try:
            if self._writer_id is not None:
                self._tables.note_closed(self._writer_id, closed_ms)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the file without the note: something was left unwritten."""
        self._tables.close()
