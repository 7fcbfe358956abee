"""Moves whole old days out of ``events.sqlite`` into Parquet, each row exactly once.

A day is written, brought to disk and renamed before its rows are deleted. Who is cut off between
leaves rows in both places; whoever takes the lock next deletes them from the store.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa

from models.errors import ConfigError, StoreError
from service.stores.archive import BATCH_ROWS, count_rows, read_batches, schema_of, write_file
from service.stores.archive_files import (
    CLOCKS,
    DAY_MS,
    ArchivedTable,
    archive_lock,
    check_days,
    day_file,
    day_files,
    drop_drafts,
)
from service.stores.attribution import read_window_days
from service.stores.banner_counts import fold_banners, open_banner_counts
from service.stores.event_database import connect, reported
from service.stores.event_log import Database, EventLog, PostgresLog
from service.stores.key_filter_filling import empty
from service.stores.personal_rows import count_archived, read_archived
from service.stores.rollup import open_rollup

CHUNK = 10_000


class _Day(NamedTuple):
    day: int
    first_seq: int
    last_seq: int


def archive_old_days(
    path: EventLog,
    older_than_days: int,
    *,
    now_ms: int,
    is_stopped: Callable[[], bool] = lambda: False,
) -> dict[str, int]:
    """Move the UTC days that ended so many days ago, and count the rows by table.

    Running sums count them first. Once `is_stopped`, the day under way is the last one.

    Raises
    ------
    ConfigError
        If the days are too few, or machines share the log.
    StoreError
        If a file cannot be written; the days before stay moved, the others where they are.
    """
    if isinstance(path, PostgresLog):
        raise ConfigError(
            f"the events are in {path}, and files of an archive would be on one machine alone; "
            "delete old days with 'endcap events expire', or with ENDCAP_KEEP"
        )
    with closing(open_rollup(path, max_new=0)) as sums:
        before_day = now_ms // DAY_MS - check_days(older_than_days, read_window_days(sums))
    with reported(path), closing(connect(path)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        summed = _sum_up(path, now_ms)
        moved = dict.fromkeys(map(str, CLOCKS), 0)
        for table in CLOCKS:
            for day in _days(connection, table, before_day, summed[table]):
                if is_stopped():
                    break
                with archive_lock(path):
                    moved[table] += _move(connection, path, table, day)
    if any(moved.values()):
        empty(path)
    return moved


def finish_moves(path: EventLog) -> None:
    """Delete from the store what is in the archive too, after a cut; call it under the lock.

    Raises
    ------
    StoreError
        If a file cannot be read or written.
    """
    drop_drafts(path)
    with reported(path), closing(connect(path)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        for table in CLOCKS:
            if count_rows(path, table) != read_archived(connection, table):
                for file in day_files(path, table):
                    _finish(connection, table, file)


def count_in_both(path: EventLog, table: ArchivedTable) -> int:
    """Count the rows that are in the archive and still in the store.

    Raises
    ------
    StoreError
        If a file cannot be read.
    """
    with reported(path), closing(connect(path, read_only=True)) as connection:
        return sum(
            len(stored_of(connection, table, batch.column("seq").to_pylist()))
            for file in day_files(path, table)
            for batch in read_batches(file, table, {"seq"})
        )


def stored_of(connection: Database, table: str, seqs: Sequence[int]) -> set[int]:
    """Return those of these rows that are in the store, too."""
    numbers = msgspec.json.encode(list(seqs)).decode()
    found = connection.execute(
        f"SELECT seq FROM {table} WHERE seq IN (SELECT value FROM json_each(?))", (numbers,)
    )
    return {seq for (seq,) in found}


def _sum_up(path: EventLog, now_ms: int) -> dict[str, int]:
    """Bring all sums up to date, and return up to which row of each table they all are.

    What comes later with an old time, by a clock that steps back, is not in them.
    """
    progress = "SELECT name, seq FROM main.progress"
    with closing(open_rollup(path)) as sums:
        of_rollouts = dict(sums.execute(progress).fetchall())
    with open_banner_counts(path, waits=True) as counts:
        fold_banners(counts, now_ms)
        of_banners = dict(counts.execute(progress).fetchall())
    return {table: min(of_rollouts[table], of_banners[table]) for table in CLOCKS}


def _days(connection: Database, table: ArchivedTable, before_day: int, last_seq: int) -> list[_Day]:
    clock = CLOCKS[table]
    found = connection.execute(
        f"SELECT {clock} / {DAY_MS}, min(seq), max(seq) FROM {table} "
        f"WHERE {clock} < ? AND seq <= ? GROUP BY 1 ORDER BY 1",
        (before_day * DAY_MS, last_seq),
    )
    return [_Day(*row) for row in found]


def _move(connection: Database, path: EventLog, table: ArchivedTable, day: _Day) -> int:
    drop_drafts(path)
    file = day_file(path, table, day.day)
    n_before = _finish(connection, table, file) if file.exists() else 0
    seqs = array("q")

    def batches() -> Iterator[pa.RecordBatch]:
        if n_before:
            yield from read_batches(file, table)
        yield from _stored(connection, table, day, seqs)

    if write_file(file, table, batches()) != n_before + len(seqs):
        raise StoreError(f"{file} has changed while it was written; archive again")
    return _delete(connection, table, seqs)


def _stored(
    connection: Database, table: ArchivedTable, day: _Day, seqs: array[int]
) -> Iterator[pa.RecordBatch]:
    """Read a day's rows of the store, and note which they are."""
    schema = schema_of(table)
    statement = (
        f"SELECT {', '.join(schema.names)} FROM {table} WHERE seq BETWEEN ? AND ? "
        f"AND {CLOCKS[table]} / {DAY_MS} = ? ORDER BY seq"
    )
    for rows in connection.stream(statement, (day.first_seq, day.last_seq, day.day), BATCH_ROWS):
        seqs.extend(row[0] for row in rows)
        arrays = [
            pa.array(column, field.type)
            for column, field in zip(zip(*rows, strict=True), schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _finish(connection: Database, table: ArchivedTable, file: Path) -> int:
    """Delete from the store what a file has, and return how many rows the file has."""
    n_rows = 0
    for batch in read_batches(file, table, {"seq"}):
        seqs = batch.column("seq").to_pylist()
        _delete(connection, table, sorted(stored_of(connection, table, seqs)))
        n_rows += len(seqs)
    return n_rows


def _delete(connection: Database, table: ArchivedTable, seqs: Sequence[int]) -> int:
    """Delete rows that the archive has, in short transactions between those of intake."""
    n_deleted = 0
    for begin in range(0, len(seqs), CHUNK):
        rows = [(seq,) for seq in seqs[begin : begin + CHUNK]]
        connection.execute("BEGIN IMMEDIATE")
        n_rows = connection.executemany(f"DELETE FROM {table} WHERE seq = ?", rows).rowcount
        count_archived(connection, table, n_rows)
        connection.execute("COMMIT")
        n_deleted += n_rows
    return n_deleted
