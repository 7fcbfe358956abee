"""Takes persons, and what only they did, out of the running sums.

Sums that name nobody stay. What is deleted is overwritten too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from service.stores import rollup_days, rollup_deeds, rollup_devices, rollup_tables, rollup_visits
from service.stores.derived import transaction
from service.stores.event_database import (
    connect_derived,
    erase_thoroughly,
    fold_log,
    has_derived,
    reported_derived,
)
from service.stores.event_log import ROLLUP, Database, EventLog
from service.stores.key_list import numbers_of
from service.stores.rollup import BUSY_TIMEOUT_MS
from service.stores.rollup_folds import TAKE_OUT


def erase_units(events: EventLog, keys: Sequence[str]) -> int:
    """Delete the rows of these units and return how many; sums that name nobody stay.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    if not has_derived(events, ROLLUP):
        return 0
    with _open_to_erase(events) as connection:
        with transaction(connection):
            n_rows = _erase(connection, keys)
        fold_log(connection)
    return n_rows


def forget_deeds(events: EventLog, seqs: Collection[int]) -> None:
    """Delete what was kept of carts, purchases or refunds, by their rows in the log.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    with _open_to_erase(events) as connection, transaction(connection):
        connection.executemany("DELETE FROM deeds WHERE seq = ?", [(seq,) for seq in seqs])


def forget_old_buyers(events: EventLog, before_ms: int) -> None:
    """Take persons out of the orders of the days before a moment; the orders stay as sums.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    with _open_to_erase(events) as connection:
        rollup_days.forget_old_buyers(connection, before_ms)
        fold_log(connection)


def _erase(connection: Database, keys: Sequence[str]) -> int:
    units = numbers_of(connection, keys)
    connection.execute(
        "CREATE TEMP TABLE touched AS SELECT rollout, unit, epoch FROM units "
        f"WHERE rollout IN (SELECT DISTINCT rollout FROM arms) AND unit IN ({units})"
    )
    for statement in (*TAKE_OUT, rollup_visits.TAKE_OUT):
        connection.execute(statement)
    connection.execute("DELETE FROM stays WHERE (rollout, unit, epoch) IN (SELECT * FROM touched)")
    n_rows = connection.execute(
        "DELETE FROM units WHERE (rollout, unit, epoch) IN (SELECT * FROM touched)"
    ).rowcount
    connection.execute("DROP TABLE touched")
    for statement in rollup_deeds.forget(units):
        n_rows += connection.execute(statement).rowcount
    n_rows += rollup_devices.forget(connection, units)
    for condition in (
        f'identities WHERE "user" IN ({units}) OR unit IN ({units})',
        f"visits WHERE unit IN ({units})",
        f"keys WHERE id IN ({units})",
    ):
        n_rows += connection.execute(f"DELETE FROM {condition}").rowcount
    return n_rows + rollup_days.forget_buyers(connection, keys)


@contextmanager
def _open_to_erase(events: EventLog) -> Iterator[Database]:
    """Open the sums alone; what is deleted is overwritten too."""
    with reported_derived(events, ROLLUP):
        connection = connect_derived(events, ROLLUP, busy_timeout_ms=BUSY_TIMEOUT_MS)
        try:
            erase_thoroughly(connection)
            rollup_tables.make(connection, events)
            yield connection
        finally:
            connection.close()
