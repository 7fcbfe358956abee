"""What each unit of a rollout did with money: whole orders, and what was paid before them.

Made anew for each report, as temporary tables on disk: a unit may be shown something, sign in or
give something back after an order came. All lines of an order, and what is paid back of it, are in
one place: where the first line goes that names an exposure of the rollout, else the first of
somebody who is in the rollout. Where the shop's server told of an order, its lines are the money,
and a browser's lines of it only say whose it is.
"""

from __future__ import annotations

from service.stores.rollup_devices import NEVER
from service.stores.rollup_folds import FIRST_MS, VARIANT, VARIANT_BITS

_ROLLOUT = "(SELECT id FROM names WHERE name = :rollout)"
_NAMED = f"deed.rollout = {_ROLLOUT}"
_USER = 'deed."user"'
_KNOWN = '(SELECT known.unit FROM identities AS known WHERE known."user" = deed."user")'
_DEVICES = f"""(
    SELECT devices.unit FROM devices
    WHERE devices.device = deed.anonymous AND devices.until_ms = {NEVER}
    AND deed."user" IS NULL)"""

# A unit that its user is dealt as goes before the user, and that before the visitor; the unit of a
# device is asked of those alone who say nothing but their device.
_CANDIDATES = (_KNOWN, _USER, "deed.anonymous", _DEVICES)
_EPOCH_BITS = (1 << VARIANT_BITS) - 1


def _latest(candidate: str) -> str:
    """Find the epoch in which a unit was shown something last before a deed, as one number."""
    return f"""(
    SELECT one.unit << {VARIANT_BITS} | one.epoch FROM units AS one
    WHERE one.rollout = {_ROLLOUT} AND one.unit = {candidate} AND one.{FIRST_MS} <= deed.at_ms
    ORDER BY one.{FIRST_MS} DESC, one.epoch DESC LIMIT 1)"""


def _first(candidate: str) -> str:
    """Find when a unit was shown something first, in whatever epoch."""
    return f"""(
    SELECT min(first) >> {VARIANT_BITS} FROM units
    WHERE rollout = {_ROLLOUT} AND unit = {candidate})"""


_JOINED = ", ".join(_latest(candidate) for candidate in _CANDIDATES)
_LATER = " ".join(
    f"WHEN {_first(candidate)} IS NOT NULL THEN {candidate}" for candidate in _CANDIDATES
)

# `place` is unit and epoch. Who bought before they were shown anything has a `later` instead: the
# unit that they became. What is paid back of an order needs neither, for the order has it. Without
# MATERIALIZED SQLite looks for each place twice.
_LINES = f"""
CREATE TEMP TABLE lines AS
WITH found AS MATERIALIZED (
  SELECT kind, at_ms, value, order_id, by_server, {_NAMED} IS TRUE AS named, "user", anonymous,
         CASE
    WHEN {_NAMED} THEN deed.place
    WHEN kind = 4 AND order_id IS NOT NULL THEN NULL
    ELSE coalesce({_JOINED}) END AS place
  FROM deeds AS deed
)
SELECT kind, at_ms, value, order_id, by_server, named, place,
       CASE WHEN kind = 3 AND place IS NULL THEN CASE {_LATER} END END AS later
FROM found AS deed
"""

# Purchases go before refunds, so the first row is one of those where there is any. What arrived
# first says nothing here, so lines of two units in one ms go by pseudonym: a unit's number says
# when the sums met it, and sums that are made anew have another one. A browser's line lends the
# server's its exposure, and is left out itself.
_PLACED = f"""
CREATE TEMP TABLE placed AS
SELECT kind, at_ms, value, order_id, named, place, later FROM lines
WHERE order_id IS NULL AND (place IS NOT NULL OR later IS NOT NULL)
UNION ALL
SELECT kind, first_ms, value, order_id, named OR first_named AND by_server > first_by_server,
       CASE WHEN first_kind = 3 THEN first_place ELSE place END, first_later
FROM (
  SELECT kind, value, order_id, by_server, named, place,
         first_value(kind) OVER whole AS first_kind, first_value(named) OVER whole AS first_named,
         first_value(by_server) OVER whole AS first_by_server,
         first_value(at_ms) OVER whole AS first_ms, first_value(place) OVER whole AS first_place,
         first_value(later) OVER whole AS first_later
  FROM lines LEFT JOIN keys ON keys.id = coalesce(place >> {VARIANT_BITS}, later)
  WHERE order_id IS NOT NULL
  WINDOW whole AS (PARTITION BY order_id ORDER BY kind, named DESC,
    coalesce(place, later) IS NULL, by_server DESC, at_ms, place IS NULL, place & {_EPOCH_BITS},
    key)
) AS ordered
WHERE coalesce(first_place, first_later, place) IS NOT NULL
  AND (kind = 4 OR by_server = 1 OR order_id NOT IN (
    SELECT order_id FROM lines WHERE kind = 3 AND by_server = 1 AND order_id IS NOT NULL))
"""

_ORDERS = """
CREATE TEMP TABLE orders AS
SELECT place, sum(kind = 2) AS n_carts,
       count(DISTINCT CASE kind WHEN 3 THEN order_id END) + sum(kind = 3 AND order_id IS NULL)
         AS n_orders,
       sum(kind = 3) AS n_purchases,
       sum(CASE kind WHEN 3 THEN value WHEN 4 THEN -value ELSE 0 END) AS revenue,
       sum(kind = 2 AND named) AS n_carts_named, sum(kind = 3 AND named) AS n_purchases_named
FROM placed WHERE place IS NOT NULL GROUP BY place
"""

_PAST = f"""
CREATE TEMP TABLE past AS
SELECT later AS unit, sum(value) AS paid FROM placed
WHERE kind = 3 AND place IS NULL
  AND {_first("placed.later")} BETWEEN at_ms + 1 AND at_ms + :before
GROUP BY later
"""

_MONEY = f"""
CREATE TEMP TABLE money AS
SELECT units.unit, units.epoch, {VARIANT} AS variant, n_carts, n_orders, n_purchases, revenue, paid,
       n_carts_named, n_purchases_named
FROM (
  SELECT place >> {VARIANT_BITS} AS unit, place & {_EPOCH_BITS} AS epoch FROM orders
  UNION SELECT units.unit, units.epoch FROM past CROSS JOIN units
    ON units.rollout = {_ROLLOUT} AND units.unit = past.unit
) AS seen
CROSS JOIN units ON units.rollout = {_ROLLOUT} AND units.unit = seen.unit
  AND units.epoch = seen.epoch
LEFT JOIN orders ON orders.place = (seen.unit << {VARIANT_BITS} | seen.epoch)
LEFT JOIN past ON past.unit = seen.unit
"""

TABLES = (
    _LINES,
    _PLACED,
    "DROP TABLE lines",
    _ORDERS,
    "CREATE INDEX orders_place ON orders (place)",
    _PAST,
    "DROP TABLE placed",
    "CREATE INDEX past_unit ON past (unit)",
    _MONEY,
)
"""Statements that make ``money`` of ``:rollout``, a row for each unit and epoch with any; what was
paid before is of the ``:before`` ms before the unit's first exposure."""


def capped(column: str) -> str:
    """Cut money down to ``:cap``, on either side of zero: a refund may be as large as an order."""
    return f"max(-:cap, min({column}, :cap))"
