"""Fills a new `KeyFilter` with the keys of all rows, behind the service, in one process of a home.

Keys are found by stepping from one to the next in an index, ten thousand a statement: nothing of
the length of the log, and the interpreter lock is free meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from service.stores.event_database import connect, reported
from service.stores.event_log import Database, EventLog, PostgresLog
from service.stores.file_lease import FileLease
from service.stores.key_filter import (
    BITS_PER_KEY,
    FILTER_FILE,
    N_PROBES,
    KeyFilter,
    RowKind,
    part_bytes,
    probes,
)

LEASE_FILE = "filter.lease"
POLL_S = 1.0
_CHUNK = 10_000
# Kind, column, table, and what its index asks for.
_SOURCES: tuple[tuple[RowKind, str, str, str], ...] = (
    ("recent", "user_key", "events", "user_key IS NOT NULL AND item_id IS NOT NULL"),
    ("recent", "anonymous_key", "events", "anonymous_key IS NOT NULL AND item_id IS NOT NULL"),
    ("identity", "user_key", "identities", "TRUE"),
    ("identity", "unit_key", "unit_links", "TRUE"),
    # Users among them are never asked for; to leave them out would cost a row for each.
    ("dealt", "unit_key", "exposures", "unit_key IS NOT NULL"),
)
_NEXT = """
WITH RECURSIVE found(key, n) AS (
    SELECT (
        SELECT {column} FROM {table} WHERE {column} > ? AND {condition} ORDER BY {column} LIMIT 1
    ), 1
    UNION ALL
    SELECT (
        SELECT {column} FROM {table} WHERE {column} > found.key AND {condition}
        ORDER BY {column} LIMIT 1
    ), n + 1
    FROM found WHERE key IS NOT NULL AND n < {chunk}
)
SELECT json_group_array(key) FROM found WHERE key IS NOT NULL
"""

_decode = msgspec.json.Decoder(list[str]).decode
_log = structlog.get_logger(__name__)


def fill(events: Path, is_stopped: Callable[[], bool] = lambda: False) -> None:
    """Fill the filter, unless it is emptied meanwhile, or `is_stopped`.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    with (
        reported(events),
        closing(KeyFilter(events)) as key_filter,
        closing(connect(events, is_light=True)) as connection,
    ):
        age, bits = key_filter.age, _Bits()
        for kind, keys in _keys(connection):
            if is_stopped():
                return
            bits.add(kind, keys)
        parts = bits.parts()
        connection.execute("BEGIN IMMEDIATE")
        try:
            if key_filter.age == age:
                key_filter.merge(parts, bits.n_in_last)
        finally:
            connection.execute("ROLLBACK")


def empty(events: EventLog) -> None:
    """Empty the filter of a store from which rows were deleted, if any process uses it.

    Raises
    ------
    StoreError
        If the store cannot be locked.
    """
    if isinstance(events, PostgresLog) or not events.with_name(FILTER_FILE).exists():
        return
    with (
        reported(events),
        closing(KeyFilter(events)) as key_filter,
        closing(connect(events, is_light=True)) as connection,
    ):
        connection.execute("BEGIN IMMEDIATE")
        try:
            key_filter.clear()
        finally:
            connection.execute("ROLLBACK")


async def keep_filled(events: Path, key_filter: KeyFilter, poll_s: float = POLL_S) -> None:
    """Fill the filter whenever it is empty, unless another process does, until cancelled."""
    lease = FileLease(events.with_name(LEASE_FILE))
    is_stopped = False
    try:
        while True:
            try:
                if not key_filter.is_filled and lease.take():
                    await asyncio.to_thread(fill, events, lambda: is_stopped)
            except Exception:  # a task's loop: the next round may succeed
                _log.exception("key_filter_not_filled")
            finally:
                lease.give_back()
            await asyncio.sleep(poll_s)
    finally:
        is_stopped = True


class _Bits:
    """Parts as the filter has them, the last one as a byte a bit while it is filled."""

    def __init__(self) -> None:
        self.n_in_last = 0
        self._full: list[NDArray[np.uint8]] = []
        self._last = np.zeros(8 * part_bytes(0), dtype=np.bool_)

    def add(self, kind: RowKind, keys: list[str]) -> None:
        """Enter keys."""
        if (self.n_in_last + len(keys)) * BITS_PER_KEY > len(self._last):
            self._full.append(np.packbits(self._last, bitorder="little"))
            self._last = np.zeros(8 * part_bytes(len(self._full)), dtype=np.bool_)
            self.n_in_last = 0
        first, step = probes(kind, keys)
        for turn in range(N_PROBES):
            self._last[(first + turn * step) % len(self._last)] = True
        self.n_in_last += len(keys)

    def parts(self) -> list[NDArray[np.uint8]]:
        """Return the parts, eight bits a byte."""
        return [*self._full, np.packbits(self._last, bitorder="little")]


def _keys(connection: Database) -> Iterator[tuple[RowKind, list[str]]]:
    for kind, column, table, condition in _SOURCES:
        statement = _NEXT.format(column=column, table=table, condition=condition, chunk=_CHUNK)
        last = ""
        while True:
            # One JSON text, so the interpreter lock changes hands once a statement.
            keys = _decode(connection.execute(statement, (last,)).fetchone()[0])
            if keys:
                yield kind, keys
            if len(keys) < _CHUNK:
                break
            last = keys[-1]
