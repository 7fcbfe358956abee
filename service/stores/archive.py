"""Reads and writes the Parquet files of archived days; a file appears whole or not at all."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Float, Integer

from models.errors import StoreError
from service.stores.archive_files import CLOCKS, ArchivedTable, archive_lock, day_files
from service.stores.event_database import SqliteConnection
from service.stores.event_log import Database, EventLog
from service.stores.event_schema import metadata
from service.stores.many_texts import ManyTexts
from service.stores.personal_rows import COLUMNS, Row

BATCH_ROWS = 50_000


def schema_of(table: ArchivedTable) -> pa.Schema:
    """Return all stored columns, as Parquet has them."""
    return pa.schema(
        [
            (
                column.name,
                pa.int64()
                if isinstance(column.type, Integer)
                else pa.float64()
                if isinstance(column.type, Float)
                else pa.string(),
            )
            for column in metadata.tables[table].columns
        ]
    )


def read_batches(
    file: Path, table: ArchivedTable, columns: Collection[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Read a file, all columns or some; those that its version did not know yet are empty.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    fields = [each for each in schema_of(table) if columns is None or each.name in columns]
    with _reported(file), pq.ParquetFile(file) as parquet:
        there = set(parquet.schema_arrow.names)
        names = [each.name for each in fields if each.name in there]
        for batch in parquet.iter_batches(BATCH_ROWS, columns=names):
            arrays = [
                batch.column(each.name) if each.name in there else pa.nulls(len(batch), each.type)
                for each in fields
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def count_rows(events: EventLog, table: ArchivedTable) -> int:
    """Count the rows of all files of a table, by what their last pages say.

    Raises
    ------
    StoreError
        If a file cannot be read.
    """
    n_rows = 0
    for file in day_files(events, table):
        with _reported(file):
            n_rows += pq.read_metadata(file).num_rows
    return n_rows


def write_file(file: Path, table: ArchivedTable, batches: Iterable[pa.RecordBatch]) -> int:
    """Write a file in place of the one that is there, and return how many rows it has.

    Raises
    ------
    StoreError
        If it cannot be written; then the old one stays.
    """
    draft = file.with_name(f"{file.name}.part")
    n_rows = 0
    try:
        with _reported(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as raw:
                with pq.ParquetWriter(raw, schema_of(table), compression="zstd") as writer:
                    for batch in batches:
                        if len(batch):
                            writer.write_batch(batch)
                            n_rows += len(batch)
                raw.flush()
                os.fsync(raw.fileno())
            if pq.read_metadata(draft).num_rows != n_rows:
                raise StoreError(f"{draft} has not the {n_rows} rows that were written; try again")
            draft.replace(file)
            _sync_folders(file)
    finally:
        draft.unlink(missing_ok=True)
    return n_rows


def take_out(
    file: Path,
    table: ArchivedTable,
    columns: Collection[str],
    is_going: Callable[[pa.RecordBatch], pa.BooleanArray],
) -> list[int]:
    """Write a file anew without some rows, told by `columns`, and return the `seq` of those.

    A file that has no such row is not touched; one that has no other is deleted.

    Raises
    ------
    StoreError
        If it cannot be read or written; then it stays.
    """
    gone: list[int] = []
    n_rows = 0
    for batch in read_batches(file, table, {"seq", *columns}):
        gone += batch.column("seq").filter(is_going(batch)).to_pylist()
        n_rows += len(batch)
    if len(gone) == n_rows:
        with _reported(file):
            file.unlink()
            file.parent.rmdir()
            _sync_folders(file.parent)
    elif gone:
        rest = (batch.filter(pc.invert(is_going(batch))) for batch in read_batches(file, table))
        write_file(file, table, rest)
    return gone


def has_key(table: ArchivedTable, keys: list[str]) -> Callable[[pa.RecordBatch], pa.BooleanArray]:
    """Tell which rows of a batch have one of these pseudonyms."""
    wanted = pa.array(keys, pa.string())

    def is_theirs(batch: pa.RecordBatch) -> pa.BooleanArray:
        # Nothing is in no list: `is_in` answers false for it.
        first, *others = (pc.is_in(batch.column(name), wanted) for name in COLUMNS[table])
        for other in others:
            first = pc.or_(first, other)
        return first

    return is_theirs


def archived_rows(events: EventLog, table: ArchivedTable, keys: list[str]) -> list[Row]:
    """Return every archived row with one of these pseudonyms.

    Raises
    ------
    StoreError
        If a file cannot be read.
    """
    is_theirs = has_key(table, keys)
    return [
        row
        for file in day_files(events, table)
        for batch in read_batches(file, table)
        for row in batch.filter(is_theirs(batch)).to_pylist()
    ]


def archived_visitors(
    events: EventLog, key: str, visitors: Collection[str]
) -> tuple[set[str], set[str]]:
    """Return the visitors' ids that came with a user, and which of all were somebody else's too.

    Raises
    ------
    StoreError
        If a file cannot be read.
    """
    theirs = {visitor for _, visitor in _pairs(events, "user_key", {key})}
    everybody = _pairs(events, "anonymous_key", theirs | set(visitors))
    return theirs, {visitor for user, visitor in everybody if user != key}


def _pairs(events: EventLog, column: str, values: set[str]) -> set[tuple[str, str]]:
    """Read who came with which visitor's id, where a column has one of these values."""
    wanted = pa.array(sorted(values), pa.string())
    found: set[tuple[str, str]] = set()
    for table in CLOCKS:
        for file in day_files(events, table):
            for batch in read_batches(file, table, {"user_key", "anonymous_key"}):
                rows = batch.filter(pc.is_in(batch.column(column), wanted))
                users = rows.column("user_key").to_pylist()
                visitors = rows.column("anonymous_key").to_pylist()
                pairs = zip(users, visitors, strict=True)
                found.update((user, visitor) for user, visitor in pairs if user and visitor)
    return found


