"""How well a rollout's treatments were served lately: fallbacks and empty slates, by variant."""

from __future__ import annotations

from typing import NamedTuple

from service.stores.event_database import connect, reported
from service.stores.event_log import EventLog

NEWEST = 50_000
"""Exposures of all rollouts that are looked at, so that a long log costs no more than a short."""


class ServiceLevel(NamedTuple):
    """Exposures of one variant."""

    variant: str
    n_exposures: int
    n_degraded: int
    n_empty: int


_LEVELS = """
SELECT variant, count(*), sum(degraded IS NOT NULL), sum(shown = '[]') FROM exposures
WHERE seq > (SELECT coalesce(max(seq), 0) FROM exposures) - ? AND rollout_key = ? AND epoch = ?
  AND reason = 'SPLIT'
GROUP BY variant
"""


def read_service_levels(path: EventLog, rollout_key: str, epoch: int) -> list[ServiceLevel]:
    """Count one epoch among the newest exposures.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    with reported(path):
        connection = connect(path, read_only=True)
        try:
            rows = connection.execute(_LEVELS, (NEWEST, rollout_key, epoch)).fetchall()
        finally:
            connection.close()
    return [ServiceLevel(*row) for row in rows]
