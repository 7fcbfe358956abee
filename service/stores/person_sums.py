"""The rows of the running sums that are about one person: they may outlive those of the log."""

from __future__ import annotations

from contextlib import closing
from typing import NamedTuple

from service.stores.event_database import has_derived, reported_derived
from service.stores.event_log import ROLLUP, EventLog
from service.stores.key_list import LISTED, listed, numbers_of
from service.stores.personal_rows import Row
from service.stores.rollup import open_rollup
from service.stores.rollup_devices import NEVER
from service.stores.rollup_folds import FIRST_MS, VARIANT


class _Sum(NamedTuple):
    columns: tuple[str, ...]
    rows: str
    """What is selected; `{units}` stands for the numbers of the person's pseudonyms."""


# `first` tells moment and variant, see `rollup_folds`.
_SUMS = {
    "units": _Sum(
        ("unit_key", "rollout_key", "epoch", "variant", "first_ms", "n_exposures", "n_clicked"),
        f"keys.key, rollout.name, epoch, variant.name, {FIRST_MS}, n_exposures, n_clicked "
        "FROM units JOIN keys ON keys.id = unit JOIN names AS rollout ON rollout.id = rollout "
        f"JOIN names AS variant ON variant.id = ({VARIANT}) WHERE unit IN ({{units}}) "
        "ORDER BY units.first, epoch",
    ),
    "deeds": _Sum(
        ("user_key", "anonymous_key", "kind", "at_ms", "value", "order_id"),
        "user_keys.key, visitor_keys.key, kind, at_ms, value, order_id FROM deeds "
        'LEFT JOIN keys AS user_keys ON user_keys.id = "user" '
        "LEFT JOIN keys AS visitor_keys ON visitor_keys.id = anonymous "
        'WHERE "user" IN ({units}) OR anonymous IN ({units}) ORDER BY seq',
    ),
    "visits": _Sum(
        ("unit_key", "begin_ms", "end_ms"),
        "keys.key, begin_ms, end_ms FROM visits JOIN keys ON keys.id = unit "
        "WHERE unit IN ({units}) ORDER BY begin_ms, keys.key",
    ),
    "stays": _Sum(
        ("unit_key", "rollout_key", "epoch", "n_visits", "dwell_s"),
        "keys.key, names.name, epoch, n_visits, dwell_s FROM stays "
        "JOIN keys ON keys.id = unit JOIN names ON names.id = rollout "
        "WHERE unit IN ({units}) ORDER BY names.name, epoch, keys.key",
    ),
    "devices": _Sum(
        ("anonymous_key", "unit_key"),
        "device_keys.key, unit_keys.key FROM devices "
        "JOIN keys AS device_keys ON device_keys.id = device "
        f"LEFT JOIN keys AS unit_keys ON unit_keys.id = unit AND until_ms = {NEVER} "
        "WHERE device IN ({units}) OR unit IN ({units}) ORDER BY device",
    ),
}


def read_sums(events: EventLog, keys: list[str]) -> dict[str, list[Row]]:
    """Read the rows of these pseudonyms by table, as far as they are added up.

    Raises
    ------
    StoreError
        If they cannot be read.
    """
    found: dict[str, list[Row]] = {table: [] for table in (*_SUMS, "orders")}
    if not has_derived(events, ROLLUP):
        return found
    with (
        reported_derived(events, ROLLUP),
        closing(open_rollup(events, max_new=0)) as connection,
    ):
        units = numbers_of(connection, keys)
        for table, each in _SUMS.items():
            rows = connection.execute(f"SELECT {each.rows.format(units=units)}").fetchall()
            found[table] = [dict(zip(each.columns, row, strict=True)) for row in rows]
        columns = ("person_key", "order_key", "day", "channel", "n_units", "value")
        orders = connection.execute(
            f"SELECT {', '.join(columns)} FROM orders WHERE person_key IN {LISTED} "
            "ORDER BY day, number",
            listed(keys),
        )
        found["orders"] = [dict(zip(columns, row, strict=True)) for row in orders]
    return found
