"""Running sums over the event store, so that a report costs by orders and not by exposures.

They are derived: each step adds what was stored since the last one, and a missing or
outdated table is made anew from the event store and its archive, which are only read. A step is one
transaction, so a crash costs that step.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache, partial

import structlog

from service.stores import log_replay, rollup_days, rollup_deeds, rollup_devices, rollup_visits
from service.stores.attribution import DAY_MS, read_window_days
from service.stores.derived import make_tables, transaction, version_of
from service.stores.event_database import (
    connect_derived,
    erase_thoroughly,
    fold_log,
    has_derived,
    reported_derived,
)
from service.stores.event_log import ROLLUP, Database, EventLog
from service.stores.replay_process import make_replay
from service.stores.rollup_deeds import Folds
from service.stores.rollup_folds import (
    ASSIGNED,
    FOLD_EVENTS,
    FOLD_EXPOSURES,
    FOLD_IDENTITIES,
    SCHEMA,
    TAKE_OUT,
    UNCOUNTED,
)
from service.stores.settled_events import last_settled, note_newest

ROLLUP_FILE = "rollup.sqlite"
VERSION = 10
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
_BUSY_TIMEOUT_MS = 600_000
_PAUSE_S = 0.12
_VALUES = {"assigned": ASSIGNED, "uncounted": UNCOUNTED}
_TABLES = f"{SCHEMA};\n{rollup_deeds.SCHEMA};\n{rollup_visits.SCHEMA}"
_UPGRADE = f"{rollup_deeds.UPGRADE};\n{rollup_devices.UPGRADE};\n{rollup_days.TELL}"
_TELL = f"{rollup_deeds.TELL};\n{rollup_days.TELL};\n{rollup_devices.UPGRADE}"
_KEEP = f"{rollup_devices.UPGRADE};\n{rollup_days.KEEP}"
_VISIT = f"{_UPGRADE};\n{rollup_visits.SCHEMA}"
_UPGRADES = {5: _VISIT, 6: _UPGRADE, 7: _UPGRADE, 8: _TELL, 9: _KEEP}


def open_rollup(
    events: EventLog,
    *,
    max_new: int | None = None,
    cache_kib: int | None = None,
    busy_timeout_ms: int = _BUSY_TIMEOUT_MS,
) -> Database:
    """Open the running sums beside the event store `events`, which is attached as ``log``.

    First at most `max_new` rows are added, or all that are stored, which takes minutes for a long
    log that nobody has added up yet. The caller closes the connection. Processes that add at the
    same time wait for each other; those who write events wait for none of them.

    Raises
    ------
    StoreError
        If a file cannot be read or written.
    """
    if cache_kib is None:
        cache_kib = _READ_CACHE_KIB if max_new == 0 else _CACHE_KIB
    with reported_derived(events, ROLLUP):
        connection = connect_derived(
            events, ROLLUP, busy_timeout_ms=busy_timeout_ms, cache_kib=cache_kib
        )
        try:
            _make_tables(connection, events)
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
        if (found := version_of(connection, ROLLUP)) != VERSION:
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
        own=VERSION,
        detail="nothing is added to the running sums here; run one release on all machines",
    )


def is_outdated(connection: Database) -> bool:
    """Tell whether an older release has made the tables anew, so that they want to be opened."""
    return version_of(connection, ROLLUP) < VERSION


def _make_tables(connection: Database, events: EventLog) -> None:
    on_made = partial(_want_archive, connection, events)
    make_tables(connection, ROLLUP, VERSION, _TABLES, upgrades=_UPGRADES, on_made=on_made)


def _want_archive(connection: Database, events: EventLog) -> None:
    # Tables that only got a column have all of it.
    if connection.execute("SELECT seq = 0 FROM progress WHERE name = 'deeds'").fetchone()[0]:
        log_replay.mark(connection, events)


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


def erase_units(events: EventLog, keys: Collection[str]) -> int:
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


def _erase(connection: Database, keys: Collection[str]) -> int:
    marks = ", ".join("?" * len(keys))
    found = connection.execute(f"SELECT id FROM keys WHERE key IN ({marks})", (*keys,)).fetchall()
    units = ", ".join(str(unit) for (unit,) in found) or "NULL"
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
        connection = connect_derived(events, ROLLUP, busy_timeout_ms=_BUSY_TIMEOUT_MS)
        try:
            erase_thoroughly(connection)
            _make_tables(connection, events)
            yield connection
        finally:
            connection.close()
