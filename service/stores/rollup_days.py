"""Running sums by day, beside those by rollout: what insights and the catalogue's coverage read.

A day is UTC and counted from 1970. An exposure and everything that it led to stand on the day of
the exposure; events and orders stand on their own. `rollup` runs these statements in its folds.
"""

from __future__ import annotations

from collections.abc import Sequence

from service.stores.event_log import Database
from service.stores.event_schema import EventFlag
from service.stores.key_list import LISTED, listed

DAY_MS = 86_400_000
KEPT_DAYS = 400
"""How long what was shown, and whose an order was, is kept by day."""
BLOCK_DAYS = 7
"""What was shown is also summed up over so many days, for long periods."""
BY_SERVER = f"CASE WHEN flags & {int(EventFlag.BY_SERVER)} <> 0 THEN 1 ELSE 0 END"
"""1 for an event that the shop's own server told of."""

SCHEMA = """
CREATE TABLE day_stages (
  day INTEGER, placement_id TEXT, kind TEXT, tier TEXT, channel TEXT, stage INTEGER,
  n INTEGER NOT NULL,
  PRIMARY KEY (day, placement_id, kind, tier, channel, stage)) WITHOUT ROWID;
CREATE TABLE day_shown (
  day INTEGER, id TEXT, n INTEGER NOT NULL, PRIMARY KEY (day, id)) WITHOUT ROWID;
CREATE TABLE block_shown (
  block INTEGER, id TEXT, n INTEGER NOT NULL, PRIMARY KEY (block, id)) WITHOUT ROWID;
CREATE TABLE day_events (
  day INTEGER, kind INTEGER, channel TEXT, n INTEGER NOT NULL, n_units REAL NOT NULL,
  value REAL NOT NULL, PRIMARY KEY (day, kind, channel)) WITHOUT ROWID;
CREATE TABLE day_orders (
  day INTEGER, channel TEXT, n INTEGER NOT NULL, n_priced INTEGER NOT NULL, n_units REAL NOT NULL,
  value REAL NOT NULL, PRIMARY KEY (day, channel)) WITHOUT ROWID;
CREATE TABLE orders (
  number INTEGER PRIMARY KEY, order_key TEXT NOT NULL UNIQUE, day INTEGER NOT NULL,
  person_key TEXT, channel TEXT NOT NULL, n_units REAL NOT NULL, value REAL NOT NULL,
  by_server INTEGER NOT NULL);
CREATE INDEX orders_day ON orders (day, person_key);
CREATE INDEX orders_person ON orders (person_key) WHERE person_key IS NOT NULL
"""

TOLD_PERSON, TOLD_CHANNEL = 2, 4
"""Of `orders.by_server`, beside the 1 of an order that the server told of: what it said itself, and
not a browser alone. What goes before what must not depend on which of it is added up first."""

_ADD_STAGES = """
ON CONFLICT (day, placement_id, kind, tier, channel, stage)
DO UPDATE SET n = day_stages.n + excluded.n
"""

# What a crawler was shown counts for nobody.
FOLD_EXPOSURES = (
    f"""
INSERT INTO day_stages
SELECT at_ms / {DAY_MS}, placement_id, kind, tier, coalesce(channel, ''), :assigned, count(*)
FROM log.exposures WHERE seq > :after AND seq <= :upto AND reason IS DISTINCT FROM 'ROBOT'
GROUP BY 1, 2, 3, 4, 5
{_ADD_STAGES}
""",
    """
INSERT INTO day_shown
SELECT day, id, sum(n) FROM seen WHERE is_item GROUP BY 1, 2
ON CONFLICT (day, id) DO UPDATE SET n = day_shown.n + excluded.n
""",
    f"""
INSERT INTO block_shown
SELECT day / {BLOCK_DAYS}, id, sum(n) FROM seen WHERE is_item GROUP BY 1, 2
ON CONFLICT (block, id) DO UPDATE SET n = block_shown.n + excluded.n
""",
    f"DELETE FROM day_shown WHERE day < (SELECT max(day) FROM day_shown) - {KEPT_DAYS}",
    f"""
DELETE FROM block_shown
WHERE block < (SELECT max(block) FROM block_shown) - {KEPT_DAYS // BLOCK_DAYS}
""",
)


def _move_orders(sign: str) -> str:
    """Add what the orders of ``bought`` come to, or take it out."""
    return f"""
INSERT INTO day_orders
SELECT day, channel, {sign} count(*), {sign} sum(value > 0), {sign} total(n_units),
  {sign} total(value)
FROM bought CROSS JOIN orders USING (order_key) GROUP BY 1, 2
ON CONFLICT (day, channel) DO UPDATE SET n = day_orders.n + excluded.n,
  n_priced = day_orders.n_priced + excluded.n_priced,
  n_units = day_orders.n_units + excluded.n_units, value = day_orders.value + excluded.value
"""


_TOLD, _TOLD_NEW = "(orders.by_server & 1)", "(excluded.by_server & 1)"


def _choose(column: str, said: int) -> str:
    """Take what the server said of an order, of two of a kind the greater one, as inside a fold."""
    mine, new = f"(orders.by_server & {said})", f"(excluded.by_server & {said})"
    return f"""CASE WHEN orders.{column} IS NULL OR {new} > {mine}
    OR {new} = {mine} AND excluded.{column} > orders.{column}
    THEN excluded.{column} ELSE orders.{column} END"""


