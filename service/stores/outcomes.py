"""Sums over one rollout's units and what they did, per epoch and variant, from the running sums.

The work is SQLite's, over temporary tables on disk, so memory does not grow with the log. A unit
belongs to the variant it saw first in an epoch; only exposures that a split decided are counted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from service.stores.event_schema import RENDERED, VIEWABLE, EventFlag
from service.stores.rollup import ASSIGNED, WINDOW_MS, open_rollup
from service.stores.sqlite import reported

__all__ = ["STAGES", "WINDOW_MS", "ArmSums", "RolloutSums", "Stage", "read_outcomes"]

BEFORE_MS = 28 * 86_400_000
"""How far back a unit's purchases before its first exposure are looked at."""
CAPPED_SHARE = 0.99
"""Share of paying units whose revenue stands as it is; the rest count as the largest of these."""

STAGES = {
    ASSIGNED: "served",
    RENDERED: "rendered",
    VIEWABLE: "viewable",
    1: "click",
    2: "add_to_cart",
    3: "purchase",
}

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
    n_carters: int = 0
    """Units that put something into the basket."""
    capped: float = 0.0
    """Revenue with the largest units' cut down to `RolloutSums.revenue_cap`."""
    sum_capped_squared: float = 0.0
    n_bought_before: int = 0
    """Units with a purchase in `BEFORE_MS` before their first exposure by the rollout."""
    n_bought_twice: int = 0
    """Those of them that bought after it too."""
    before: float = 0.0
    """What units paid before, capped likewise."""
    sum_before_squared: float = 0.0
    sum_before_capped: float = 0.0
    """Sum over units of what they paid before times what they paid after, both capped."""


class Stage(NamedTuple):
    """How many exposures got so far, at one place."""

    variant: str
    placement_id: str
    tier: str
    platform: str
    country: str
    stage: int
    n: int


class RolloutSums(NamedTuple):
    """Everything a report reads."""

    arms: list[ArmSums]
    n_units: dict[str, int]
    """Distinct units by variant, over all epochs."""
    not_split: dict[str, int]
    """Exposures that no split decided, by reason; they are in no arm."""
    stages: Sequence[Stage] = ()
    n_shown: Mapping[str, Sequence[int]] = MappingProxyType({})
    """By variant, how often each of its items and banners was shown."""
    revenue_cap: float | None = None


# Without the cast `unit` would have no type, and an index that is joined to a number stay unused.
_TABLES = """
CREATE TEMP TABLE arms AS
SELECT epoch, unit_key, variant, min(first_ms) AS first_ms, sum(n_exposures) AS n_exposures,
       count(*) > 1 OR max(crossover) AS crossed
FROM units WHERE rollout_key = :rollout GROUP BY epoch, unit_key;
CREATE INDEX temp.arms_unit ON arms (unit_key, first_ms);

CREATE TEMP TABLE deeds AS
SELECT event.kind, event.at_ms, coalesce(event.quantity, 1) * coalesce(event.price, 0) AS value,
       coalesce(event.order_id, event.event_id) AS order_id, event.user_key, event.anonymous_key,
       (SELECT known.unit_key FROM log.identities AS known
        WHERE known.user_key = event.user_key) AS known_key
FROM log.events AS event
WHERE event.kind > 0 AND event.kind IN (2, 3, 4) AND event.flags & :uncounted = 0;

CREATE TEMP TABLE unit_orders AS
SELECT CAST(unit AS INTEGER) AS unit, sum(kind = 2) AS n_carts,
       count(DISTINCT CASE WHEN kind = 3 THEN order_id END) AS n_orders,
       sum(kind = 3) AS n_purchases,
       sum(CASE kind WHEN 3 THEN value WHEN 4 THEN -value ELSE 0 END) AS revenue
FROM (
  SELECT kind, value, order_id, coalesce(
    (SELECT unit.rowid FROM arms AS unit
     WHERE unit.unit_key = known_key AND unit.first_ms <= at_ms
     ORDER BY unit.first_ms DESC LIMIT 1),
    (SELECT unit.rowid FROM arms AS unit
     WHERE unit.unit_key = user_key AND unit.first_ms <= at_ms
     ORDER BY unit.first_ms DESC LIMIT 1),
    (SELECT unit.rowid FROM arms AS unit
     WHERE unit.unit_key = anonymous_key AND unit.first_ms <= at_ms
     ORDER BY unit.first_ms DESC LIMIT 1)
  ) AS unit FROM deeds
) WHERE unit IS NOT NULL GROUP BY unit;

CREATE TEMP TABLE unit_before AS
SELECT unit_key, sum(value) AS paid FROM (
  SELECT value, at_ms, coalesce(
    (SELECT unit_key FROM arms AS unit WHERE unit.unit_key = known_key LIMIT 1),
    (SELECT unit_key FROM arms AS unit WHERE unit.unit_key = user_key LIMIT 1),
    (SELECT unit_key FROM arms AS unit WHERE unit.unit_key = anonymous_key LIMIT 1)
  ) AS unit_key FROM deeds WHERE kind = 3
) AS deed
WHERE unit_key IS NOT NULL AND (
  SELECT min(unit.first_ms) FROM arms AS unit WHERE unit.unit_key = deed.unit_key
) BETWEEN at_ms + 1 AND at_ms + :before
GROUP BY unit_key;
CREATE INDEX temp.unit_before_unit ON unit_before (unit_key);
CREATE INDEX temp.unit_orders_unit ON unit_orders (unit)
"""

