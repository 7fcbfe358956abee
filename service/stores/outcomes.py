"""Sums over one rollout's exposures and what their units did afterwards, per epoch and variant.

The work is SQLite's, over temporary tables on disk, so memory does not grow with the log. A unit
belongs to the variant it saw first in an epoch; only exposures that a split decided are counted.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from service.stores.event_database import connect
from service.stores.event_schema import EventFlag
from service.stores.sqlite import reported

WINDOW_MS = 7 * 86_400_000
"""How long after an exposure a click on its item, without an ``exposure_id``, is put down to it."""

_UNCOUNTED = int(EventFlag.BOT | EventFlag.PREVIEW)


class ArmSums(NamedTuple):
    """What happened in one variant during one epoch. `x` is exposures, `c` clicked ones, a unit."""

    epoch: int
    variant: str
    n_units: int
    n_crossed: int
    """Units that saw another variant too in this epoch, as themselves or as another unit."""
    n_exposures: int
    n_clicked: int
    """Exposures with at least one click."""
    sum_xx: float
    sum_cc: float
    sum_xc: float
    n_clicks_named: int
    """Clicks that name their exposure."""
    n_clicks_joined: int
    """Clicks put down to the unit's last exposure of that item or banner."""
    n_buyers: int
    n_orders: int
    n_purchases: int
    """Lines of orders."""
    revenue: float
    """Purchases less refunds."""
    sum_revenue_squared: float


class RolloutSums(NamedTuple):
    """Everything a report reads."""

    arms: list[ArmSums]
    n_units: dict[str, int]
    """Distinct units by variant, over all epochs."""
    not_split: dict[str, int]
    """Exposures that no split decided, by reason; they are in no arm."""


_TABLES = """
CREATE TEMP TABLE seen AS
SELECT epoch, unit_key, variant, min(at_ms) AS first_ms, count(*) AS n_exposures,
       max(crossover) AS crossover
FROM exposures
WHERE rollout_key = :rollout AND rollout_key IS NOT NULL AND unit_key IS NOT NULL
  AND reason = 'SPLIT'
GROUP BY epoch, unit_key, variant;

CREATE TEMP TABLE units AS
SELECT epoch, unit_key, variant, min(first_ms) AS first_ms, sum(n_exposures) AS n_exposures,
       count(*) > 1 OR max(crossover) AS crossed
FROM seen GROUP BY epoch, unit_key;
CREATE INDEX temp.units_unit ON units (unit_key, first_ms);

CREATE TEMP TABLE clicks AS
SELECT event.seq, event.at_ms, event.user_key, event.anonymous_key,
       (SELECT known.unit_key FROM identities AS known
        WHERE known.user_key = event.user_key) AS known_key,
       coalesce(event.item_id, event.banner_id) AS shown_id, event.item_id IS NULL AS is_banner,
       named.seq AS named_seq
FROM events AS event LEFT JOIN exposures AS named ON named.exposure_id = event.exposure_id
WHERE event.kind > 0 AND event.kind = 1 AND event.flags & :uncounted = 0;

CREATE TEMP TABLE clicked AS
SELECT seq, sum(named) AS n_named, sum(NOT named) AS n_joined FROM (
  SELECT named_seq AS seq, 1 AS named FROM clicks WHERE named_seq IS NOT NULL
  UNION ALL
  SELECT (
    SELECT exposure.seq FROM exposures AS exposure
    WHERE exposure.unit_key IN (click.known_key, click.user_key, click.anonymous_key)
      AND exposure.unit_key IS NOT NULL
      AND exposure.at_ms BETWEEN click.at_ms - :window AND click.at_ms
      AND exposure.kind = iif(click.is_banner, 'banners', 'items')
      AND EXISTS (SELECT 1 FROM json_each(exposure.shown) AS one
                  WHERE one.value ->> 'id' = click.shown_id)
    ORDER BY exposure.at_ms DESC, exposure.seq DESC LIMIT 1
  ), 0 FROM clicks AS click WHERE named_seq IS NULL
) WHERE seq IS NOT NULL GROUP BY seq;

CREATE TEMP TABLE unit_clicks AS
SELECT unit.rowid AS unit, count(*) AS n_clicked, sum(n_named) AS n_named, sum(n_joined) AS n_joined
FROM clicked JOIN exposures AS exposure ON exposure.seq = clicked.seq
JOIN units AS unit ON unit.unit_key = exposure.unit_key AND unit.epoch = exposure.epoch
WHERE exposure.rollout_key = :rollout AND exposure.reason = 'SPLIT'
GROUP BY unit.rowid;

CREATE TEMP TABLE unit_orders AS
SELECT unit, count(DISTINCT CASE WHEN kind = 3 THEN order_id END) AS n_orders,
       sum(kind = 3) AS n_purchases, sum(iif(kind = 3, value, -value)) AS revenue
FROM (
  SELECT event.kind, coalesce(event.quantity, 1) * coalesce(event.price, 0) AS value,
         coalesce(event.order_id, event.event_id) AS order_id,
         coalesce(
           (SELECT unit.rowid FROM units AS unit
            WHERE unit.unit_key = (SELECT known.unit_key FROM identities AS known
                                   WHERE known.user_key = event.user_key)
              AND unit.first_ms <= event.at_ms
            ORDER BY unit.first_ms DESC LIMIT 1),
           (SELECT unit.rowid FROM units AS unit
            WHERE unit.unit_key = event.user_key AND unit.first_ms <= event.at_ms
            ORDER BY unit.first_ms DESC LIMIT 1),
           (SELECT unit.rowid FROM units AS unit
            WHERE unit.unit_key = event.anonymous_key AND unit.first_ms <= event.at_ms
            ORDER BY unit.first_ms DESC LIMIT 1)
         ) AS unit
  FROM events AS event
  WHERE event.kind > 0 AND event.kind IN (3, 4) AND event.flags & :uncounted = 0
) WHERE unit IS NOT NULL GROUP BY unit;
"""

