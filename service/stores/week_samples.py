"""Samples of each week's exposures: who was there, how personal it was, and what was known."""

from __future__ import annotations

from typing import NamedTuple

from service.stores.event_database import connect, reported
from service.stores.event_log import Database, EventLog
from service.stores.known_visitors import last_before
from service.stores.rollup_folds import UNCOUNTED

WEEK_MS = 7 * 86_400_000
MAX_SAMPLED = 500
"""Exposures of a week that are looked at: a share is then known within some four points."""


class Sampled(NamedTuple):
    """One exposure, and whether anything was known of its visitor then. Keys are pseudonyms."""

    at_ms: int
    user_key: str | None
    anonymous_key: str | None
    tier: str
    has_events: bool
    """Whether the visitor had met an item before."""


class WeekSample(NamedTuple):
    """Exposures of seven days, evenly out of the log; those of crawlers are left out."""

    begin_ms: int
    n_exposures: int
    """In the log; about, for crawlers are among them and erased ones may be."""
    sampled: list[Sampled]


def _has_events(column: str) -> str:
    # The kinds and the item are those of the two partial indexes.
    return f"""EXISTS (
    SELECT 1 FROM events WHERE events.{column} = exposures.{column}
    AND events.item_id IS NOT NULL AND events.at_ms < exposures.at_ms
    AND events.kind <= 3 AND events.flags & {UNCOUNTED} = 0)"""


_SAMPLE = f"""
SELECT at_ms, user_key, anonymous_key, tier,
       {_has_events("user_key")} OR {_has_events("anonymous_key")}
FROM exposures
WHERE seq IN (SELECT CAST(value AS BIGINT) FROM json_each(?)) AND reason IS DISTINCT FROM 'ROBOT'
ORDER BY seq
"""


def sample_weeks(path: EventLog, *, now_ms: int, n_weeks: int) -> list[WeekSample]:
    """Sample the last weeks, the oldest first; weeks without exposures too.

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
            begins_ms = [now_ms - week * WEEK_MS for week in range(n_weeks, 0, -1)]
            bounds = [last_before(connection, begin_ms, last) for begin_ms in begins_ms]
            bounds.append(last)
            return [
                WeekSample(begin_ms, upto - after, _sample(connection, after, upto))
                for begin_ms, after, upto in zip(begins_ms, bounds, bounds[1:], strict=False)
            ]
        finally:
            connection.close()


def _sample(connection: Database, after: int, upto: int) -> list[Sampled]:
    n = min(MAX_SAMPLED, upto - after)
    seqs = [after + 1 + place * (upto - after) // n for place in range(n)]
    rows = connection.execute(_SAMPLE, (str(seqs),)).fetchall()
    return [
        Sampled(at_ms, user_key, anonymous_key, tier, bool(has_events))
        for at_ms, user_key, anonymous_key, tier, has_events in rows
    ]
