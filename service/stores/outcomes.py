"""Sums over one rollout's units and what they did, per epoch and variant, from the running sums.

What was seen and clicked is added up already; carts and orders are put down to units for each
report (`unit_money`), for a unit may be shown something, or sign in, after they came. The work is
the database's, over temporary tables on disk, so memory does not grow with the log. A unit belongs
to the variant it saw first in an epoch; only exposures that a split decided are counted.
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
from service.stores.unit_money import TABLES, capped

_NAME = "(SELECT name FROM names WHERE id = {})"
_ROLLOUT = "(SELECT id FROM names WHERE name = :rollout)"
_REVENUE = capped("revenue")

# The largest revenue among the smallest 99 % of those that are above zero.
_N_PAYING = "SELECT count(*) FROM money WHERE revenue > 0"
_CAP = "SELECT revenue FROM money WHERE revenue > 0 ORDER BY revenue LIMIT 1 OFFSET ?"

_ARMS = f"""
WITH spent AS (
  SELECT epoch, variant, sum(coalesce(n_purchases, 0) > 0) AS n_buyers,
         coalesce(sum(n_orders), 0) AS n_orders, coalesce(sum(n_purchases), 0) AS n_purchases,
         total(revenue) AS revenue, total(revenue * revenue) AS squared,
         sum(coalesce(n_carts, 0) > 0) AS n_carters, total({_REVENUE}) AS capped,
         total({_REVENUE} * {_REVENUE}) AS capped_squared,
         sum(paid IS NOT NULL) AS n_before,
         sum(paid IS NOT NULL AND coalesce(n_purchases, 0) > 0) AS n_twice,
         total(min(paid, :cap)) AS past, total(min(paid, :cap) * min(paid, :cap)) AS past_squared,
         total(min(paid, :cap) * {_REVENUE}) AS past_capped,
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
    for statement in TABLES:
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
