"""Tells every worker process whom to drop from memory, and then forgets that too.

A row holds the pseudonyms only while workers, which look several times a second, read it. Whoever
looks later finds a row without them, and drops everything.
"""

from __future__ import annotations

from threading import Lock
from typing import NamedTuple

import msgspec

from service.stores.event_database import connect, erase_thoroughly, fold_log, reported
from service.stores.event_log import EventLog


class Erasure(NamedTuple):
    """One erasure."""

    seq: int
    keys: list[str] | None
    """Whose; nothing if it is too late to know."""


_decode = msgspec.json.Decoder(list[str]).decode


def announce(path: EventLog, keys: list[str], at_ms: int) -> int:
    """Tell the workers of a home, and return the number of the row.

    Raises
    ------
    StoreError
        If the store cannot be written.
    """
    with reported(path):
        connection = connect(path, is_light=True)
        try:
            inserted = connection.execute(
                "INSERT INTO erasures (at_ms, keys) VALUES (?, ?) RETURNING seq",
                (at_ms, msgspec.json.encode(keys).decode()),
            )
            return int(inserted.fetchone()[0])
        finally:
            connection.close()


def withdraw(path: EventLog, seq: int) -> None:
    """Overwrite the pseudonyms up to a row, for every worker has read them.

    Rows before it may be of an erasure that was cut off.

    Raises
    ------
    StoreError
        If the store cannot be written.
    """
    with reported(path):
        connection = connect(path, is_light=True)
        try:
            erase_thoroughly(connection)
            connection.execute("UPDATE erasures SET keys = NULL WHERE seq <= ?", (seq,))
            fold_log(connection)
        finally:
            connection.close()


class ErasureReader:
    """Follows the rows from the moment it is made; threads wait for each other."""

    def __init__(self, path: EventLog) -> None:
        self._path = path
        self._lock = Lock()
        self._connection = connect(path, read_only=True)
        self._seen_version = -1
        self._seen_seq = int(
            self._connection.execute("SELECT coalesce(max(seq), 0) FROM erasures").fetchone()[0]
        )

    def read_new(self) -> list[Erasure]:
        """Return what came since the last call.

        Raises
        ------
        StoreError
            If the store cannot be read.
        """
        with self._lock, reported(self._path):
            version = self._connection.data_version()
            if version == self._seen_version:
                return []
            rows = self._connection.execute(
                "SELECT seq, keys FROM erasures WHERE seq > ? ORDER BY seq", (self._seen_seq,)
            ).fetchall()
            self._seen_version = version
            self._seen_seq = rows[-1][0] if rows else self._seen_seq
        return [Erasure(seq, None if keys is None else _decode(keys)) for seq, keys in rows]

    def close(self) -> None:
        """Close the file, once a read under way has ended."""
        with self._lock:
            self._connection.close()
