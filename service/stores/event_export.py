"""Writes the interactions of store and archive as Parquet, in the columns the trainer reads.

Ids of people are pseudonyms already, so their column is `user_key`, which the trainer takes as it
is where it would hash a `user_id`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.errors import StoreError
from models.events import InteractionKind
from service.stores.archive import as_database, read_batches
from service.stores.archive_files import day_files
from service.stores.archiving import stored_of
from service.stores.event_database import connect
from service.stores.event_log import Database, EventLog
from service.stores.event_schema import KIND_NAMES, EventFlag
from service.stores.told_orders import ToldOrders

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

_PURCHASE = InteractionKind.PURCHASE.value
_BY_SERVER = int(EventFlag.BY_SERVER)
_UNCOUNTED = int(EventFlag.BOT | EventFlag.PREVIEW)

# A visitor who never signed in is a user of their own to the trainer. Of a line of the shop's
# server a browser may know whose it is.
_SELECT = f"""
SELECT coalesce(user_key, anonymous_key), anonymous_key, session_key, item_id, kind,
       min(at_ms, received_ms), quantity, price, order_id, country, channel, platform,
       flags & {_BY_SERVER}
FROM events
WHERE item_id IS NOT NULL AND kind <= 4 AND flags & {_UNCOUNTED} = 0
  AND (coalesce(user_key, anonymous_key) IS NOT NULL
    OR kind = {_PURCHASE} AND order_id IS NOT NULL AND flags & {_BY_SERVER} <> 0)
ORDER BY seq
"""
_KIND, _ORDER_ID = SCHEMA.names.index("event"), SCHEMA.names.index("order_id")


def export_interactions(path: EventLog, output: Path) -> int:
    """Write all interactions of known visitors with items, and return how many.

    Archived days come first. The file appears whole or not at all. Bots and previews are left out,
    and so are a browser's lines of an order that the shop's server told of, too.

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
                columns[_KIND] = [KIND_NAMES[kind] for kind in columns[_KIND]]
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
    with ToldOrders() as told:
        _find_told(connection, path, told)
        for file in day_files(path, "events"):
            for archived in as_database("events", read_batches(file, "events")):
                seqs = [seq for (seq,) in archived.execute("SELECT seq FROM events")]
                both = stored_of(connection, "events", seqs)
                archived.executemany("DELETE FROM events WHERE seq = ?", [(seq,) for seq in both])
                yield from _select(archived, told)
        yield from _select(connection, told)


def _find_told(connection: Database, path: EventLog, told: ToldOrders) -> None:
    files = list(day_files(path, "events"))
    for file in files:
        if _has_lines_by_server(file):
            for archived in as_database("events", read_batches(file, "events")):
                told.find(archived)
    told.find(connection)
    if not told.any:
        return
    for file in files:
        for archived in as_database("events", read_batches(file, "events")):
            told.find_buyers(archived)
    told.find_buyers(connection)


def _has_lines_by_server(file: Path) -> bool:
    """Tell it by one column, for most shops have none."""
    return any(
        pc.any(pc.not_equal(pc.bit_wise_and(batch.column("flags"), _BY_SERVER), 0)).as_py()
        for batch in read_batches(file, "events", ("flags",))
    )


def _select(connection: Database, told: ToldOrders) -> Iterator[list[tuple[Any, ...]]]:
    for rows in connection.stream(_SELECT, (), ROWS_A_GROUP):
        if counted := _count_orders_once(rows, told):
            yield counted


def _count_orders_once(rows: Sequence[tuple[Any, ...]], told: ToldOrders) -> list[tuple[Any, ...]]:
    """Leave out what a browser says of orders that the server told of, but for who bought them."""
    if not told.any:
        return [row[:-1] for row in rows]
    ordered = (row[_ORDER_ID] for row in rows if row[_KIND] == _PURCHASE and row[_ORDER_ID])
    buyers = told.buyers(set(ordered))
    kept = []
    for *row, by_server in rows:
        buyer = buyers.get(row[_ORDER_ID]) if row[_KIND] == _PURCHASE else None
        if buyer is not None and not by_server:
            continue
        if buyer is not None and row[0] is None:
            row[0] = buyer.user_key or buyer.anonymous_key
            row[1:3] = buyer.anonymous_key, row[2] or buyer.session_key
        if row[0] is not None:
            kept.append(tuple(row))
    return kept
