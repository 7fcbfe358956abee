"""Notes whom an erasure is about until it has ended, and tells every worker process to drop them.

What workers read holds the pseudonyms only while they, who look several times a second, do so.
Whoever looks later finds a row without them, and drops everything. A row of an erasure that has
begun is for nobody but that erasure, or the one that goes on where it was cut off: the rows that
said which devices were the person's may be gone by then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Lock
from typing import NamedTuple

import msgspec

from service.stores.derived import transaction
from service.stores.event_database import connect, erase_thoroughly, fold_log, reported
from service.stores.event_log import Database, EventLog

_BEGUN = ""
"""Stands before the pseudonyms of an erasure that has begun; no pseudonym is empty."""
_IS_BEGUN = """keys LIKE '["",%'"""


class Erasure(NamedTuple):
    """One erasure."""

    seq: int
    keys: list[str] | None
    """Whose; nothing if it is too late to know."""


_decode = msgspec.json.Decoder(list[str]).decode


def begin(path: EventLog, keys: list[str], at_ms: int) -> None:
    """Note whose erasure begins, a person and what is theirs, before anything of it is deleted.

    Raises
    ------
    StoreError
        If the store cannot be written.
    """
    _insert(path, [_BEGUN, *keys], at_ms)


def begun(path: EventLog, key: str) -> list[str]:
    """Return whom the erasures of a person were about that have begun and not ended.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    with reported(path), closing(connect(path, read_only=True)) as connection:
        return sorted({each for _, keys in _begun_of(connection, key) for each in keys})


def end(path: EventLog, key: str) -> None:
    """Forget that a person's erasures have begun.

    Raises
    ------
    StoreError
        If the store cannot be written.
    """
    with _overwriting(path) as connection:
        for seq, _ in _begun_of(connection, key):
            connection.execute("DELETE FROM erasures WHERE seq = ?", (seq,))


def _begun_of(connection: Database, key: str) -> list[tuple[int, list[str]]]:
    rows = connection.execute(f"SELECT seq, keys FROM erasures WHERE {_IS_BEGUN}").fetchall()
    found = [(int(seq), _decode(text)[1:]) for seq, text in rows]
    return [(seq, keys) for seq, keys in found if keys[0] == key]


def announce(path: EventLog, keys: list[str], at_ms: int) -> int:
    """Tell the workers of a home, and return the number of the row.

    Raises
    ------
    StoreError
        If the store cannot be written.
    """
    return _insert(path, keys, at_ms)


def _insert(path: EventLog, keys: list[str], at_ms: int) -> int:
    # One after the other on all machines: who has read a row looks for no smaller number any more.
    with (
        reported(path),
        closing(connect(path, is_light=True)) as connection,
        transaction(connection),
    ):
        inserted = connection.execute(
            "INSERT INTO erasures (at_ms, keys) VALUES (?, ?) RETURNING seq",
            (at_ms, msgspec.json.encode(keys).decode()),
        )
        return int(inserted.fetchone()[0])


@contextmanager
def _overwriting(path: EventLog) -> Iterator[Database]:
    """Give a connection whose deletions leave no bytes behind once the block ends."""
    with reported(path), closing(connect(path, is_light=True)) as connection:
        erase_thoroughly(connection)
        yield connection
        fold_log(connection)


def withdraw(path: EventLog, seq: int) -> None:
    """Overwrite the pseudonyms up to a row, for every worker has read them.

    Rows before it may be of an erasure that was cut off.

    Raises
    ------
    StoreError
        If the store cannot be written.
    """
    with _overwriting(path) as connection:
        connection.execute(
            f"UPDATE erasures SET keys = NULL WHERE seq <= ? AND NOT {_IS_BEGUN}", (seq,)
        )


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
        news = [Erasure(seq, None if keys is None else _decode(keys)) for seq, keys in rows]
        return [each for each in news if each.keys is None or each.keys[:1] != [_BEGUN]]

    def close(self) -> None:
        """Close the file, once a read under way has ended."""
        with self._lock:
            self._connection.close()
