"""Reads the running sums by day: funnel, events, orders, and which items were shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from service.stores.event_database import reported
from service.stores.event_log import Database, EventLog
from service.stores.rollup import count_waiting, open_rollup
from service.stores.rollup_days import BLOCK_DAYS

MAX_NEW_ROWS = 20_000
"""Rows that a reader adds to the running sums itself, in some tenths of a second."""


MAX_CHANNELS = 50
OTHER_CHANNELS = "(other)"
"""Stands for the channels that do not stand alone; so does one of this name."""


class DayStage(NamedTuple):
    """Exposures of a day at one place that got to a stage, see `outcomes.STAGES`."""

    day: int
    placement_id: str
    kind: str
    tier: str
    stage: int
    n: int


class DayEvents(NamedTuple):
    """Events of a day of one kind and channel. `value` is quantity times price, where known.

    Whoever has the key of a page may name a channel, so there may be as many as events: the
    `MAX_CHANNELS` with most events in the days that are read stand alone, the others together.
    """

    day: int
    kind: int
    channel: str
    n: int
    n_units: float
    value: float


class DayOrders(NamedTuple):
    """Orders of a day by channel, as those of events. `n_priced` of them have a value."""

    day: int
    channel: str
    n: int
    n_priced: int
    n_units: float
    value: float


class Buyers(NamedTuple):
    """Persons with an order in a period, and their orders."""

    n: int
    n_repeat: int
    """With a second order in the period."""
    n_orders: int


class DaySums(NamedTuple):
    """Everything about a row of days."""

    stages: list[DayStage]
    events: list[DayEvents]
    orders: list[DayOrders]
    buyers: Buyers
    n_waiting: int = 0
    """Rows of the log that are not in these sums yet."""
    orders_by_day: Sequence[tuple[int, int]] = ()
    """Every day with orders of all there are, the oldest first, and how many; not of these only."""


_WITHIN = "WHERE day BETWEEN :first AND :last"
_STAGES = f"""
SELECT day, placement_id, kind, tier, stage, sum(n) FROM day_stages {_WITHIN}
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1
"""
_CHANNEL = f"""
CASE WHEN channel IN (
  SELECT channel FROM day_events {_WITHIN}
  GROUP BY channel ORDER BY sum(n) DESC, channel LIMIT {MAX_CHANNELS}
) THEN channel ELSE '{OTHER_CHANNELS}' END
"""
_EVENTS = f"""
SELECT day, kind, {_CHANNEL}, sum(n), sum(n_units), sum(value) FROM day_events {_WITHIN}
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_ORDERS = f"""
SELECT day, {_CHANNEL}, sum(n), sum(n_priced), sum(n_units), round(sum(value), 6)
FROM day_orders {_WITHIN} AND n > 0
GROUP BY 1, 2 ORDER BY 1, 2
"""
_ORDERS_BY_DAY = """
SELECT day, sum(n) FROM day_orders WHERE n > 0 GROUP BY day ORDER BY day
"""
_BUYERS = f"""
SELECT count(*), coalesce(sum(n > 1), 0), coalesce(sum(n), 0)
FROM (
  SELECT count(*) AS n FROM orders {_WITHIN} AND person_key IS NOT NULL GROUP BY person_key
) AS buyers
"""
# Whole blocks, and the days before and behind them.
_SHOWN = """
SELECT id, sum(n) FROM (
  SELECT id, n FROM block_shown WHERE block BETWEEN :first_block AND :last_block
  UNION ALL SELECT id, n FROM day_shown WHERE day BETWEEN :first AND :before
  UNION ALL SELECT id, n FROM day_shown WHERE day BETWEEN :behind AND :last
) AS blocks GROUP BY id
"""


def read_days(events: EventLog, first_day: int, last_day: int) -> DaySums:
    """Read the sums of some days, both ends included, of the event store at `events`.

    Raises
    ------
    StoreError
        If the store cannot be read, or the disk has no room for the running sums.
    """
    values = {"first": first_day, "last": last_day}
    with reported(events):
        connection = open_rollup(events, max_new=MAX_NEW_ROWS)
        try:
            connection.execute("BEGIN")
            return DaySums(
                stages=[DayStage(*row) for row in connection.execute(_STAGES, values)],
                events=[DayEvents(*row) for row in connection.execute(_EVENTS, values)],
                orders=[DayOrders(*row) for row in connection.execute(_ORDERS, values)],
                buyers=Buyers(*connection.execute(_BUYERS, values).fetchone()),
                n_waiting=count_waiting(connection),
                orders_by_day=connection.execute(_ORDERS_BY_DAY).fetchall(),
            )
        finally:
            connection.close()


def read_shown(events: EventLog, first_day: int, last_day: int) -> dict[str, int]:
    """Count how often each item was shown on some days, both ends included.

    Raises
    ------
    StoreError
        If the store cannot be read, or the disk has no room for the running sums.
    """
    with reported(events):
        connection: Database = open_rollup(events, max_new=MAX_NEW_ROWS)
        try:
            return dict(connection.execute(_SHOWN, _parts(first_day, last_day)).fetchall())
        finally:
            connection.close()


def _parts(first_day: int, last_day: int) -> dict[str, int]:
    """Cut a period into whole blocks and the days around them."""
    first_block = -(-first_day // BLOCK_DAYS)
    last_block = (last_day + 1) // BLOCK_DAYS - 1
    has_block = first_block <= last_block
    return {
        "first_block": first_block,
        "last_block": last_block,
        "first": first_day,
        "before": first_block * BLOCK_DAYS - 1 if has_block else last_day,
        "behind": (last_block + 1) * BLOCK_DAYS if has_block else last_day + 1,
        "last": last_day,
    }
