"""Running sums over the event store, so that a report costs by units and not by exposures.

``rollup.sqlite`` is derived: each fold adds what was stored since the last one, and a missing or
outdated file is made anew from the event store. Writers of events never wait for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from pathlib import Path

from service.stores import rollup_days
from service.stores.event_database import connect
from service.stores.event_schema import EventFlag
from service.stores.sqlite import reported

ROLLUP_FILE = "rollup.sqlite"
VERSION = 2
CHUNK = 200_000
"""Rows that one transaction folds: bounds the space of temporary tables and what a crash costs."""
WINDOW_MS = 7 * 86_400_000
"""How long after an exposure what is done with its item, unnamed, is put down to it."""
ASSIGNED = 15
"""Stage of an exposure as stored; the later stages are the codes of events."""

_UNCOUNTED = int(EventFlag.BOT | EventFlag.PREVIEW)
_CACHE_KIB = 131_072

_SCHEMA = f"""
CREATE TABLE progress (name TEXT PRIMARY KEY, seq INTEGER NOT NULL);
INSERT INTO progress VALUES ('exposures', 0), ('events', 0);
CREATE TABLE units (
  rollout_key TEXT, epoch INTEGER, unit_key TEXT, variant TEXT, first_ms INTEGER NOT NULL,
  n_exposures INTEGER NOT NULL, crossover INTEGER NOT NULL,
  PRIMARY KEY (rollout_key, epoch, unit_key, variant)) WITHOUT ROWID;
CREATE TABLE unit_clicks (
  rollout_key TEXT, epoch INTEGER, unit_key TEXT, n_clicked INTEGER NOT NULL,
  n_named INTEGER NOT NULL, n_joined INTEGER NOT NULL,
  PRIMARY KEY (rollout_key, epoch, unit_key)) WITHOUT ROWID;
CREATE TABLE stages (
  rollout_key TEXT, epoch INTEGER, variant TEXT, placement_id TEXT, tier TEXT, platform TEXT,
  country TEXT, stage INTEGER, n INTEGER NOT NULL,
  PRIMARY KEY (rollout_key, epoch, variant, placement_id, tier, platform, country, stage)
) WITHOUT ROWID;
CREATE TABLE shown (
  rollout_key TEXT, variant TEXT, id TEXT, n INTEGER NOT NULL,
  PRIMARY KEY (rollout_key, variant, id)) WITHOUT ROWID;
CREATE TABLE not_split (
  rollout_key TEXT, reason TEXT, n INTEGER NOT NULL,
  PRIMARY KEY (rollout_key, reason)) WITHOUT ROWID;
CREATE TABLE reached (
  exposure_seq INTEGER, stage INTEGER, PRIMARY KEY (exposure_seq, stage)) WITHOUT ROWID;
{rollup_days.SCHEMA}"""

_SPLIT = "rollout_key IS NOT NULL AND unit_key IS NOT NULL AND reason = 'SPLIT'"
_PLACE = (
    "coalesce(placement_id, ''), coalesce(tier, ''), coalesce(platform, ''), coalesce(country, '')"
)

_FOLD_EXPOSURES = (
    f"""
INSERT INTO units
SELECT rollout_key, epoch, unit_key, variant, min(at_ms), count(*), max(crossover)
FROM log.exposures WHERE seq > :after AND seq <= :upto AND {_SPLIT}
GROUP BY rollout_key, epoch, unit_key, variant
ON CONFLICT DO UPDATE SET first_ms = min(first_ms, excluded.first_ms),
  n_exposures = n_exposures + excluded.n_exposures, crossover = max(crossover, excluded.crossover)
""",
    f"""
INSERT INTO stages
SELECT rollout_key, epoch, variant, {_PLACE}, {ASSIGNED}, count(*)
FROM log.exposures WHERE seq > :after AND seq <= :upto AND {_SPLIT}
GROUP BY 1, 2, 3, 4, 5, 6, 7
ON CONFLICT DO UPDATE SET n = n + excluded.n
""",
    f"""
