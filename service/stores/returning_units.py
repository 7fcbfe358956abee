"""Sums over units that are there in two epochs of a rollout: what they did in one and the other.

The epochs' estimates are not independent where units come back; these sums say how far. All of
that is exact up to `MAX_PAIRS`; above, a fixed sample of the units stands for all of them, so that
a report of many epochs costs no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service.stores.event_log import Database
from service.stores.rollout_sums import ArmSums, ReturningStays, ReturningSums
from service.stores.rollup_folds import VARIANT
from service.stores.rollup_visits import DAY_MS, WINDOWS_DAYS
from service.stores.unit_money import capped

MAX_PAIRS = 200_000
"""Units by pairs of epochs that are added up one by one."""

_WHOLE = 65_536
# Numbers of units follow the order of the log, and may alternate between users and visitors.
_IN_SAMPLE = f"one.unit * 40503 % {_WHOLE} < :limit"
_ROLLOUT = "(SELECT id FROM names WHERE name = :rollout)"

_SEEN = f"""
SELECT epoch, one_name.name, other_epoch, other_name.name, n_units, sum_xx, sum_cc, sum_xc, sum_cx
FROM (
  SELECT one.epoch, one.{VARIANT} AS variant, other.epoch AS other_epoch,
         other.{VARIANT} AS other_variant, count(*) AS n_units,
         sum(one.n_exposures * other.n_exposures) AS sum_xx,
         sum(one.n_clicked * other.n_clicked) AS sum_cc,
         sum(one.n_exposures * other.n_clicked) AS sum_xc,
         sum(one.n_clicked * other.n_exposures) AS sum_cx
  FROM units AS one CROSS JOIN units AS other
    ON other.rollout = one.rollout AND other.unit = one.unit AND other.epoch > one.epoch
  WHERE one.rollout = {_ROLLOUT} AND {_IN_SAMPLE} GROUP BY 1, 2, 3, 4
) AS found
JOIN names AS one_name ON one_name.id = variant
JOIN names AS other_name ON other_name.id = other_variant
ORDER BY 1, 2, 3, 4
"""

_REVENUE, _REVENUE_AGAIN = capped("one.revenue"), capped("again.revenue")
_N_BOUGHT = "SELECT count(*) FROM money"
_INDEX = "CREATE INDEX money_place ON money (unit, epoch)"
_DID = f"""
SELECT epoch, one_name.name, other_epoch, other_name.name, n_carters, n_carted_twice, n_buyers,
       n_bought_twice, revenue, revenues, capped, cappeds, n_before, n_before_buyers, past,
       past_squared, past_capped, orders, orders_revenue
