"""Reads the event store for serving: a visitor's newest interactions and the log's tail.

One connection an instance, used by one thread at a time. Readers never wait for writers.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Literal, NamedTuple

import msgspec

from service.stores.event_database import connect
from service.stores.event_log import EventLog, PostgresLog

KeyColumn = Literal["user_key", "anonymous_key"]


class InteractionRow(NamedTuple):
    """An interaction of one visitor."""

    seq: int
    kind: int
    item_id: str
    at_ms: int


class KeyedRow(NamedTuple):
    """An interaction and whose it is."""

    seq: int
    kind: int
    item_id: str
    at_ms: int
    user_key: str | None
    anonymous_key: str | None


# An event from the future counts as from its arrival, or it would stay the newest for ever.
# `item_id IS NOT NULL` stands there literally because the partial indexes ask for it. Kinds up to 4
# are interactions.
_NEWEST = """
SELECT seq, kind, item_id, min(at_ms, received_ms) FROM events
WHERE {column} = ? AND item_id IS NOT NULL AND kind <= 4 {until}
ORDER BY at_ms DESC, seq DESC LIMIT ?
"""
# All keys of a batch in one statement and one JSON text back, for the reason below.
_NEWEST_OF = """
SELECT json_group_array(json((
    SELECT json_group_array(json_array(seq, kind, item_id, min(at_ms, received_ms)))
    FROM (
        SELECT * FROM events
        WHERE {column} = wanted.value AND item_id IS NOT NULL AND kind <= 4 {until}
        ORDER BY at_ms DESC, seq DESC LIMIT ?
    )
)))
FROM json_each(?) AS wanted
"""
# One JSON text, so the interpreter lock changes hands once and not once a row.
_SINCE = """
SELECT max(seq), json_group_array(
    json_array(seq, kind, item_id, min(at_ms, received_ms), user_key, anonymous_key)
) FILTER (WHERE item_id IS NOT NULL AND kind <= 4 AND coalesce(user_key, anonymous_key) IS NOT NULL)
FROM (SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT ?)
"""

# The same of PostgreSQL, whose functions for JSON have other names.
_POSTGRES_NEWEST_OF = """
SELECT json_agg(rows ORDER BY place)::text FROM (
    SELECT place, (
        SELECT coalesce(json_agg(json_build_array(seq, kind, item_id, at)), '[]') FROM (
            SELECT seq, kind, item_id, min(at_ms, received_ms) AS at FROM events
            WHERE {column} = wanted.key AND item_id IS NOT NULL AND kind <= 4 {until}
            ORDER BY at_ms DESC, seq DESC LIMIT ?
        ) AS newest
    ) AS rows
    FROM json_array_elements_text(?) WITH ORDINALITY AS wanted(key, place)
) AS found
"""
_POSTGRES_SINCE = """
SELECT max(seq), coalesce(json_agg(
    json_build_array(seq, kind, item_id, min(at_ms, received_ms), user_key, anonymous_key)
) FILTER (
    WHERE item_id IS NOT NULL AND kind <= 4 AND coalesce(user_key, anonymous_key) IS NOT NULL
), '[]')::text
FROM (SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT ?) AS news
"""

_decode_lists = msgspec.json.Decoder(list[list[InteractionRow]]).decode
_decode_rows = msgspec.json.Decoder(list[KeyedRow]).decode


class EventReader:
    """Point reads of one visitor, and the tail of the log."""

    def __init__(self, path: EventLog, *, until_ms: int | None = None) -> None:
        """Open the store; with `until_ms`, only what had arrived by then is known to be newest."""
        until = "" if until_ms is None else f"AND received_ms <= {until_ms:d}"
        columns = ("user_key", "anonymous_key")
        self._newest = {name: _NEWEST.format(column=name, until=until) for name in columns}
        is_server = isinstance(path, PostgresLog)
        self.is_near = not is_server
        """Whether a short read costs microseconds, so that the event loop may ask."""
        newest_of = _POSTGRES_NEWEST_OF if is_server else _NEWEST_OF
        self._newest_of = {name: newest_of.format(column=name, until=until) for name in columns}
        self._since = _POSTGRES_SINCE if is_server else _SINCE
        self._connection = connect(path, read_only=True)
        # A cancelled task does not stop the thread it waits for, and closing a connection that a
        # thread reads from crashes the process.
        self._lock = Lock()

    def newest(self, column: KeyColumn, key: str, limit: int) -> list[InteractionRow]:
        """Return the newest interactions stored under a key, newest first."""
        rows = self._connection.execute(self._newest[column], (key, limit))
        return [InteractionRow(*row) for row in rows]

    def newest_of(
        self, column: KeyColumn, keys: Sequence[str], limit: int
    ) -> list[list[InteractionRow]]:
        """Return for each key what `newest` would."""
        if not keys:
            return []
        asked = msgspec.json.encode(keys).decode()
        statement = self._newest_of[column]
        return _decode_lists(self._connection.execute(statement, (limit, asked)).fetchone()[0])

    def last_seq(self) -> int:
        """Return the number of the newest event, 0 if there is none."""
        return int(
            self._connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
        )

    def since(self, seq: int, limit: int) -> tuple[list[KeyedRow], int]:
        """Return the interactions among the `limit` events after `seq`, and the last one's seq."""
        with self._lock:
            last, text = self._connection.execute(self._since, (seq, limit)).fetchone()
        return ([], seq) if last is None else (_decode_rows(text), int(last))

    def data_version(self) -> int:
        """Return a number that changes when another connection commits; costs microseconds."""
        return self._connection.data_version()

    def close(self) -> None:
        """Close the file, once a read of the tail has ended."""
        with self._lock:
            self._connection.close()
