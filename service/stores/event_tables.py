"""Inserts into the tables of ``events.sqlite``, inside a transaction that others begin and end.

The tables are those of `service.stores.event_schema`; this is the only code that inserts events and
exposures.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from models.errors import CapacityError, StoreError
from service.stores.event_database import connect
from service.stores.events import Counts, StoreBusyError, StoredEvent
from service.stores.exposure_rows import COLUMNS, ExposureRows, Value
from service.stores.key_filter import KeyFilter

BUSY_TIMEOUT_MS = 250
LOCKED = "the event store is locked by another process"
UNLOCK = "find who has events.sqlite open (lsof), and end what holds its lock"

_FULL = "the disk of the event store is full; free some space, then send the events again"
_UNWRITABLE = "the event store cannot be written: {}; send the events again later"

_INSERT_EVENT = (
    f"INSERT INTO events ({', '.join(StoredEvent._fields)}) "
    f"VALUES ({', '.join('?' * len(StoredEvent._fields))})"
)
_WIDTH = len(COLUMNS)
_ROW = f"({', '.join('?' * _WIDTH)})"


def _insert_exposures(n_rows: int) -> str:
    return (
        f"INSERT INTO exposures ({', '.join(COLUMNS)}) "
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


class Inserted(NamedTuple):
    """What became of events and exposures."""

    is_new: list[bool]
    """Per event."""
    first_seq: int
    """Of the first new event; the others follow it one by one."""
    n_exposures: int


class EventTables:
    """One connection for writing, and the filter of keys beside the store."""

    def __init__(self, path: Path, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        self.connection = connect(path, busy_timeout_ms=busy_timeout_ms)
        self._filter = KeyFilter(path)

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()
        self._filter.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all that happens inside, or nothing; errors are those of the port."""
        connection = self.connection
        with reported():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def insert(self, events: Sequence[StoredEvent], rows: ExposureRows) -> Inserted:
        """Insert what is not there yet."""
        is_new, first_seq, added = self._insert_events(events)
        n_exposures = self._insert_exposures(rows.values)
        self._note(added, rows.dealt)
        return Inserted(is_new, first_seq, n_exposures)

    def register(self, pid: int, opened_ms: int, token: str | None = None) -> int:
        """Enter a writer, and return its number."""
        inserted = self.connection.execute(
            "INSERT INTO writers (pid, opened_ms, token) VALUES (?, ?, ?) RETURNING writer_id",
            (pid, opened_ms, token),
        )
        return int(inserted.fetchone()[0])

    def count(self, writer_id: int, counts: Counts, inserted: Inserted) -> None:
        """Add to the ledger what a writer counted, and what was found."""
        n_accepted = sum(inserted.is_new)
        found: Counts = {
            **counts,
            "accepted": n_accepted,
            "duplicate": counts.get("duplicate", 0) + len(inserted.is_new) - n_accepted,
            "stored": inserted.n_exposures,
        }
        self.connection.executemany(
            _ADD_COUNT, [(writer_id, name, n) for name, n in found.items() if n]
        )

    def note_closed(self, writer_id: int, closed_ms: int) -> None:
        """Say that a writer drained."""
        with reported():
            self.connection.execute(
                "UPDATE writers SET closed_ms = ? WHERE writer_id = ?", (closed_ms, writer_id)
            )

    def _insert_events(
        self, events: Sequence[StoredEvent]
    ) -> tuple[list[bool], int, list[StoredEvent]]:
        if not events:
            return [], 0, []
        ids = _encode([event.event_id for event in events]).decode()
        known = set(_decode_ids(self.connection.execute(_FIND_KNOWN, (ids,)).fetchone()[0]))
        is_new: list[bool] = []
        fresh: list[StoredEvent] = []
        for event in events:
            new = event.event_id not in known
            is_new.append(new)
            if new:
                known.add(event.event_id)
                fresh.append(event)
        row = self.connection.execute(_LAST_SEQ).fetchone()
        first = 1 + (0 if row is None else row[0])
        self.connection.executemany(_INSERT_EVENT, fresh)
        return is_new, first, fresh

    def _note(self, added: Sequence[StoredEvent], dealt: Sequence[str]) -> None:
        """Say who has rows from now on, before anybody can read them."""
        rows = [event for event in added if event.item_id is not None]
        keys = {event.user_key for event in rows} | {event.anonymous_key for event in rows}
        self._filter.note("recent", filter(None, keys))
        self._filter.note("dealt", dealt)

    def _insert_exposures(self, values: list[Value]) -> int:
        n_inserted = begin = 0
        for n_rows, statement in _INSERT_EXPOSURES.items():
            length = n_rows * _WIDTH
            while len(values) - begin >= length:
                block = values[begin : begin + length]
                n_inserted += self.connection.execute(statement, block).rowcount
                begin += length
        return n_inserted


@contextmanager
def reported() -> Iterator[None]:
    """Say in the port's words what the driver says of the store; errors of a value pass."""
    try:
        yield
    except OSError as error:  # of the filter of keys, which grows too
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CapacityError(_FULL) from error
        raise StoreError(_UNWRITABLE.format(error)) from error
    except sqlite3.DatabaseError as error:
        # The low byte is the primary code: BUSY_SNAPSHOT and the like are kinds of BUSY.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreBusyError(LOCKED, UNLOCK) from error
        if code == sqlite3.SQLITE_FULL:
            raise CapacityError(_FULL) from error
        if isinstance(error, sqlite3.OperationalError) or code in _DAMAGED:
            raise StoreError(_UNWRITABLE.format(error)) from error
        raise