# An event from the future counts as from its arrival. Lines without a number are one order where
# one person bought them on one day, as the trainer sees it too. Once the shop's server has told of
# an order, what a browser tells of it is no part of its money, whatever comes first; person and
# channel are the browser's where the server names none.
FOLD_EVENTS = (
    f"""
INSERT INTO day_events
SELECT min(at_ms, received_ms) / {DAY_MS}, kind, coalesce(channel, ''), count(*),
       total(coalesce(quantity, 1)), total(coalesce(quantity, 1) * price)
FROM log.events
WHERE seq > :after AND seq <= :upto AND kind <= 4 AND flags & :uncounted = 0
GROUP BY 1, 2, 3
ON CONFLICT (day, kind, channel) DO UPDATE SET n = day_events.n + excluded.n,
  n_units = day_events.n_units + excluded.n_units, value = day_events.value + excluded.value
""",
    f"""
CREATE TEMP TABLE bought AS
SELECT order_key, min(day) AS first_day, max(by_server)
         + max(CASE WHEN by_server = 1 AND person_key IS NOT NULL THEN {TOLD_PERSON} ELSE 0 END)
         + max(CASE WHEN by_server = 1 AND place <> '' THEN {TOLD_CHANNEL} ELSE 0 END) AS by_server,
       coalesce(max(CASE WHEN by_server = 1 THEN person_key END), max(person_key)) AS person,
       coalesce(max(CASE WHEN by_server = 1 AND place <> '' THEN place END), max(place)) AS place,
       CASE max(by_server) WHEN 1 THEN total(CASE WHEN by_server = 1 THEN units END)
         ELSE total(units) END AS units,
       CASE max(by_server) WHEN 1 THEN total(CASE WHEN by_server = 1 THEN paid END)
         ELSE total(paid) END AS paid
FROM (
  SELECT CASE
           WHEN order_id IS NOT NULL THEN 'order:' || order_id
           WHEN coalesce(user_key, anonymous_key) IS NOT NULL
             THEN 'day:' || (min(at_ms, received_ms) / {DAY_MS}) || ':'
                  || coalesce(user_key, anonymous_key)
           ELSE 'event:' || seq END AS order_key,
         min(at_ms, received_ms) / {DAY_MS} AS day, coalesce(user_key, anonymous_key) AS person_key,
         coalesce(channel, '') AS place, coalesce(quantity, 1) AS units,
         coalesce(coalesce(quantity, 1) * price, 0) AS paid,
         CASE WHEN order_id IS NULL THEN 0 ELSE {BY_SERVER} END AS by_server
  FROM log.events
  WHERE seq > :after AND seq <= :upto AND kind = 3 AND flags & :uncounted = 0
) AS lines GROUP BY order_key
""",
    _move_orders("-"),
    f"""
INSERT INTO orders (order_key, day, person_key, channel, n_units, value, by_server)
SELECT order_key, first_day, person, place, units, paid, by_server FROM bought WHERE true
ON CONFLICT (order_key) DO UPDATE SET day = min(orders.day, excluded.day),
  person_key = {_choose("person_key", TOLD_PERSON)}, channel = {_choose("channel", TOLD_CHANNEL)},
  n_units = CASE WHEN {_TOLD_NEW} = {_TOLD} THEN orders.n_units + excluded.n_units
    WHEN {_TOLD_NEW} > {_TOLD} THEN excluded.n_units ELSE orders.n_units END,
  value = CASE WHEN {_TOLD_NEW} = {_TOLD} THEN orders.value + excluded.value
    WHEN {_TOLD_NEW} > {_TOLD} THEN excluded.value ELSE orders.value END,
  by_server = orders.by_server | excluded.by_server
""",
    _move_orders("+"),
    "DROP TABLE bought",
    f"""
UPDATE orders SET person_key = NULL, order_key = 'old:' || number
WHERE person_key IS NOT NULL AND day < (SELECT max(day) FROM orders) - {KEPT_DAYS}
""",
)

# Runs while `rollup` still has the table of what the new events hit.
FOLD_HITS = f"""
INSERT INTO day_stages
SELECT at_ms / {DAY_MS}, placement_id, exposures.kind, tier, coalesce(channel, ''), stage, count(*)
FROM hits JOIN log.exposures ON seq = exposure_seq
WHERE is_new AND reason IS DISTINCT FROM 'ROBOT'
GROUP BY 1, 2, 3, 4, 5, 6
{_ADD_STAGES}
"""


def forget_buyers(connection: Database, keys: Sequence[str]) -> int:
    """Take persons out of their orders, which stay as sums, and count the orders."""
    return connection.execute(
        "UPDATE orders SET person_key = NULL, order_key = 'gone:' || number "
        f"WHERE person_key IN {LISTED}",
        listed(keys),
    ).rowcount


def forget_old_buyers(connection: Database, before_ms: int) -> int:
    """Take persons out of the orders of the days before a moment, and count the orders."""
    return connection.execute(
        "UPDATE orders SET person_key = NULL, order_key = 'old:' || number "
        "WHERE person_key IS NOT NULL AND day < ?",
        (before_ms // DAY_MS,),
    ).rowcount
