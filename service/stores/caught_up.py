"""Waits until the running sums have what is stored, for a command that has the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

from service.stores.event_database import reported
from service.stores.event_log import Database, EventLog
from service.stores.rollup import CHUNK, add_new, open_rollup
from service.stores.rollup_deeds import FOLDS as DEEDS
from service.stores.rollup_visits import FOLDS as VISITS

WAIT_S = 10.0
"""For what cannot be added yet; an event waits at most two seconds for its exposure."""
_PAUSE_S = 0.1
_FOLDS = (*DEEDS, *VISITS)


def catch_up(
    events: EventLog,
    *,
    now_s: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Add whatever is stored at this moment, and tell whether all of it is counted now.

    What comes meanwhile is not waited for, else a busy shop would never have a report. Blocking.

    Raises
    ------
    StoreError
        If the store cannot be read, or the disk has no room for the running sums.
    """
    with reported(events):
        with closing(open_rollup(events, max_new=0)) as connection:
            stored = _last_rows(connection)
        with closing(open_rollup(events)) as connection:
            until_s = now_s() + WAIT_S
            while not _has(connection, stored):
                if now_s() >= until_s:
                    return False
                sleep(_PAUSE_S)
                add_new(connection, CHUNK)
            return True


def _last_rows(connection: Database) -> dict[str, int]:
    return {
        table: connection.execute(f"SELECT coalesce(max(seq), 0) FROM log.{table}").fetchone()[0]
        for _, table, _ in _FOLDS
    }


def _has(connection: Database, stored: dict[str, int]) -> bool:
    """Tell whether every table is added up to a row, by all sums that read it."""
    added = dict(connection.execute("SELECT name, seq FROM progress").fetchall())
    return all(min(added[table], added[name]) >= stored[table] for name, table, _ in _FOLDS)
