"""How personal the newest exposures were, and whether any of them was empty."""

from __future__ import annotations

from typing import NamedTuple

from service.stores.event_database import connect, reported
from service.stores.event_log import EventLog

NEWEST = 20_000
"""Exposures that are looked at, so that a long log costs no more than a short one."""


class TierCount(NamedTuple):
    """Exposures of one tier."""

    tier: str
    n: int
    n_degraded: int
    n_empty: int


_COUNTS = """
SELECT tier, count(*), sum(degraded IS NOT NULL), sum(shown = '[]') FROM exposures
WHERE seq > (SELECT coalesce(max(seq), 0) FROM exposures) - ? AND at_ms >= ?
GROUP BY tier
"""


def count_tiers(path: EventLog, since_ms: int) -> list[TierCount]:
    """Count the newest exposures since a moment by tier, at most `NEWEST` of them.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    with reported(path):
        connection = connect(path, read_only=True)
        try:
            rows = connection.execute(_COUNTS, (NEWEST, since_ms)).fetchall()
        finally:
            connection.close()
    return [TierCount(*row) for row in rows]
