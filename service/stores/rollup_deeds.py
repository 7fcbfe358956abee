"""Carts, purchases and refunds one by one, beside the running sums: reports put them down to units.

Whoever did one is kept, for they may be shown something later, and then this is their past. One
that names an exposure which a split decided has that unit and epoch, whatever its own ids say; one
that says nothing but its order is kept too, for another line of the order may say more. They have a
place of their own in the log, so a home's older sums stay as they are.
"""

from __future__ import annotations

from service.stores.event_schema import EventFlag
from service.stores.rollup_days import BY_SERVER
from service.stores.rollup_folds import EPOCH, SPLIT, UNCOUNTED, VARIANT_BITS, key_id, name_id

FORM = 9
"""What a row says: as since this version of the running sums."""

# `place` is unit and epoch of what is named in `rollout`, as one number. `form` is for a server of
# an older release that still runs beside one database: it knows no such column, so it fails where
# its rows would say less than these, and for good.
SCHEMA = """
CREATE TABLE deeds (
  seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, at_ms INTEGER NOT NULL, value REAL NOT NULL,
  order_id TEXT, "user" INTEGER, anonymous INTEGER, rollout INTEGER, place INTEGER,
  form INTEGER NOT NULL, by_server INTEGER NOT NULL);
INSERT INTO progress VALUES ('deeds', 0)"""

# Without consent nobody's unit gets a row.
_MAY_BE_KNOWN = f"event.flags & {int(EventFlag.NO_CONSENT)} = 0"

# What is dated in the future counts as from its arrival. The unary plus keeps the scan in the order
# of `seq`.
_FOLD = (
    f"""
CREATE TEMP TABLE fresh AS
SELECT event.seq, event.kind, min(event.at_ms, event.received_ms) AS at_ms,
       coalesce(quantity, 1) * coalesce(price, 0) AS value,
       CASE WHEN event.kind IN (3, 4) AND {_MAY_BE_KNOWN} THEN order_id END AS order_id,
       event.user_key, event.anonymous_key, rollout_key, unit_key, {EPOCH} AS epoch,
       {BY_SERVER} AS by_server
FROM log.events AS event
LEFT JOIN log.exposures AS named ON named.exposure_id = event.exposure_id
  AND {_MAY_BE_KNOWN} AND {SPLIT}
WHERE event.seq > :after AND event.seq <= :upto AND +event.kind IN (2, 3, 4)
  AND event.flags & {UNCOUNTED} = 0
  AND (coalesce(event.user_key, event.anonymous_key, unit_key) IS NOT NULL
    OR event.kind IN (3, 4) AND order_id IS NOT NULL AND {_MAY_BE_KNOWN})
""",
    """
INSERT INTO names (name)
SELECT DISTINCT rollout_key FROM fresh WHERE rollout_key IS NOT NULL
ON CONFLICT DO NOTHING
""",
    """
INSERT INTO keys (key)
SELECT user_key FROM fresh WHERE user_key IS NOT NULL
UNION SELECT anonymous_key FROM fresh WHERE anonymous_key IS NOT NULL
UNION SELECT unit_key FROM fresh WHERE unit_key IS NOT NULL
ON CONFLICT DO NOTHING
""",
    f"""
INSERT INTO deeds
SELECT seq, kind, at_ms, value, order_id, {key_id("user_key")}, {key_id("anonymous_key")},
       {name_id("rollout_key")}, {key_id("unit_key")} << {VARIANT_BITS} | epoch, {FORM}, by_server
FROM fresh WHERE true
ON CONFLICT DO NOTHING
""",
    "DROP TABLE fresh",
)

Folds = tuple[tuple[str, str, tuple[str, ...]], ...]
"""By a name in `progress`: the table of the log that is read, and how."""
FOLDS: Folds = (("deeds", "events", _FOLD),)

_NAMED = f"place >> {VARIANT_BITS}"


def forget(units: str) -> tuple[str, ...]:
    """Make the statements that delete what these units did, and what somebody did that names one.

    With it goes what says nothing but its order, if that is one of theirs. What is somebody else's
    stays theirs, as if what it names had never been known.
    """
    theirs = f"""
"user" IN ({units}) OR anonymous IN ({units})
OR coalesce("user", anonymous) IS NULL AND {_NAMED} IN ({units})"""
    return (
        f"""
DELETE FROM deeds WHERE coalesce("user", anonymous, place) IS NULL AND order_id IN (
  SELECT order_id FROM deeds WHERE {theirs})
""",
        f"DELETE FROM deeds WHERE {theirs}",
        f"UPDATE deeds SET rollout = NULL, place = NULL WHERE {_NAMED} IN ({units})",
    )