FROM (
  SELECT one.epoch, one.variant, other.epoch AS other_epoch, other.{VARIANT} AS other_variant,
         sum(coalesce(one.n_carts, 0) > 0) AS n_carters,
         sum(coalesce(one.n_carts, 0) > 0 AND coalesce(again.n_carts, 0) > 0) AS n_carted_twice,
         sum(coalesce(one.n_purchases, 0) > 0) AS n_buyers,
         sum(coalesce(one.n_purchases, 0) > 0 AND coalesce(again.n_purchases, 0) > 0)
           AS n_bought_twice,
         total(one.revenue) AS revenue, total(one.revenue * again.revenue) AS revenues,
         total({_REVENUE}) AS capped,
         total({_REVENUE} * {_REVENUE_AGAIN}) AS cappeds,
         sum(one.paid IS NOT NULL) AS n_before,
         sum(one.paid IS NOT NULL AND coalesce(one.n_purchases, 0) > 0) AS n_before_buyers,
         total(min(one.paid, :cap)) AS past,
         total(min(one.paid, :cap) * min(one.paid, :cap)) AS past_squared,
         total(min(one.paid, :cap) * {_REVENUE}) AS past_capped,
         total(one.n_orders * again.n_orders) AS orders,
         total(one.n_orders * again.revenue) AS orders_revenue
  FROM money AS one CROSS JOIN units AS other
    ON other.rollout = {_ROLLOUT} AND other.unit = one.unit AND other.epoch <> one.epoch
  LEFT JOIN money AS again ON again.unit = other.unit AND again.epoch = other.epoch
  WHERE {_IN_SAMPLE} GROUP BY 1, 2, 3, 4
) AS found
JOIN names AS one_name ON one_name.id = variant
JOIN names AS other_name ON other_name.id = other_variant
ORDER BY 1, 2, 3, 4
"""

_ENDED = "CREATE TEMP TABLE ended (epoch INTEGER PRIMARY KEY, days INTEGER NOT NULL)"
_END = "INSERT INTO ended VALUES (?, ?)"
_SEEN_IN = tuple(
    zip(("in_first", "in_second", "in_third"), (end for _, end in WINDOWS_DAYS), strict=True)
)


def _each_window(column: str) -> str:
    """Repeat for each window; `seen` and `end` in braces are its column and its last day."""
    return ", ".join(column.format(seen=seen, end=end) for seen, end in _SEEN_IN)


# The youngest of a day came at its end, so a window is over for all of it or for nobody.
_STAYED = f"""
SELECT found.*, one_name.name, other_name.name FROM (
  SELECT epoch, variant, other_epoch, other_variant, count(*),
         sum(n_visits > 1), sum(again > 1), sum(n_visits > 1 AND again > 1),
         sum(n_visits), sum(again), sum(n_visits * again),
         sum(n_visits * dwell_again), sum(dwell_s * again), sum(dwell_s * dwell_again),
         {_each_window("sum(n_days > {end})")},
         {_each_window("sum(n_days > {end} AND {seen} > 0)")},
         {_each_window("sum(n_days > {end} AND {seen}_again > 0)")},
         {_each_window("sum(n_days > {end} AND {seen} > 0 AND {seen}_again > 0)")}
  FROM (
    SELECT one.epoch, one.variant, other.epoch AS other_epoch, other.variant AS other_variant,
           one.n_visits, other.n_visits AS again, one.dwell_s, other.dwell_s AS dwell_again,
           {_each_window("one.{seen}")}, {_each_window("other.{seen} AS {seen}_again")},
           min(ended.days - one.day, other_ended.days - other.day) AS n_days
    FROM stays AS one CROSS JOIN stays AS other
      ON other.rollout = one.rollout AND other.unit = one.unit AND other.epoch > one.epoch
    CROSS JOIN ended ON ended.epoch = one.epoch
    CROSS JOIN ended AS other_ended ON other_ended.epoch = other.epoch
    WHERE one.rollout = {_ROLLOUT} AND {_IN_SAMPLE}
  ) AS pairs GROUP BY epoch, variant, other_epoch, other_variant
) AS found
JOIN names AS one_name ON one_name.id = found.variant
JOIN names AS other_name ON other_name.id = found.other_variant
"""

_Place = tuple[int, str, int, str]
_NOTHING = (0,) * (len(ReturningSums._fields) - 9)


def read_returning(
    connection: Database,
    rollout_key: str,
    cap: float,
    arms: Sequence[ArmSums],
    ends_ms: Mapping[int, int],
) -> list[ReturningSums]:
    """Add up who came back, from the tables that `service.stores.outcomes` made for a report.

    Each pair of epochs is there in both directions. `ends_ms` says when each epoch ended. Nothing
    is asked of the database where all `arms` are of one epoch.
    """
    n_epochs = len({arm.epoch for arm in arms})
    if n_epochs < 2:
        return []
    n_pairs = sum(arm.n_units for arm in arms) * (n_epochs - 1) // 2
    limit = _limit(n_pairs)
    seen: dict[_Place, tuple[float, ...]] = {}
    for row in connection.execute(_SEEN, {"rollout": rollout_key, "limit": limit}):
        n, xx, cc, xc, cx = _scaled(row[4:], limit)
        seen[row[:4]] = n, xx, cc, xc, cx
        seen[(*row[2:4], *row[:2])] = n, xx, cc, cx, xc
    if not seen:
        return []
    stays = _read_stays(connection, rollout_key, limit, ends_ms)
    connection.execute(_INDEX)
    limit = _limit(connection.execute(_N_BOUGHT).fetchone()[0] * (n_epochs - 1))
    values = {"rollout": rollout_key, "limit": limit, "cap": cap}
    did = {row[:4]: _scaled(row[4:], limit) for row in connection.execute(_DID, values)}
    # The samples need not be of the same size, so a place may be in one and not in the other.
    return [
        ReturningSums._make(
            (
                *place,
                *seen.get(place, (0,) * 5)[:4],
                *did.get(place, _NOTHING),
                stays.get(place, ReturningStays()),
            )
        )
        for place in sorted({*seen, *did, *stays})
    ]


def _read_stays(
    connection: Database, rollout_key: str, limit: int, ends_ms: Mapping[int, int]
) -> dict[_Place, ReturningStays]:
    connection.execute(_ENDED)
    connection.executemany(_END, [(epoch, end_ms // DAY_MS) for epoch, end_ms in ends_ms.items()])
    found: dict[_Place, ReturningStays] = {}
    for row in connection.execute(_STAYED, {"rollout": rollout_key, "limit": limit}):
        there: _Place = row[0], row[-2], row[2], row[-1]
        back: _Place = *there[2:], *there[:2]
        n, one, other, twice, v, again, vv, vd, dv, dd, *windows = _scaled(row[4:-2], limit)
        n_old, seen, seen_again, seen_twice = (
            tuple(windows[place : place + len(_SEEN_IN)])
            for place in range(0, len(windows), len(_SEEN_IN))
        )
        found[there] = ReturningStays(n, one, twice, v, vv, vd, dd, n_old, seen, seen_twice)
        found[back] = ReturningStays(
            n, other, twice, again, vv, dv, dd, n_old, seen_again, seen_twice
        )
    return found


def _limit(n_pairs: int) -> int:
    """Say how many of `_WHOLE` parts of the units are enough."""
    return _WHOLE if n_pairs <= MAX_PAIRS else max(1, _WHOLE * MAX_PAIRS // n_pairs)


def _scaled(sums: Sequence[float], limit: int) -> tuple[float, ...]:
    return tuple(sums) if limit == _WHOLE else tuple(each * _WHOLE / limit for each in sums)
