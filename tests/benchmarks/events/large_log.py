"""Fills an event store with a long log in SQL, much faster than through the service."""

from __future__ import annotations

from pathlib import Path

from service.stores.event_database import connect

EXPOSURES_A_UNIT = 5
START_MS = 1_768_435_200_000

_EXPOSURES = """
WITH RECURSIVE row (i) AS (SELECT :first UNION ALL SELECT i + 1 FROM row WHERE i + 1 < :end)
INSERT INTO exposures (exposure_id, request_id, at_ms, unit_kind, unit_key, user_key, placement_id,
  kind, recipe, tier, rollout_key, variant, reason, epoch, country, platform, shown, crossover)
SELECT printf('x%d', i), printf('r%d', i), :start + i, 'user_id', unit, unit,
  iif(i % 3, 'home', 'cart'), 'items', 'for_you', iif(i % 4, 'personal', 'popular'), 'bench',
  iif(substr(unit, 32) < '8', 'control', 'personal'), 'SPLIT', 1 + (i >= :half),
  iif(i % 2, 'DE', 'FR'), iif(i % 5, 'web', 'ios'),
  printf('[{"id":"p%d","position":1},{"id":"p%d","position":2},{"id":"p%d","position":3}]',
         i % 97, i % 991, i % 9973), 0
FROM (SELECT i, printf('%032x', (i * 2654435761) % :n_units) AS unit FROM row)
"""

_EVENTS = """
WITH RECURSIVE row (i) AS (SELECT :first UNION ALL SELECT i + 1 FROM row WHERE i + 1 < :end)
INSERT INTO events (event_id, kind, at_ms, received_ms, user_key, item_id, exposure_id, quantity,
  price, order_id, flags)
SELECT printf('e%d', i), kind, :start + i + 1, :start + i + 1,
  printf('%032x', (i * 2654435761) % :n_units), iif(kind < 16, printf('p%d', i % 97), NULL),
  iif(kind = 1 OR kind = 16, printf('x%d', i), NULL), 1, 10 + i % 90, printf('o%d', i), 0
FROM (SELECT i, CASE WHEN i % 100 = 0 THEN 3 WHEN i % 50 = 1 THEN 2 WHEN i % 20 = 2 THEN 1
      WHEN i % 2 = 1 THEN 16 END AS kind FROM row) WHERE kind IS NOT NULL
"""

CHUNK = 500_000


def fill(path: Path, n_exposures: int) -> None:
    """Add exposures of two epochs, and per hundred some 46 rendered, 5 clicks, 2 carts, 1 order."""
    connection = connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -1000000")
    # One sort an index at the end costs less than a place in it for each row.
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL "
        "AND tbl_name IN ('events', 'exposures')"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    for statement in (_EXPOSURES, _EVENTS):
        for first in range(0, n_exposures, CHUNK):
            connection.execute(
                statement,
                {
                    "first": first,
                    "end": min(first + CHUNK, n_exposures),
                    "start": START_MS,
                    "half": n_exposures // 2,
                    "n_units": max(1, n_exposures // EXPOSURES_A_UNIT),
                },
            )
    for _, definition in indexes:
        connection.execute(definition)
    connection.close()
