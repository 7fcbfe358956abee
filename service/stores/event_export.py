"""Writes the interactions of store and archive as Parquet, in the columns the trainer reads.

Ids of people are pseudonyms already, so their column is `user_key`, which the trainer takes as it
is where it would hash a `user_id`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models.errors import StoreError
from service.stores.archive import as_database, read_batches
from service.stores.archive_files import day_files
from service.stores.archiving import stored_of
from service.stores.event_database import connect
from service.stores.event_log import Database, EventLog
from service.stores.event_schema import KIND_NAMES, EventFlag

ROWS_A_GROUP = 100_000

SCHEMA = pa.schema(
    [
        ("user_key", pa.string()),
        ("anonymous_key", pa.string()),
        ("session_key", pa.string()),
        ("item_id", pa.string()),
        ("event", pa.string()),
        ("timestamp", pa.timestamp("ms", tz="UTC")),
        ("quantity", pa.float64()),
        ("price", pa.float64()),
        ("order_id", pa.string()),
        ("country", pa.string()),
        ("channel", pa.string()),
        ("platform", pa.string()),
    ]
)

# A visitor who never signed in is a user of their own to the trainer.
_SELECT = """
SELECT coalesce(user_key, anonymous_key), anonymous_key, session_key, item_id, kind,
       min(at_ms, received_ms), quantity, price, order_id, country, channel, platform
FROM events
WHERE item_id IS NOT NULL AND kind <= 4 AND flags & ? = 0
  AND coalesce(user_key, anonymous_key) IS NOT NULL
ORDER BY seq
"""


def export_interactions(path: EventLog, output: Path) -> int:
    """Write all interactions of known visitors with items, and return how many.

    Archived days come first. The file appears whole or not at all. Bots and previews are left out.

    Raises
    ------
    StoreError
        If the store cannot be read or the file not be written.
    """
    draft = output.with_name(f".{output.name}.{os.getpid()}.part")
    connection = connect(path, read_only=True)
    n_rows = 0
    try:
        with pq.ParquetWriter(draft, SCHEMA, compression="zstd") as writer:
            for rows in _read(connection, path):
                columns = [list(column) for column in zip(*rows, strict=True)]
                columns[4] = [KIND_NAMES[kind] for kind in columns[4]]
                arrays = [
                    pa.array(column, field.type)
                    for column, field in zip(columns, SCHEMA, strict=True)
                ]
                writer.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))
                n_rows += len(rows)
        draft.replace(output)
    except OSError as error:
        raise StoreError(
            f"the events cannot be written to {output}: {error}; choose a folder that exists, is "
            "writable and has space"
        ) from error
    finally:
        connection.close()
        draft.unlink(missing_ok=True)
    return n_rows


def _read(connection: Database, path: EventLog) -> Iterator[list[tuple[Any, ...]]]:
    """Read archived days, then the store, as of one moment; a row that is in both counts once."""
    # What is moved from now on is still in this transaction's store, and may be in a file as well.
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM counters").fetchone()
    for file in day_files(path, "events"):
        for archived in as_database("events", read_batches(file, "events")):
            seqs = [seq for (seq,) in archived.execute("SELECT seq FROM events")]
            both = stored_of(connection, "events", seqs)
            archived.executemany("DELETE FROM events WHERE seq = ?", [(seq,) for seq in both])
            yield from _select(archived)
    yield from _select(connection)


def _select(connection: Database) -> Iterator[list[tuple[Any, ...]]]:
    yield from connection.stream(_SELECT, (int(EventFlag.BOT | EventFlag.PREVIEW),), ROWS_A_GROUP)
