"""Sums over one rollout's units and what they did, per epoch and variant, from the running sums.

What was seen and clicked is added up already; carts and orders are put down to units here, for a
unit may be shown something, or sign in, after they came. The work is the database's, over temporary
tables on disk, so memory does not grow with the log. A unit belongs to the variant it saw first in
an epoch; only exposures that a split decided are counted.
"""

from __future__ import annotations

from service.stores.attribution import read_window_days
from service.stores.event_database import reported
from service.stores.event_log import Database, EventLog
from service.stores.returning_units import read_returning
from service.stores.rollout_sums import (
    BEFORE_MS,
    CAPPED_SHARE,
    MAX_NAMED,
    ArmSums,
    Cohort,
    FindEnds,
    Misdrawn,
    People,
    ReturningSums,
    RolloutSums,
    Stage,
)
from service.stores.rollup import count_waiting, open_rollup
from service.stores.rollup_folds import FIRST_MS, VARIANT, VARIANT_BITS

_NAME = "(SELECT name FROM names WHERE id = {})"
_ROLLOUT = "(SELECT id FROM names WHERE name = :rollout)"
_NAMED = f"deed.rollout = {_ROLLOUT}"
_USER = 'deed."user"'
_KNOWN = '(SELECT known.unit FROM identities AS known WHERE known."user" = deed."user")'


def _latest(candidate: str) -> str:
    """Find the epoch in which a unit was shown something last before a deed, as one number."""
    return f"""(
    SELECT one.unit << {VARIANT_BITS} | one.epoch FROM units AS one
    WHERE one.rollout = {_ROLLOUT} AND one.unit = {candidate} AND one.{FIRST_MS} <= deed.at_ms
    ORDER BY one.first DESC LIMIT 1)"""


def _first(candidate: str) -> str:
    """Find when a unit was shown something first, in whatever epoch."""
    return f"""(
    SELECT min(first) >> {VARIANT_BITS} FROM units
    WHERE rollout = {_ROLLOUT} AND unit = {candidate})"""


_UNIT, _EPOCH = f"place >> {VARIANT_BITS}", f"place & {(1 << VARIANT_BITS) - 1}"

# A deed belongs to the unit and epoch of the exposure that it names, whatever its own ids and clock
# say; else to the unit that its user is dealt as, else to its user, else to its visitor.
_TABLES = f"""
CREATE TEMP TABLE orders AS
SELECT place, sum(kind = 2) AS n_carts,
       count(DISTINCT order_id) AS n_orders, sum(kind = 3) AS n_purchases,
       sum(CASE kind WHEN 3 THEN value WHEN 4 THEN -value ELSE 0 END) AS revenue,
       sum(kind = 2 AND named) AS n_carts_named, sum(kind = 3 AND named) AS n_purchases_named
FROM (
  SELECT kind, value, order_id, {_NAMED} IS TRUE AS named, coalesce(
    CASE WHEN {_NAMED} THEN deed.place END,
    {_latest(_KNOWN)}, {_latest(_USER)}, {_latest("deed.anonymous")}
  ) AS place FROM deeds AS deed
) AS placed WHERE place IS NOT NULL GROUP BY place;
CREATE INDEX orders_place ON orders (place);

CREATE TEMP TABLE past AS
SELECT unit, sum(value) AS paid FROM (
  SELECT value, at_ms, CASE
    WHEN {_first(_KNOWN)} IS NOT NULL THEN {_KNOWN}
    WHEN {_first(_USER)} IS NOT NULL THEN {_USER}
    WHEN {_first("deed.anonymous")} IS NOT NULL THEN deed.anonymous END AS unit
  FROM deeds AS deed WHERE kind = 3 AND {_NAMED} IS NOT TRUE
) AS bought
WHERE unit IS NOT NULL AND {_first("bought.unit")} BETWEEN at_ms + 1 AND at_ms + :before
GROUP BY unit;
CREATE INDEX past_unit ON past (unit);

CREATE TEMP TABLE money AS
SELECT units.unit, units.epoch, {VARIANT} AS variant, n_carts, n_orders, n_purchases, revenue, paid,
       n_carts_named, n_purchases_named
FROM (
  SELECT {_UNIT} AS unit, {_EPOCH} AS epoch FROM orders
  UNION SELECT units.unit, units.epoch FROM past CROSS JOIN units
    ON units.rollout = {_ROLLOUT} AND units.unit = past.unit
) AS seen
CROSS JOIN units ON units.rollout = {_ROLLOUT} AND units.unit = seen.unit
  AND units.epoch = seen.epoch
LEFT JOIN orders ON orders.place = (seen.unit << {VARIANT_BITS} | seen.epoch)
LEFT JOIN past ON past.unit = seen.unit
"""