CREATE TEMP TABLE seen AS
SELECT at_ms / {rollup_days.DAY_MS} AS day,
       exposures.kind = 'items' AND reason IS NOT 'ROBOT' AS is_item,
       iif({_SPLIT}, rollout_key, NULL) AS rollout_key, iif({_SPLIT}, variant, NULL) AS variant,
       one.value ->> 'id' AS id, count(*) AS n
FROM log.exposures, json_each(shown) AS one
WHERE seq > :after AND seq <= :upto
GROUP BY 1, 2, 3, 4, 5
""",
    """
INSERT INTO shown
SELECT rollout_key, variant, id, sum(n) FROM seen WHERE rollout_key IS NOT NULL GROUP BY 1, 2, 3
ON CONFLICT DO UPDATE SET n = n + excluded.n
""",
    """
INSERT INTO not_split
SELECT rollout_key, coalesce(reason, 'NONE'), count(*)
FROM log.exposures
WHERE seq > :after AND seq <= :upto AND rollout_key IS NOT NULL AND reason IS NOT 'SPLIT'
GROUP BY 1, 2
ON CONFLICT DO UPDATE SET n = n + excluded.n
""",
    *rollup_days.FOLD_EXPOSURES,
    "DROP TABLE temp.seen",
)

# Clicks, carts and purchases without an `exposure_id` go to the unit's last exposure of that item
# or banner; a grade always names its exposure. The unary plus keeps the scan in the order of `seq`.
_FOLD_EVENTS = (
    """
CREATE TEMP TABLE done AS
SELECT event.kind, event.at_ms, event.user_key, event.anonymous_key,
       (SELECT known.unit_key FROM log.identities AS known
        WHERE known.user_key = event.user_key) AS known_key,
       coalesce(event.item_id, event.banner_id) AS shown_id, event.item_id IS NULL AS is_banner,
       named.seq AS named_seq
FROM log.events AS event
LEFT JOIN log.exposures AS named ON named.exposure_id = event.exposure_id
WHERE event.seq > :after AND event.seq <= :upto AND +event.kind IN (1, 2, 3, 16, 17)
  AND event.flags & :uncounted = 0
""",
    """
CREATE TEMP TABLE hits AS
SELECT exposure_seq, stage, sum(named) AS n_named, sum(NOT named) AS n_joined,
       NOT EXISTS (SELECT 1 FROM reached WHERE reached.exposure_seq = found.exposure_seq
                   AND reached.stage = found.stage) AS is_new
FROM (
  SELECT named_seq AS exposure_seq, kind AS stage, 1 AS named FROM done WHERE named_seq IS NOT NULL
  UNION ALL
  SELECT (
    SELECT exposure.seq FROM log.exposures AS exposure
    WHERE exposure.unit_key IN (done.known_key, done.user_key, done.anonymous_key)
      AND exposure.unit_key IS NOT NULL
      AND exposure.at_ms BETWEEN done.at_ms - :window AND done.at_ms
      AND exposure.kind = iif(done.is_banner, 'banners', 'items')
      AND EXISTS (SELECT 1 FROM json_each(exposure.shown) AS one
                  WHERE one.value ->> 'id' = done.shown_id)
    ORDER BY exposure.at_ms DESC, exposure.seq DESC LIMIT 1
  ), kind, 0 FROM done WHERE named_seq IS NULL AND kind <= 3
) AS found
WHERE exposure_seq IS NOT NULL GROUP BY exposure_seq, stage
""",
    "INSERT INTO reached SELECT exposure_seq, stage FROM hits WHERE is_new",
    f"""
INSERT INTO unit_clicks
SELECT rollout_key, epoch, unit_key, sum(is_new), sum(n_named), sum(n_joined)
FROM hits JOIN log.exposures ON seq = exposure_seq
WHERE stage = 1 AND {_SPLIT}
GROUP BY 1, 2, 3
ON CONFLICT DO UPDATE SET n_clicked = n_clicked + excluded.n_clicked,
  n_named = n_named + excluded.n_named, n_joined = n_joined + excluded.n_joined
