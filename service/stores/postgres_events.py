"""Writes the event store in PostgreSQL: one transaction for a group, as in SQLite.

All writers of a shop take one lock, so rows become visible in the order of their `seq`, which
readers follow. Where the connection is lost while a transaction ends, its writer looks later
whether it got in, so that nothing is counted twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from secrets import token_hex
from typing import Any, NamedTuple

import msgspec
import psycopg
import structlog
from sqlalchemy import Float, Integer

from service.exposure import Exposure
from service.stores.event_log import PostgresLog
from service.stores.event_schema import metadata
from service.stores.events import (
    Batch,
    Committed,
    Counter,
    Counts,
    NumberedEvent,
    StoreBusyError,
    StoredEvent,
)
from service.stores.lost_counts import note_lost
from service.stores.postgres import PostgresConnection, refusal_of

_OFFERED_AGAIN: tuple[Counter, ...] = ("served", "assigned", "dropped")
"""What the next batch counts again, because exposures that nobody knows stored are kept."""

_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger(__name__)


def _insert(table: str, columns: Sequence[str], values: Mapping[str, str]) -> str:
    """Insert many rows by one statement, out of one JSON text that the driver only has to quote."""
    types = metadata.tables[table].c
    read = ", ".join(f"{name} {_type_of(types[name].type)}" for name in columns)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) "
        f"SELECT {', '.join(values.get(name, name) for name in columns)} "
        f"FROM json_to_recordset(?) AS rows ({read}) ON CONFLICT ({columns[0]}) DO NOTHING"
    )


def _type_of(kind: object) -> str:
    if isinstance(kind, Float):
        return "double precision"
    return "bigint" if isinstance(kind, Integer) else "text"


# The first column of each is the one that tells a repeat. A list inside a row is read as its text.
_INSERT_EVENTS = f"{_insert('events', StoredEvent._fields, {})} RETURNING event_id, seq"
_INSERT_EXPOSURES = _insert(
    "exposures",
    Exposure.__struct_fields__,
    {"candidates": "nullif(candidates, '[]')", "crossover": "crossover::integer"},
).replace("crossover bigint", "crossover boolean")
_ADD_COUNTS = """
INSERT INTO counters (writer_id, name, value)
SELECT ?::bigint, * FROM unnest(?::text[], ?::bigint[])
ON CONFLICT (writer_id, name) DO UPDATE SET value = counters.value + excluded.value
"""


class _Doubt(NamedTuple):
    """A transaction whose end nobody heard. If it got in, the row of its writer has the token.

    Not its number in PostgreSQL: a server that crashed forgets that it gave one out, and may give
    it to the next.
    """

    token: str
    counts: Counts
    """Of its batch: what is in the ledger if it got in, whatever became of those before it."""


class PostgresEventStore:
    """The adapter for several machines: see `service.stores.events.EventStore`."""

    def __init__(self, log: PostgresLog, *, opened_ms: int, busy_timeout_ms: int = 250) -> None:
        self._log = log
        with self._reported():
            self._connection = PostgresConnection(log, busy_timeout_ms=busy_timeout_ms)
        self._opened_ms = opened_ms
        self._writer_id: int | None = None
        self._doubts: list[_Doubt] = []

    def commit(self, batch: Batch) -> Committed:
        """Write a batch; see the port."""
        with self._reported():
            return self._commit(batch)

    def close(self, closed_ms: int) -> None:
        """Note that this writer drained, if it ever wrote, and close the connection."""
        try:
            if self._writer_id is not None:
                with self._reported():
                    # To begin finds out whether the server has gone since the last commit.
                    self._connection.execute("BEGIN")
                    self._connection.execute(
                        "UPDATE writers SET closed_ms = ? WHERE writer_id = ?",
                        (closed_ms, self._writer_id),
                    )
                    self._connection.execute("COMMIT")
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the connection without the note.

        The caller counts as lost what a transaction in doubt may have stored.
        """
        self._connection.close()
        doubts, self._doubts = self._doubts, []
        for doubt in doubts:
            n = doubt.counts.get
            if not n("served"):
                continue
            again: Counts = {"served": -n("served", 0)}
            again["dropped"] = -n("assigned", 0) - n("dropped", 0)
            try:
                note_lost(self._log, again, self._opened_ms, if_committed=doubt.token)
            except OSError as error:
                _log.error("doubt_not_noted", error=str(error), **again)

    def _commit(self, batch: Batch) -> Committed:
        run = self._connection.execute
        token: str | None = None
        run("BEGIN IMMEDIATE")
        try:
            # Behind the lock: a transaction whose connection was lost may have been under way.
            corrections = self._settle_doubts()
            writer_id = self._register()
            is_new, added = self._insert_events(batch.events)
            n_exposures = self._insert_exposures(batch.exposures)
            counts = {
                **batch.counts,
                "accepted": len(added),
                "duplicate": len(is_new) - len(added),
                "stored": n_exposures,
            }
            for name, n in corrections.items():
                counts[name] = counts.get(name, 0) + n
            moved = [(name, n) for name, n in counts.items() if n]
            run(_ADD_COUNTS, (writer_id, [name for name, _ in moved], [n for _, n in moved]))
            token = token_hex(16)
            run("UPDATE writers SET token = ? WHERE writer_id = ?", (token, writer_id))
            run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._roll_back()
            elif token is not None:
                self._doubts.append(_Doubt(token, batch.counts))
            raise
        self._writer_id, self._doubts = writer_id, []
        return Committed(is_new=is_new, added=added, n_exposures=n_exposures)

    def _settle_doubts(self) -> Counts:
        """Ask which transaction got in, and take back what will be counted again if one did.

        Its events were refused, and count as duplicates when they come again. Of several, each
        offered again what those before it had: the last that got in stands for all.
        """
        if not self._doubts:
            return {}
        counts_of = dict(self._doubts)
        found: Any = self._connection.execute(
            "SELECT writer_id, token FROM writers WHERE token = ANY(?)", (list(counts_of),)
        ).fetchone()
        if found is None:
            return {}
        self._writer_id, token = found
        return {name: -counts_of[token].get(name, 0) for name in _OFFERED_AGAIN}

    def _roll_back(self) -> None:
        try:
            self._connection.execute("ROLLBACK")
        except psycopg.Error:
            self._connection.drop()

    def _register(self) -> int:
        if self._writer_id is not None:
            return self._writer_id
        found: Any = self._connection.execute(
            "INSERT INTO writers (pid, opened_ms) VALUES (?, ?) RETURNING writer_id",
            (os.getpid(), self._opened_ms),
        ).fetchone()
        return int(found[0])

    def _insert_events(
        self, events: Sequence[StoredEvent]
    ) -> tuple[list[bool], list[NumberedEvent]]:
        if not events:
            return [], []
        fresh: dict[str, StoredEvent] = {}
        for event in events:
            fresh.setdefault(event.event_id, event)
        rows = _encode([event._asdict() for event in fresh.values()]).decode()
        found = self._connection.execute(_INSERT_EVENTS, (rows,)).fetchall()
        numbers: dict[str, int] = dict(found)
        is_new = [numbers.pop(event.event_id, None) is not None for event in events]
        added = [NumberedEvent(seq, fresh[event_id]) for event_id, seq in found]
        return is_new, sorted(added, key=lambda one: one.seq)

    def _insert_exposures(self, exposures: Sequence[Exposure]) -> int:
        if not exposures:
            return 0
        rows = _encode(exposures).decode()
        return self._connection.execute(_INSERT_EXPOSURES, (rows,)).rowcount

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Say in the port's words what the server says of the store; errors of a value pass."""
        try:
            yield
        except psycopg.errors.LockNotAvailable as error:
            raise StoreBusyError(
                "the event store is locked by another process",
                "see in pg_stat_activity and pg_locks who holds its advisory lock",
            ) from error
        except (psycopg.DataError, psycopg.IntegrityError):
            raise
        except psycopg.Error as error:
            raise refusal_of(error, self._log) from error
