"""Moves a machine's log, archived days and all, into the database that several are to share.

Rows go over in blocks, in their order, and keep their numbers; the ledger follows at last, when all
of them have been counted. So who is cut off goes on where it was, and a log that has its ledger is
whole. Nobody may write either meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg

from models.errors import ConfigError, ConflictError, StoreError
from models.plural import plural
from service.stores.archive_files import archive_lock, has_archive
from service.stores.event_database import connect, open_event_database, reported
from service.stores.event_log import EVENTS_FILE, LOG, Database, PostgresLog
from service.stores.event_schema import metadata
from service.stores.file_lease import FileLease
from service.stores.postgres import hold_writers, open_raw, reported_by_server
from service.stores.replay_writing import write_whole

BLOCK_ROWS = 20_000
DRAFT_FILE = "events-move.sqlite"
KEEPER_LEASE = "rollup.lease"
"""Who keeps the running sums of a home holds it, which some process of a running server does."""

_ROWS = {
    "events": "event_id",
    "exposures": "exposure_id",
    "identities": "user_key",
    "unit_links": "unit_key",
}
"""What is copied row by row, and the column that tells one row of it from another log's."""
_LEDGER = {
    "writers": ("writer_id", "pid", "opened_ms", "closed_ms"),
    "counters": ("writer_id", "name", "value"),
}
_NUMBERED = {**dict.fromkeys(_ROWS, "seq"), "writers": "writer_id", "erasures": "seq"}

Tell = Callable[[str, int], None]


class MovedEvents(msgspec.Struct, frozen=True, kw_only=True):
    """What the database has now; the home keeps its own as it was."""

    rows: dict[str, int]
    """By table, archived days among them."""
    copied: int
    """Rows that this run copied; those before were there."""


class _Source(NamedTuple):
    """The file, whose writers wait, and its rows: there, or beside it with those of the archive."""

    store: Database
    rows: Database

    def of(self, table: str) -> Database:
        """Return where the rows of a table are."""
        return self.store if table == "unit_links" else self.rows


def move_events(
    home: Path, target: PostgresLog, *, tell: Tell = lambda _table, _n: None
) -> MovedEvents:
    """Copy ``events.sqlite`` and the archive of a home into a database that holds no other log.

    Run again it goes on where it was cut off, and finds nothing to do when all is there.

    Raises
    ------
    ConfigError
        If the home has no log, or a server runs on it.
    ConflictError
        If the database holds another log.
    StoreError
        If one of the two cannot be read or written, or the rows are not those that were counted.
    """
    with ExitStack() as stack:
        source = stack.enter_context(_open_source(home))
        open_event_database(target.home, target.url)
        stack.enter_context(reported_by_server(target))
        raw = stack.enter_context(closing(open_raw(target)))
        raw.execute(f"SET search_path TO {LOG}")
        hold_writers(raw)
        if _has_ledger(raw):
            _check_same(raw, source, target)
            return MovedEvents(rows=_count_all(raw), copied=0)
        copied = sum(_copy_rows(raw, source, table, target, tell) for table in _ROWS)
        with raw.transaction():
            _copy_ledger(raw, source)
            _check_counts(raw, source)
        return MovedEvents(rows=_count_all(raw), copied=copied)


@contextmanager
def _open_source(home: Path) -> Iterator[_Source]:
    path = home / EVENTS_FILE
    if not path.is_file():
        raise ConfigError(f"there is no {path}; name the home that has it with --home")
    lease = FileLease(home / KEEPER_LEASE)
    if not lease.take():
        raise ConfigError(f"a server runs on {home}; stop it before its events move")
    draft = path.with_name(DRAFT_FILE)
    with ExitStack() as stack:
        stack.callback(lease.give_back)
        open_event_database(home)
        stack.enter_context(reported(path))
        # In this order, as whoever imports, archives or erases takes them.
        stack.enter_context(archive_lock(path))
        store = stack.enter_context(closing(connect(path)))
        store.execute("BEGIN IMMEDIATE")
        stack.callback(store.execute, "ROLLBACK")
        if not has_archive(path):
            yield _Source(store, store)
            return
        stack.callback(_remove, draft)
        write_whole(path, draft)
        rows = stack.enter_context(closing(connect(draft, read_only=True)))
        yield _Source(store, rows)


def _remove(draft: Path) -> None:
    for file in draft.parent.glob(f"{draft.name}*"):
        file.unlink()


