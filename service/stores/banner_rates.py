"""The learned click rates of banners, as published for a period."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from service.stores.derived import transaction
from service.stores.event_log import Database

KEPT_PERIODS = 2
"""This one and the next."""

ALL_PLACEMENTS, ALL_SEGMENTS, NEW_BANNER, ANY_FIT = "", "*", "", "*"
"""Stand for every placement, every segment (an empty one is that of shoppers in none), and a banner
that nothing is known of."""


class StoredRate(NamedTuple):
    """What is believed of the click rate of a banner at one place: a Beta distribution."""

    placement_id: str
    segment: str
    banner_id: str
    fit: str
    """`ANY_FIT` is of a banner that fits nothing, as all its fits tell."""
    rate: float
    """Its mean."""
    strength: float
    """Sum of its two parameters: how many exposures it is worth."""


class StoredLift(NamedTuple):
    """How many times more often a banner is clicked that fits so well."""

    fit: str
    lift: float
    clicks: float
    """How many clicks say so."""


class PublishedRates(NamedTuple):
    """One period's rates."""

    period: int
    rates: tuple[StoredRate, ...]
    lifts: tuple[StoredLift, ...]


def publish_rates(
    connection: Database,
    period: int,
    rates: Iterable[StoredRate],
    lifts: Iterable[StoredLift],
    *,
    now_ms: int,
) -> bool:
    """Write the rates of a period once; false if another did. Old periods go, and later ones."""
    with transaction(connection):
        is_new = not connection.execute(
            "SELECT EXISTS (SELECT 1 FROM periods WHERE period = ?)", (period,)
        ).fetchone()[0]
        if is_new:
            connection.execute("INSERT INTO periods VALUES (?, ?)", (period, now_ms))
            connection.executemany(
                "INSERT INTO rates (period, placement_id, segment, banner_id, fit, rate, strength) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                ((period, *rate) for rate in rates),
            )
            connection.executemany(
                "INSERT INTO lifts (period, fit, lift, clicks) VALUES (?, ?, ?, ?)",
                ((period, *lift) for lift in lifts),
            )
            for table in ("rates", "lifts", "periods"):
                connection.execute(f"DELETE FROM {table} WHERE period > ?", (period,))
                connection.execute(
                    f"DELETE FROM {table} WHERE period NOT IN "
                    "(SELECT period FROM periods ORDER BY period DESC LIMIT ?)",
                    (KEPT_PERIODS,),
                )
    return is_new


def list_periods(connection: Database) -> list[int]:
    """List the periods that are published, the newest first."""
    found = connection.execute("SELECT period FROM periods ORDER BY period DESC")
    return [period for (period,) in found]


def read_rates(connection: Database, period: int) -> list[StoredRate]:
    """Read the rates of a period."""
    rows = connection.execute(
        "SELECT placement_id, segment, banner_id, fit, rate, strength FROM rates WHERE period = ?",
        (period,),
    )
    return [StoredRate(*row) for row in rows]


def read_published(connection: Database, period: int) -> PublishedRates:
    """Read one period."""
    rows = connection.execute("SELECT fit, lift, clicks FROM lifts WHERE period = ?", (period,))
    lifts = tuple(StoredLift(*row) for row in rows)
    return PublishedRates(period, tuple(read_rates(connection, period)), lifts)