# The largest revenue among the smallest 99 % of those that are above zero.
_N_PAYING = "SELECT count(*) FROM money WHERE revenue > 0"
_CAP = "SELECT revenue FROM money WHERE revenue > 0 ORDER BY revenue LIMIT 1 OFFSET ?"

_ARMS = f"""
WITH spent AS (
  SELECT epoch, variant, sum(coalesce(n_purchases, 0) > 0) AS n_buyers,
         coalesce(sum(n_orders), 0) AS n_orders, coalesce(sum(n_purchases), 0) AS n_purchases,
         total(revenue) AS revenue, total(revenue * revenue) AS squared,
         sum(coalesce(n_carts, 0) > 0) AS n_carters, total(min(revenue, :cap)) AS capped,
         total(min(revenue, :cap) * min(revenue, :cap)) AS capped_squared,
         sum(paid IS NOT NULL) AS n_before,
         sum(paid IS NOT NULL AND coalesce(n_purchases, 0) > 0) AS n_twice,
         total(min(paid, :cap)) AS past, total(min(paid, :cap) * min(paid, :cap)) AS past_squared,
         total(min(paid, :cap) * min(revenue, :cap)) AS past_capped,
         total(n_orders * n_orders) AS orders_squared, total(n_orders * revenue) AS orders_revenue,
         coalesce(sum(n_carts), 0) AS n_carts, coalesce(sum(n_carts_named), 0) AS n_carts_named,
         coalesce(sum(n_purchases_named), 0) AS n_purchases_named
  FROM money GROUP BY epoch, variant
)
SELECT arms.epoch, {_NAME.format("arms.variant")} AS name, n_units, n_crossed, n_exposures,
       n_clicked, sum_xx, sum_cc, sum_xc, n_named, n_joined, coalesce(n_buyers, 0),
       coalesce(n_orders, 0), coalesce(n_purchases, 0), coalesce(revenue, 0.0),
       coalesce(squared, 0.0), coalesce(n_carters, 0), coalesce(capped, 0.0),
       coalesce(capped_squared, 0.0), coalesce(n_before, 0), coalesce(n_twice, 0),
       coalesce(past, 0.0), coalesce(past_squared, 0.0), coalesce(past_capped, 0.0),
       coalesce(orders_squared, 0.0), coalesce(orders_revenue, 0.0),
       coalesce(n_carts_named, 0), coalesce(n_carts - n_carts_named, 0),
       coalesce(n_purchases_named, 0), coalesce(n_purchases - n_purchases_named, 0)
FROM arms LEFT JOIN spent ON spent.epoch = arms.epoch AND spent.variant = arms.variant
WHERE arms.rollout = {_ROLLOUT} AND n_units > 0 ORDER BY arms.epoch, name
"""

_PEOPLE = f"""
WITH spent AS (
  SELECT variant, count(DISTINCT CASE WHEN n_carts > 0 THEN unit END) AS n_carters,
         count(DISTINCT CASE WHEN n_purchases > 0 THEN unit END) AS n_buyers
  FROM money GROUP BY variant
)
SELECT {_NAME.format("people.variant")}, n_units, n_crossed, coalesce(n_carters, 0),
       coalesce(n_buyers, 0)
FROM people LEFT JOIN spent ON spent.variant = people.variant
WHERE rollout = {_ROLLOUT} AND n_units > 0
"""

_NOT_SPLIT = "SELECT reason, n FROM not_split WHERE rollout_key = :rollout ORDER BY reason"

