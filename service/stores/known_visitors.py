"""Who was there lately, out of the exposures: what a change is tried on before it is made."""

from __future__ import annotations

from typing import NamedTuple

from service.stores.event_database import connect, reported
from service.stores.event_log import Database, EventLog


class KnownVisitor(NamedTuple):
    """A visitor as of their newest exposure; keys are pseudonyms."""

    unit_kind: str
    unit_key: str
    user_key: str | None
    anonymous_key: str | None
    country: str | None
    channel: str | None
    platform: str | None


class KnownVisitors(NamedTuple):
    """The newest exposures' visitors, the newest first; a unit may occur several times."""

    visitors: list[KnownVisitor]
    n_read: int
    """Exposures that were read."""
    n_since: int
    """Exposures since the moment asked for; about, where some were written out of order."""


_NEWEST = """
SELECT unit_kind, unit_key, user_key, anonymous_key, country, channel, platform
FROM exposures WHERE seq > ? AND at_ms >= ? AND unit_key IS NOT NULL ORDER BY seq DESC
"""


def read_known_visitors(path: EventLog, *, since_ms: int, max_exposures: int) -> KnownVisitors:
    """Read the visitors of at most the newest `max_exposures` exposures since a moment.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    with reported(path):
        connection = connect(path, read_only=True)
        try:
            connection.execute("BEGIN")
            last = connection.execute("SELECT coalesce(max(seq), 0) FROM exposures").fetchone()[0]
            first = last_before(connection, since_ms, last)
            begin = max(first, last - max_exposures)
            rows = connection.execute(_NEWEST, (begin, since_ms)).fetchall()
        finally:
            connection.close()
    seen = dict.fromkeys(KnownVisitor(*row) for row in rows)
    return KnownVisitors(list(seen), last - begin, last - first)


def last_before(connection: Database, since_ms: int, last: int) -> int:
    """Find the newest exposure before a moment by halving: they are written nearly in order."""
    low, high = 0, last
    while low < high:
        middle = (low + high + 1) // 2
        row = connection.execute(
            "SELECT at_ms FROM exposures WHERE seq >= ? ORDER BY seq LIMIT 1", (middle,)
        ).fetchone()
        if row is not None and row[0] < since_ms:
            low = middle
        else:
            high = middle - 1
    return low
