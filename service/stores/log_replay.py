"""The log put together again, archived days and all, for sums that are made anew.

The folds join events to exposures by id and by unit, so all of them have to lie in one file with
its indexes: ``rollup-replay.sqlite``, made once (`replay_writing`), added up in place of the store
by whichever sums want it, and deleted when none does any more.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from service.stores.archive_files import CLOCKS, archive_lock, has_archive
from service.stores.event_database import derived_file, reported
from service.stores.event_log import BANNERS, EVENTS_FILE, ROLLUP, Database, EventLog
from service.stores.key_list import listed
from service.stores.personal_rows import HAS_KEY

REPLAY_FILE = "rollup-replay.sqlite"
PENDING = "replay"
"""Of `progress`, while archived rows are still to be added."""
REPLAYED = (*CLOCKS, "identities")
"""The tables of the file."""

_LOCK_FILE = "rollup-replay.lock"
_SUMS = (ROLLUP, BANNERS)
_BUSY_TIMEOUT_S = 60.0


def mark(connection: Database, events: EventLog) -> None:
    """Note that sums which are empty want the archive, if there is one."""
    if has_archive(events):
        if not _is_wanted(events):
            # It may not have what moved since.
            events.with_name(REPLAY_FILE).unlink(missing_ok=True)
        connection.execute("INSERT INTO progress VALUES (?, 1) ON CONFLICT DO NOTHING", (PENDING,))


def attach(connection: Database, events: EventLog) -> None:
    """Go over to all that ever was in the log, if the sums want it and it is there."""
    if isinstance(connection, sqlite3.Connection) and is_waiting(connection):
        store, path = _attached(connection), events.with_name(REPLAY_FILE)
        if path.exists():
            try:
                _go_over(connection, path)
            except sqlite3.OperationalError:  # added up and deleted by now, or half altered
                _go_over(connection, store)


def is_waiting(connection: Database) -> bool:
    """Tell whether nothing can be added before the file is there."""
    return (
        isinstance(connection, sqlite3.Connection)
        and not is_replaying(connection)
        and _is_pending(connection)
    )


def is_replaying(connection: Database) -> bool:
    """Tell whether the file is read in place of the store."""
    return isinstance(connection, sqlite3.Connection) and _attached(connection).name == REPLAY_FILE


def follow(connection: Database) -> None:
    """Go over to the event store, if another process has added the rest of the archive."""
    if isinstance(connection, sqlite3.Connection):
        path = _attached(connection)
        if path.name == REPLAY_FILE and not _is_pending(connection):
            _go_over(connection, path.with_name(EVENTS_FILE))


def finish(connection: Database) -> bool:
    """Go over to the event store once all of the archive is added; tell whether that was now."""
    if not isinstance(connection, sqlite3.Connection):
        return False
    path = _attached(connection)
    if path.name != REPLAY_FILE:
        return False
    connection.execute("DELETE FROM progress WHERE name = ?", (PENDING,))
    events = path.with_name(EVENTS_FILE)
    _go_over(connection, events)
    _drop_unless_wanted(events)
    return True


def count_archived(connection: Database) -> int:
    """Count the archived rows that wait."""
    if not is_waiting(connection):
        return 0
    found = connection.execute(
        "SELECT coalesce(sum(value), 0) FROM log.counters "
        "WHERE name IN ('archived_events', 'archived_exposures')"
    )
    return int(found.fetchone()[0])


def forget(events: EventLog, keys: Collection[str]) -> int:
    """Take persons out of the file and of what is written of it; call it under the archive's lock.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    path = events.with_name(REPLAY_FILE)
    draft, aside = draft_of(path), _aside(path)
    aside.unlink(missing_ok=True)
    with replay_lock(events, waits=False) as is_ours:
        if is_ours:  # a process that was killed has left it
            draft.unlink(missing_ok=True)
    return sum(_take_out(file, keys) for file in (path, draft) if file.exists())


@contextmanager
def replay_lock(events: EventLog, *, waits: bool = True) -> Iterator[bool]:
    """Be the one process that writes the file, and say so; false if another one is."""
    with events.with_name(_LOCK_FILE).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def draft_of(path: Path) -> Path:
    """Name what a file is while it is written."""
    return path.with_name(f"{path.name}.part")


def _take_out(file: Path, keys: Collection[str]) -> int:
    n_rows = 0
    with (
        reported(file),
        closing(sqlite3.connect(file, isolation_level=None, timeout=_BUSY_TIMEOUT_S)) as connection,
    ):
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("BEGIN IMMEDIATE")
        for table in REPLAYED:
            # One pass, for a file that is being written has no indexes yet.
            n_rows += connection.execute(
                f"DELETE FROM {table} WHERE {HAS_KEY[table]}", listed(keys)
            ).rowcount
        connection.execute("COMMIT")
    return n_rows


def _drop_unless_wanted(events: Path) -> None:
    """Delete the file, which names people, unless other sums still read it."""
    path = events.with_name(REPLAY_FILE)
    aside = _aside(path)
    with archive_lock(events), suppress(FileNotFoundError):
        # Out of sight first: whoever comes to want it from now on does not find it.
        path.rename(aside)
        if _is_wanted(events):
            aside.rename(path)
        else:
            aside.unlink()


def _is_wanted(events: EventLog) -> bool:
    return isinstance(events, Path) and any(_wants(derived_file(events, name)) for name in _SUMS)


def _wants(sums: Path) -> bool:
    if not sums.exists():
        return False
    uri = f"{sums.resolve().as_uri()}?mode=ro"
    # Tables that are being made in this moment want nothing yet.
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(uri, uri=True)) as connection:
        return _is_pending(connection)
    return False


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.done")


def _is_pending(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM main.progress WHERE name = ?", (PENDING,))
    return found.fetchone() is not None


def _attached(connection: sqlite3.Connection) -> Path:
    names = {row[1]: row[2] for row in connection.execute("PRAGMA database_list")}
    return Path(names["log"])


def _go_over(connection: sqlite3.Connection, path: Path) -> None:
    names = {row[1] for row in connection.execute("PRAGMA database_list")}
    if "log" in names:
        connection.execute("DETACH log")
    # Read-only, for BEGIN IMMEDIATE takes the write lock of every file that has one.
    connection.execute("ATTACH ? AS log", (f"{path.resolve().as_uri()}?mode=ro",))
