"""Writes ``events.sqlite``: one transaction for a group of events, exposures and their counts.

The tables are those of `service.stores.event_schema`; this is the only code that inserts into them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import msgspec

from models.errors import CapacityError, StoreError
from service.exposure import Exposure
from service.stores.event_database import connect
from service.stores.events import (
    Batch,
    Committed,
    Counts,
    NumberedEvent,
    StoreBusyError,
    StoredEvent,
)
from service.stores.key_filter import KeyFilter

_EXPOSURE_COLUMNS = Exposure.__struct_fields__
_INSERT_EVENT = (
    f"INSERT INTO events ({', '.join(StoredEvent._fields)}) "
    f"VALUES ({', '.join('?' * len(StoredEvent._fields))})"
)
_ROW = f"({', '.join('?' * len(_EXPOSURE_COLUMNS))})"


def _insert_exposures(n_rows: int) -> str:
    return (
        f"INSERT INTO exposures ({', '.join(_EXPOSURE_COLUMNS)}) "
        f"VALUES {', '.join([_ROW] * n_rows)} ON CONFLICT (exposure_id) DO NOTHING"
    )


# The interpreter lock changes hands once a statement, and whoever serves pages waits for it.
_INSERT_EXPOSURES = {n_rows: _insert_exposures(n_rows) for n_rows in (128, 32, 8, 1)}
"""By how many rows they insert, the most first."""
# One row back, so the interpreter lock changes hands once and not once an id.
_FIND_KNOWN = (
    "SELECT json_group_array(event_id) FROM events "
    "WHERE event_id IN (SELECT value FROM json_each(?))"
)
_LAST_SEQ = "SELECT seq FROM sqlite_sequence WHERE name = 'events'"
_ADD_COUNT = (
    "INSERT INTO counters (writer_id, name, value) VALUES (?, ?, ?) "
    "ON CONFLICT (writer_id, name) DO UPDATE SET value = value + excluded.value"
)

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_encode = msgspec.json.Encoder().encode
_decode_ids = msgspec.json.Decoder(list[str]).decode


class SqliteEventStore:
    """The adapter for one machine: the file, its lock and the filter of keys beside it."""

    def __init__(self, path: Path, *, opened_ms: int, busy_timeout_ms: int = 250) -> None:
        self._connection = connect(path, busy_timeout_ms=busy_timeout_ms)
        self._filter = KeyFilter(path)
        self._opened_ms = opened_ms
        self._writer_id: int | None = None

    def commit(self, batch: Batch) -> Committed:
        """Write a batch; see `service.stores.events.EventStore`."""
        with _reported():
            return self._commit(batch)

    def close(self, closed_ms: int) -> None:
        """Note that this writer drained, if it ever wrote, and close the file."""
        try:
            if self._writer_id is not None:
                with _reported():
                    self._connection.execute(
                        "UPDATE writers SET closed_ms = ? WHERE writer_id = ?",
                        (closed_ms, self._writer_id),
                    )
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the file without the note: something was left unwritten."""
        self._connection.close()
        self._filter.close()

    def _commit(self, batch: Batch) -> Committed:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            writer_id = self._register()
            is_new, added = self._insert_events(batch.events)
            n_exposures = self._insert_exposures(batch.exposures)
            self._note(added, batch.exposures)
            counts: Counts = {
                **batch.counts,
                "accepted": len(added),
                "duplicate": batch.counts.get("duplicate", 0) + len(is_new) - len(added),
                "stored": n_exposures,
            }
            connection.executemany(
                _ADD_COUNT, [(writer_id, name, n) for name, n in counts.items() if n]
            )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._writer_id = writer_id
        return Committed(is_new=is_new, added=added, n_exposures=n_exposures)

    def _register(self) -> int:
        if self._writer_id is not None:
            return self._writer_id
        inserted = self._connection.execute(
            "INSERT INTO writers (pid, opened_ms) VALUES (?, ?) RETURNING writer_id",
            (os.getpid(), self._opened_ms),
        )
        return int(inserted.fetchone()[0])

    def _insert_events(
        self, events: Sequence[StoredEvent]
    ) -> tuple[list[bool], list[NumberedEvent]]:
        if not events:
            return [], []
        ids = _encode([event.event_id for event in events]).decode()
        known = set(_decode_ids(self._connection.execute(_FIND_KNOWN, (ids,)).fetchone()[0]))
        is_new: list[bool] = []
        fresh: list[StoredEvent] = []
        for event in events:
            new = event.event_id not in known
            is_new.append(new)
            if new:
                known.add(event.event_id)
                fresh.append(event)
        row = self._connection.execute(_LAST_SEQ).fetchone()
        first = 1 + (0 if row is None else row[0])
        self._connection.executemany(_INSERT_EVENT, fresh)
        return is_new, [NumberedEvent(seq, event) for seq, event in enumerate(fresh, first)]

    def _note(self, added: Sequence[NumberedEvent], exposures: Sequence[Exposure]) -> None:
        """Say who has rows from now on, before anybody can read them."""
        rows = [event for _, event in added if event.item_id is not None]
        keys = {event.user_key for event in rows} | {event.anonymous_key for event in rows}
        self._filter.note("recent", filter(None, keys))
        dealt = {
            exposure.unit_key
            for exposure in exposures
            if exposure.user_key is None and exposure.reason == "SPLIT"
        }
        self._filter.note("dealt", filter(None, dealt))

    def _insert_exposures(self, exposures: Sequence[Exposure]) -> int:
        if not exposures:
            return 0
        rows = [_exposure_row(exposure) for exposure in exposures]
        n_inserted = begin = 0
        for n_rows, statement in _INSERT_EXPOSURES.items():
            while len(rows) - begin >= n_rows:
                block = list(chain.from_iterable(rows[begin : begin + n_rows]))
                n_inserted += self._connection.execute(statement, block).rowcount
                begin += n_rows
        return n_inserted


def _exposure_row(exposure: Exposure) -> tuple[str | int | None, ...]:
    *plain, candidates, shown = msgspec.structs.astuple(exposure)
    logged = _encode(candidates).decode() if candidates else None
    return (*plain, logged, _encode(shown).decode())


@contextmanager
def _reported() -> Iterator[None]:
    """Say in the port's words what the driver says of the store; errors of a value pass."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        # The low byte is the primary code: BUSY_SNAPSHOT and the like are kinds of BUSY.
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreBusyError(
                "the event store is locked by another process; send the events again"
            ) from error
        if code == sqlite3.SQLITE_FULL:
            raise CapacityError(
                "the disk of the event store is full; free some space, then send the events again"
            ) from error
        if isinstance(error, sqlite3.OperationalError) or code in _DAMAGED:
            raise StoreError(
                f"the event store cannot be written: {error}; send the events again later"
            ) from error
        raise