def _copy_rows(
    raw: psycopg.Connection[Any], source: _Source, table: str, target: PostgresLog, tell: Tell
) -> int:
    """Copy what is missing of a table, block by block, and return how much that was."""
    columns = metadata.tables[table].columns.keys()
    rows = source.of(table)
    last = _check_begun(raw, rows, table, target)
    n_copied = 0
    names = ", ".join(columns)
    while True:
        block = rows.execute(
            f"SELECT {names} FROM {table} WHERE seq > ? ORDER BY seq LIMIT ?", (last, BLOCK_ROWS)
        ).fetchall()
        if not block:
            return n_copied
        with (
            raw.cursor() as cursor,
            cursor.copy(f"COPY {table} ({names}) FROM STDIN".encode()) as copy,
        ):
            for row in block:
                copy.write_row([_storable(value) for value in row])
        n_copied += len(block)
        last = block[-1][0]
        tell(table, n_copied)


def _storable(value: object) -> object:
    """Replace what a file took in a country or a platform, and PostgreSQL does not: a NUL."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _check_begun(
    raw: psycopg.Connection[Any], rows: Database, table: str, target: PostgresLog
) -> int:
    """Return up to which row a table was copied before.

    Raises
    ------
    ConflictError
        If what is there is not of this log.
    """
    name = _ROWS[table]
    there: Any = raw.execute(
        f"SELECT count(*), coalesce(max(seq), 0) FROM {table}".encode()
    ).fetchone()
    n_there, last = there
    if n_there:
        newest: Any = raw.execute(
            f"SELECT {name} FROM {table} WHERE seq = %s".encode(), (last,)
        ).fetchone()
        own = rows.execute(f"SELECT {name} FROM {table} WHERE seq = ?", (last,)).fetchone()
        [n_own] = rows.execute(f"SELECT count(*) FROM {table} WHERE seq <= ?", (last,)).fetchone()
        if own is None or own[0] != newest[0] or n_own != n_there:
            raise _conflict(target)
    return int(last)


def _copy_ledger(raw: psycopg.Connection[Any], source: _Source) -> None:
    """Copy who wrote and what was counted, and give new rows numbers that none had."""
    for table, columns in _LEDGER.items():
        names = ", ".join(columns)
        # What was moved to the archive is among the rows again.
        kept = "WHERE name NOT LIKE 'archived%'" if table == "counters" else ""
        found = source.store.execute(f"SELECT {names} FROM {table} {kept}")
        with (
            raw.cursor() as cursor,
            cursor.copy(f"COPY {table} ({names}) FROM STDIN".encode()) as copy,
        ):
            for row in found:
                copy.write_row(row)
    for table, column in _NUMBERED.items():
        given = source.store.execute(
            "SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)
        ).fetchone()
        if given is not None and given[0]:
            raw.execute(
                "SELECT setval(pg_get_serial_sequence(%s, %s), %s)", (table, column, given[0])
            )


def _check_counts(raw: psycopg.Connection[Any], source: _Source) -> None:
    for table in _ROWS:
        [n_own] = source.of(table).execute(f"SELECT count(*) FROM {table}").fetchone()
        n_there = _count(raw, table)
        if n_there != n_own:
            raise StoreError(
                f"{table} has {n_own} rows, and {n_there} of them came to the database; move again "
                "into an empty one"
            )


def _has_ledger(raw: psycopg.Connection[Any]) -> bool:
    return any(_count(raw, table) for table in _LEDGER)


def _check_same(raw: psycopg.Connection[Any], source: _Source, target: PostgresLog) -> None:
    """Make sure that a log that is whole is the one of this home, whatever came since.

    Raises
    ------
    ConflictError
        If it is another one.
    """
    own = source.store.execute("SELECT writer_id, pid, opened_ms FROM writers").fetchall()
    there = set(raw.execute("SELECT writer_id, pid, opened_ms FROM writers").fetchall())
    if not own or not there.issuperset(own):
        raise _conflict(target)


def _count_all(raw: psycopg.Connection[Any]) -> dict[str, int]:
    return {table: _count(raw, table) for table in (*_ROWS, *_LEDGER)}


def _count(raw: psycopg.Connection[Any], table: str) -> int:
    found: Any = raw.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    return int(found[0])


def _conflict(target: PostgresLog) -> ConflictError:
    return ConflictError(
        f"{target} holds another log, or this home went on after its own had been moved; name an "
        "empty database"
    )


def describe(moved: MovedEvents, home: Path) -> str:
    """Say what was moved, in a line or two."""
    rows = ", ".join(f"{n:,} {table}" for table, n in moved.rows.items())
    return (
        f"{plural(moved.copied, 'row')} copied; the database has {rows}. events.sqlite and archive "
        f"in {home} stay as they are, and are of no use to machines that share the database: put "
        "them away, or an erasure finds its persons there"
    )