_STAGES = """
SELECT variant, placement_id, tier, platform, country, stage, sum(n)
FROM stages WHERE rollout_key = :rollout GROUP BY 1, 2, 3, 4, 5, 6
"""

_MISDRAWN = """
SELECT variant, drawn, count(*) FROM misdrawn WHERE rollout_key = :rollout GROUP BY 1, 2
"""
_MISDRAWN_IDS = """
SELECT exposure_id FROM misdrawn WHERE rollout_key = ? AND variant = ? AND drawn = ?
ORDER BY exposure_id LIMIT ?
"""

_COHORTS = f"""
SELECT epoch, {_NAME.format("variant")}, day, n_units, n_returned, n_visits, dwell_s, sum_vv,
       sum_dd, sum_vd, n_first, n_second, n_third
FROM cohorts WHERE rollout = {_ROLLOUT} AND n_units > 0 ORDER BY 1, 2, 3
"""

_SHOWN = "SELECT variant, id, n FROM shown WHERE rollout_key = :rollout"


def read_outcomes(
    path: EventLog,
    rollout_key: str,
    *,
    max_new: int | None = None,
    find_ends: FindEnds | None = None,
) -> RolloutSums:
    """Add up one rollout from the event store at `path`, while others write to it.

    With `max_new` at most so many rows are added to the running sums before; `n_waiting` tells how
    many more there are. Who compares over several epochs gives `find_ends`, for who came back is
    asked of units that are old enough; without it `returning` is empty.

    Raises
    ------
    StoreError
        If the store cannot be read, or the disk has no room for the running sums.
    """
    with reported(path):
        connection = open_rollup(path, max_new=max_new)
        try:
            connection.execute("BEGIN")
            return _read(connection, rollout_key, find_ends)
        finally:
            connection.close()


def _read(connection: Database, rollout_key: str, find_ends: FindEnds | None) -> RolloutSums:
    values: dict[str, str | float | None] = {
        "rollout": rollout_key,
        "before": BEFORE_MS,
    }
    for statement in _TABLES.split(";\n"):
        connection.execute(statement, values)
    n_paying = connection.execute(_N_PAYING).fetchone()[0]
    last = max(0, int(n_paying * CAPPED_SHARE) - 1)
    cap = connection.execute(_CAP, (last,)).fetchone()
    # Above every revenue where nobody paid.
    values["cap"] = limit = 1e300 if cap is None else cap[0]
    n_shown: dict[str, dict[str, int]] = {}
    for variant, shown_id, n in connection.execute(_SHOWN, values):
        n_shown.setdefault(variant, {})[shown_id] = n
    arms = [ArmSums(*row) for row in connection.execute(_ARMS, values)]
    cohorts = [Cohort._make((*row[:-3], row[-3:])) for row in connection.execute(_COHORTS, values)]
    returning: list[ReturningSums] = []
    if find_ends is not None:
        returning = read_returning(connection, rollout_key, limit, arms, find_ends(cohorts))
    return RolloutSums(
        arms=arms,
        people={name: People(*row) for name, *row in connection.execute(_PEOPLE, values)},
        not_split=dict(connection.execute(_NOT_SPLIT, values).fetchall()),
        stages=[Stage(*row) for row in connection.execute(_STAGES, values)],
        n_shown=n_shown,
        revenue_cap=None if cap is None else cap[0],
        misdrawn=_read_misdrawn(connection, rollout_key),
        cohorts=cohorts,
        n_waiting=count_waiting(connection),
        returning=returning,
        attribution_days=read_window_days(connection),
    )


def _read_misdrawn(connection: Database, rollout_key: str) -> list[Misdrawn]:
    pairs = connection.execute(_MISDRAWN, {"rollout": rollout_key}).fetchall()
    return [
        Misdrawn(
            variant,
            drawn,
            n,
            [
                exposure_id
                for (exposure_id,) in connection.execute(
                    _MISDRAWN_IDS, (rollout_key, variant, drawn, MAX_NAMED)
                )
            ],
        )
        for variant, drawn, n in pairs
    ]