""",
    f"""
INSERT INTO stages
SELECT rollout_key, epoch, variant, {_PLACE}, stage, count(*)
FROM hits JOIN log.exposures ON seq = exposure_seq
WHERE is_new AND {_SPLIT}
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
ON CONFLICT DO UPDATE SET n = n + excluded.n
""",
    rollup_days.FOLD_HITS,
    *rollup_days.FOLD_EVENTS,
    "DROP TABLE temp.hits",
    "DROP TABLE temp.done",
)


def open_rollup(events: Path) -> sqlite3.Connection:
    """Open the running sums beside the event store `events`, attached as ``log``, and fold it all.

    The caller closes the connection. Processes that fold at the same time wait for each other.

    Raises
    ------
    StoreError
        If a file cannot be read or written.
    """
    path = events.with_name(ROLLUP_FILE)
    with reported(path):
        connection = connect(path, busy_timeout_ms=600_000)
        try:
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            # Losing the last folds to a power cut costs no more than folding them again.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("ATTACH ? AS log", (str(events),))
            _create(connection)
            _fold(connection, "exposures", _FOLD_EXPOSURES)
            _fold(connection, "events", _FOLD_EVENTS)
        except BaseException:
            connection.close()
            raise
    return connection


def erase_units(events: Path, keys: Collection[str]) -> int:
    """Delete the rows of these units and return how many; sums that name nobody stay.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    path = events.with_name(ROLLUP_FILE)
    if not path.exists():
        return 0
    with reported(path):
        connection = connect(path)
        try:
            connection.execute("PRAGMA secure_delete = ON")
            _create(connection)
            marks = ", ".join("?" * len(keys))
            connection.execute("BEGIN IMMEDIATE")
            n_rows = sum(
                connection.execute(
                    f"DELETE FROM {table} WHERE unit_key IN ({marks})", (*keys,)
                ).rowcount
                for table in ("units", "unit_clicks")
            )
            n_rows += rollup_days.forget_buyers(connection, keys)
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
    return n_rows


def forget_old_buyers(events: Path, before_ms: int) -> None:
    """Take persons out of the orders of the days before a moment; the orders stay as sums.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    path = events.with_name(ROLLUP_FILE)
    with reported(path):
        connection = connect(path)
        try:
            connection.execute("PRAGMA secure_delete = ON")
            _create(connection)
            rollup_days.forget_old_buyers(connection, before_ms)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()


def _create(connection: sqlite3.Connection) -> None:
    """Make the tables where they are missing or of another version."""
    if _version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    if _version(connection) != VERSION:
        _drop_all(connection)
        for statement in _SCHEMA.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _drop_all(connection: sqlite3.Connection) -> None:
    names = connection.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'")
    for (name,) in names.fetchall():
        connection.execute(f"DROP TABLE main.{name}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA main.user_version").fetchone()[0])


def _fold(connection: sqlite3.Connection, table: str, statements: tuple[str, ...]) -> None:
    """Add the rows of a table that are new, a chunk a transaction."""
    while True:
        connection.execute("BEGIN IMMEDIATE")
        try:
            (after,) = connection.execute(
                "SELECT seq FROM progress WHERE name = ?", (table,)
            ).fetchone()
            last = connection.execute(f"SELECT max(seq) FROM log.{table}").fetchone()[0] or 0
            upto = min(after + CHUNK, last)
            if upto > after:
                values = {
                    "after": after,
                    "upto": upto,
                    "window": WINDOW_MS,
                    "uncounted": _UNCOUNTED,
                    "assigned": ASSIGNED,
                }
                for statement in statements:
                    connection.execute(statement, values)
                connection.execute("UPDATE progress SET seq = ? WHERE name = ?", (upto, table))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        if upto >= last:
            return
