"""Takes rows out of the archive: a person's, and those that were kept long enough."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pyarrow as pa
import pyarrow.compute as pc

from service.stores.archive import has_key, take_out
from service.stores.archive_files import (
    CLOCKS,
    DAY_MS,
    ArchivedTable,
    archive_lock,
    day_files,
    day_of,
)
from service.stores.event_database import connect, reported
from service.stores.event_log import EventLog
from service.stores.personal_rows import COLUMNS, count_deleted_archived


def erase_archived(path: EventLog, keys: list[str]) -> dict[str, int]:
    """Take a person's rows out of every file, and count them by file.

    Call it under the lock, when moves are finished.

    Raises
    ------
    StoreError
        If a file cannot be written; those before are done.
    """
    erased = {}
    for table in CLOCKS:
        for file in day_files(path, table):
            seqs = take_out(file, table, COLUMNS[table], has_key(table, keys))
            _note(path, table, len(seqs))
            if seqs:
                erased[str(file.relative_to(path.parent))] = len(seqs)
    return erased


def expire_archived(
    path: EventLog,
    table: ArchivedTable,
    kind: int | None,
    before_ms: int,
    *,
    on_gone: Callable[[list[int]], None],
    is_stopped: Callable[[], bool],
) -> int:
    """Take out what lies before a moment, of one kind or all; `on_gone` hears of the rows.

    Raises
    ------
    StoreError
        If a file cannot be written; those before are done.
    """

    def is_old(batch: pa.RecordBatch) -> pa.BooleanArray:
        if kind is None:
            return pc.less(batch.column("at_ms"), before_ms)
        old = pc.less(batch.column("received_ms"), before_ms)
        return pc.and_(old, pc.equal(batch.column("kind"), kind))

    columns = {"at_ms"} if kind is None else {"received_ms", "kind"}
    n_gone = 0
    for file in day_files(path, table):
        if is_stopped() or day_of(file) * DAY_MS >= before_ms:
            break
        with archive_lock(path):
            if not file.exists():
                continue
            seqs = take_out(file, table, columns, is_old)
            _note(path, table, len(seqs))
            if seqs:
                on_gone(seqs)
            n_gone += len(seqs)
    return n_gone


def _note(path: EventLog, table: ArchivedTable, n_rows: int) -> None:
    if n_rows:
        with reported(path), closing(connect(path)) as connection:
            count_deleted_archived(connection, table, n_rows)