_ARMS = """
SELECT epoch, variant, count(*), sum(crossed), sum(n_exposures), coalesce(sum(n_clicked), 0),
       total(n_exposures * n_exposures), total(n_clicked * n_clicked),
       total(n_exposures * n_clicked), coalesce(sum(n_named), 0), coalesce(sum(n_joined), 0),
       coalesce(sum(n_purchases > 0), 0), coalesce(sum(n_orders), 0), coalesce(sum(n_purchases), 0),
       total(revenue), total(revenue * revenue)
FROM units
LEFT JOIN unit_clicks ON unit_clicks.unit = units.rowid
LEFT JOIN unit_orders ON unit_orders.unit = units.rowid
GROUP BY epoch, variant ORDER BY epoch, variant
"""

_UNITS = "SELECT variant, count(DISTINCT unit_key) FROM units GROUP BY variant"

_NOT_SPLIT = """
SELECT coalesce(reason, 'NONE'), count(*) FROM exposures
WHERE rollout_key = :rollout AND rollout_key IS NOT NULL AND reason IS NOT 'SPLIT'
GROUP BY reason ORDER BY reason
"""


def read_outcomes(path: Path, rollout_key: str, *, window_ms: int = WINDOW_MS) -> RolloutSums:
    """Add up one rollout; reads one consistent state while others write.

    Raises
    ------
    StoreError
        If the store cannot be read, or the disk has no room for the temporary tables.
    """
    with reported(path):
        return _read(path, rollout_key, window_ms)


def _read(path: Path, rollout_key: str, window_ms: int) -> RolloutSums:
    connection = connect(path)
    try:
        connection.execute("BEGIN")
        for statement in _TABLES.split(";\n"):
            if statement.strip():
                _execute(connection, statement, rollout_key, window_ms)
        arms = [ArmSums(*row) for row in _execute(connection, _ARMS, rollout_key, window_ms)]
        n_units = dict(_execute(connection, _UNITS, rollout_key, window_ms).fetchall())
        not_split = dict(_execute(connection, _NOT_SPLIT, rollout_key, window_ms).fetchall())
        connection.execute("ROLLBACK")
    finally:
        connection.close()
    return RolloutSums(arms, n_units, not_split)


def _execute(
    connection: sqlite3.Connection, statement: str, rollout_key: str, window_ms: int
) -> sqlite3.Cursor:
    return connection.execute(
        statement, {"rollout": rollout_key, "window": window_ms, "uncounted": _UNCOUNTED}
    )
