"""Running sums over the event store, so that a report costs by orders and not by exposures.

They are derived: each step adds what was stored since the last one, and a missing or
outdated table is made anew from the event store and its archive, which are only read. A step is one
transaction, so a crash costs that step.
"""

from __future__ import annotations

import sys
import time
from functools import cache

import structlog

from service.stores import log_replay, rollup_deeds, rollup_tables, rollup_visits
from service.stores.attribution import DAY_MS, read_window_days
from service.stores.derived import transaction, version_of
from service.stores.event_database import connect_derived, reported_derived
from service.stores.event_log import ROLLUP, Database, EventLog
from service.stores.replay_process import make_replay
from service.stores.rollup_deeds import Folds
from service.stores.rollup_folds import (
    ASSIGNED,
    FOLD_EVENTS,
    FOLD_EXPOSURES,
    FOLD_IDENTITIES,
    UNCOUNTED,
)
from service.stores.settled_events import last_settled, note_newest

ROLLUP_FILE = "rollup.sqlite"
CHUNK = 200_000
"""Rows that one step adds when somebody waits: bounds temporary tables and what a crash costs."""

_log = structlog.get_logger(__name__)
_CACHE_KIB = 131_072
_READ_CACHE_KIB = 16_384
"""Of whoever adds nothing, which is what runs again and again in a worker beside pages."""
# Other tables may name what these rows bring, so they come first.
_FOLDS = (
    ("identities", FOLD_IDENTITIES),
    ("exposures", FOLD_EXPOSURES),
    ("events", FOLD_EVENTS),
)
_NEWEST = "SELECT " + ", ".join(
    f"(SELECT coalesce(max(seq), 0) FROM log.{table})" for table, _ in _FOLDS
)
# These follow what the sums before have already.
_BEHIND = (rollup_deeds.FOLDS, rollup_visits.FOLDS)
BUSY_TIMEOUT_MS = 600_000
"""For whoever adds or erases: a long step of another process may be under way."""
_PAUSE_S = 0.12
_VALUES = {"assigned": ASSIGNED, "uncounted": UNCOUNTED}


def open_rollup(
    events: EventLog,
    *,
    max_new: int | None = None,
    cache_kib: int | None = None,
    busy_timeout_ms: int = BUSY_TIMEOUT_MS,
) -> Database:
    """Open the running sums beside the event store `events`, which is attached as ``log``.

    First at most `max_new` rows are added, or all that are stored, which takes minutes for a long
    log that nobody has added up yet. The caller closes the connection. Processes that add at the
    same time wait for each other; those who write events wait for none of them.

    Raises
    ------
    StoreError
        If a file cannot be read or written, or a newer release has made the sums.
    """
    if cache_kib is None:
        cache_kib = _READ_CACHE_KIB if max_new == 0 else _CACHE_KIB
    with reported_derived(events, ROLLUP):
        connection = connect_derived(
            events, ROLLUP, busy_timeout_ms=busy_timeout_ms, cache_kib=cache_kib
        )
        try:
            rollup_tables.make(connection, events)
            log_replay.attach(connection, events)
            if max_new is None and log_replay.is_waiting(connection):
                make_replay(events)
                log_replay.attach(connection, events)
            _add_all(connection, sys.maxsize if max_new is None else max_new)
        except BaseException:
            connection.close()
            raise
    return connection


def add_new(connection: Database, n_rows: int, *, now_ms: int | None = None) -> bool:
    """Add at most `n_rows` of the log in one transaction, and tell whether there is more.

    While archived days wait to be read (`log_replay`) nothing is added, and nothing to tables that
    another release has made meanwhile: it would count some of it twice.
    Events wait for all exposures stored before them, and the newest for one that they name and
    another worker is about to store, so what they name is known. Without `now_ms` it is now.

    Raises
    ------
    Exception
        As the driver says it; then nothing was added.
    """
    log_replay.follow(connection)
    if log_replay.is_waiting(connection):
        return False
    with transaction(connection):
        if (found := version_of(connection, ROLLUP)) != rollup_tables.VERSION:
            _tell_once(found)
            return False
        has_more = _fold(connection, n_rows, now_ms)
        for folds in _BEHIND:
            has_more = _fold_behind(connection, folds, n_rows) or has_more
        if not has_more:
            rollup_visits.prune(connection)
    return has_more or log_replay.finish(connection)


@cache
def _tell_once(found: int) -> None:
    _log.warning(
        "rollup_of_another_release",
        found=found,
        own=rollup_tables.VERSION,
        detail="nothing is added to the running sums here; run one release on all machines",
    )


def is_outdated(connection: Database) -> bool:
    """Tell whether an older release has made the tables anew, so that they want to be opened."""
    return version_of(connection, ROLLUP) < rollup_tables.VERSION


def _fold(connection: Database, n_rows: int, now_ms: int | None) -> bool:
    # Of one moment: events that come while exposures are added up may name some that are not yet.
    newest = connection.execute(_NEWEST).fetchone()
    values = {**_VALUES, "window_ms": read_window_days(connection) * DAY_MS}
    shown = 0
    for (table, statements), last in zip(_FOLDS, newest, strict=True):
        (after,) = connection.execute(
            "SELECT seq FROM progress WHERE name = ?", (table,)
        ).fetchone()
        upto = min(after + n_rows, last)
        if table == "events":
            noted = note_newest(connection, now_ms)
            upto = last_settled(connection, after, upto, now_ms, shown=shown, noted=noted)
        elif table == "exposures":
            shown = max(after, upto)
        if upto <= after:
            continue
        for statement in statements:
            connection.execute(statement, {**values, "after": after, "upto": upto})
        connection.execute("UPDATE progress SET seq = ? WHERE name = ?", (upto, table))
        n_rows -= upto - after
        if not n_rows:
            return True
    return False


def _fold_behind(connection: Database, folds: Folds, n_rows: int) -> bool:
    for name, table, statements in folds:
        after, last = connection.execute(
            "SELECT mine.seq, theirs.seq FROM progress AS mine, progress AS theirs "
            "WHERE mine.name = ? AND theirs.name = ?",
            (name, table),
        ).fetchone()
        upto = min(after + n_rows, last)
        if upto <= after:
            continue
        for statement in statements:
            connection.execute(statement, {"after": after, "upto": upto})
        connection.execute("UPDATE progress SET seq = ? WHERE name = ?", (upto, name))
        n_rows -= upto - after
        if not n_rows:
            return True
    return False


def _add_all(connection: Database, n_rows: int) -> None:
    while n_rows > 0 and add_new(connection, min(n_rows, CHUNK)):
        n_rows -= CHUNK
        # Who waits for the lock looks every 100 ms, and an erasure should not wait for all of it.
        time.sleep(_PAUSE_S)


def count_waiting(connection: Database) -> int:
    """Count the rows of the log that are not in the running sums yet; about, where rows went."""
    progress = dict(connection.execute("SELECT name, seq FROM progress").fetchall())
    behind = [(name, of) for folds in _BEHIND for name, of, _ in folds]
    n_stored = 0
    for table, _ in _FOLDS:
        (last,) = connection.execute(f"SELECT coalesce(max(seq), 0) FROM log.{table}").fetchone()
        seq = min(progress[table], *(progress[name] for name, of in behind if of == table))
        n_stored += max(0, int(last - seq))
    # By their numbers, those that moved from between them are in it; not where all have moved.
    return max(n_stored, log_replay.count_archived(connection))