# The largest revenue among the smallest 99 % of those that are above zero.
_CAP = """
SELECT revenue FROM unit_orders WHERE revenue > 0 ORDER BY revenue
LIMIT 1 OFFSET (
  SELECT max(0, cast(count(*) * :capped AS INTEGER) - 1) FROM unit_orders WHERE revenue > 0)
"""

_ARMS = """
SELECT epoch, variant, count(*), sum(crossed), sum(n_exposures), coalesce(sum(n_clicked), 0),
       total(n_exposures * n_exposures), total(n_clicked * n_clicked),
       total(n_exposures * n_clicked), coalesce(sum(n_named), 0), coalesce(sum(n_joined), 0),
       coalesce(sum(n_purchases > 0), 0), coalesce(sum(n_orders), 0), coalesce(sum(n_purchases), 0),
       total(revenue), total(revenue * revenue), coalesce(sum(n_carts > 0), 0),
       total(capped), total(capped * capped), coalesce(sum(paid IS NOT NULL), 0),
       coalesce(sum(paid IS NOT NULL AND n_purchases > 0), 0), total(paid), total(paid * paid),
       total(paid * capped)
FROM (
  SELECT arms.*, n_clicked, n_named, n_joined, n_carts, n_orders, n_purchases, revenue,
         min(revenue, :cap) AS capped, min(paid, :cap) AS paid
  FROM arms
  LEFT JOIN unit_clicks AS clicks ON clicks.rollout_key = :rollout AND clicks.epoch = arms.epoch
       AND clicks.unit_key = arms.unit_key
  LEFT JOIN unit_orders ON unit_orders.unit = arms.rowid
  LEFT JOIN unit_before ON unit_before.unit_key = arms.unit_key
) GROUP BY epoch, variant ORDER BY epoch, variant
"""

_UNITS = "SELECT variant, count(DISTINCT unit_key) FROM arms GROUP BY variant"

_NOT_SPLIT = "SELECT reason, n FROM not_split WHERE rollout_key = :rollout ORDER BY reason"

_STAGES = """
SELECT variant, placement_id, tier, platform, country, stage, sum(n)
FROM stages WHERE rollout_key = :rollout GROUP BY 1, 2, 3, 4, 5, 6
"""

_SHOWN = "SELECT variant, n FROM shown WHERE rollout_key = :rollout"


def read_outcomes(path: Path, rollout_key: str) -> RolloutSums:
    """Add up one rollout from the event store at `path`, while others write to it.

    Raises
    ------
    StoreError
        If the store cannot be read, or the disk has no room for the running sums.
    """
    with reported(path):
        connection = open_rollup(path)
        try:
            connection.execute("BEGIN")
            return _read(connection, rollout_key)
        finally:
            connection.close()


def _read(connection: sqlite3.Connection, rollout_key: str) -> RolloutSums:
    values: dict[str, str | float | None] = {
        "rollout": rollout_key,
        "before": BEFORE_MS,
        "uncounted": _UNCOUNTED,
        "capped": CAPPED_SHARE,
    }
    for statement in _TABLES.split(";\n"):
        connection.execute(statement, values)
    cap = connection.execute(_CAP, values).fetchone()
    # Above every revenue where nobody paid.
    values["cap"] = 1e300 if cap is None else cap[0]
    n_shown: dict[str, list[int]] = {}
    for variant, n in connection.execute(_SHOWN, values):
        n_shown.setdefault(variant, []).append(n)
    return RolloutSums(
        arms=[ArmSums(*row) for row in connection.execute(_ARMS, values)],
        n_units=dict(connection.execute(_UNITS, values).fetchall()),
        not_split=dict(connection.execute(_NOT_SPLIT, values).fetchall()),
        stages=[Stage(*row) for row in connection.execute(_STAGES, values)],
        n_shown=n_shown,
        revenue_cap=None if cap is None else cap[0],
    )