def as_database(table: ArchivedTable, batches: Iterable[pa.RecordBatch]) -> Iterator[Database]:
    """Hand each batch out as a connection to a table of that name in memory."""
    names = schema_of(table).names
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=SqliteConnection)
    try:
        connection.execute(f"CREATE TABLE {table} ({', '.join(names)})")
        insert = f"INSERT INTO {table} VALUES ({', '.join('?' * len(names))})"
        for batch in batches:
            connection.execute(f"DELETE FROM {table}")
            columns = [column.to_pylist() for column in batch.columns]
            connection.execute("BEGIN")
            connection.executemany(insert, zip(*columns, strict=True))
            connection.execute("COMMIT")
            yield connection
    finally:
        connection.close()


def files_with_text(events: EventLog, texts: Collection[str]) -> list[str]:
    """Name the files in whose values one of these texts stands; bytes of a file are packed.

    Raises
    ------
    StoreError
        If a file cannot be read.
    """
    wanted = ManyTexts([text.encode() for text in texts])
    with archive_lock(events):
        return [
            str(file.relative_to(events.parent))
            for table in CLOCKS
            for file in day_files(events, table)
            if any(_has_text(batch, wanted) for batch in read_batches(file, table))
        ]


def _has_text(batch: pa.RecordBatch, wanted: ManyTexts) -> bool:
    """Look at the values of each column one behind the other, and then whether one has it alone."""
    return any(
        pc.any(pc.match_substring(column, text.decode())).as_py()
        for column in batch.columns
        if pa.types.is_string(column.type)
        for text in wanted.found_in(_values_of(column))
    )


def _values_of(column: pa.StringArray) -> bytes:
    _, _, values = column.buffers()
    return b"" if values is None else values.to_pybytes()


def _sync_folders(file: Path) -> None:
    """Make sure that the folders above still know of a file, or its end, after a power cut."""
    for folder in file.parents[:3]:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def _reported(file: Path) -> Iterator[None]:
    """Turn what the system or PyArrow says into a `StoreError` that names the file."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"the archive file {file} cannot be read or written: {error}; check its free space and "
            "its owner, or bring it back from a backup"
        ) from error
