"""A snapshot as the four Arrow tables of an artifact, and back without loss.

``items`` and ``users`` hold one row per item and user, ``neighbours`` one row per item and kind of
list, ``segments`` one row per context (its prior list) and one per name of a category, a brand or
a segment of users.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.manifest import Manifest
from models.ragged import Neighbours, RowLists, Texts
from models.snapshot import ItemTable, Priors, Snapshot, UserTable
from models.vocabulary import Vocabulary

TABLES = ("items", "users", "neighbours", "segments")
NEIGHBOUR_KINDS = ("graph", "similar", "bought_together")

_PRIOR, _CATEGORY, _BRAND, _SEGMENT = "prior", "category", "brand", "segment"


def to_tables(snapshot: Snapshot) -> dict[str, pa.Table]:
    """Write the arrays of a snapshot as tables, named as in `TABLES`."""
    return {
        "items": _items(snapshot.items),
        "users": _users(snapshot.users),
        "neighbours": pa.concat_tables(
            _lists(kind, getattr(snapshot, kind)) for kind in NEIGHBOUR_KINDS
        ),
        "segments": _segments(snapshot),
    }


def from_tables(manifest: Manifest, tables: Mapping[str, pa.Table]) -> Snapshot:
    """Rebuild the snapshot that `to_tables` wrote; every array is equal to the original."""
    items, users, neighbours, segments = (_in_order(tables[name]) for name in TABLES)
    return Snapshot(
        manifest=manifest,
        items=_read_items(items, segments),
        users=_read_users(users, segments),
        priors=Priors(keys=_names(segments, _PRIOR), lists=_read_lists(segments, _PRIOR)),
        **{kind: _read_lists(neighbours, kind) for kind in NEIGHBOUR_KINDS},
    )


def _items(items: ItemTable) -> pa.Table:
    n_items = len(items.ids)
    columns = {
        "row": _row_numbers(n_items),
        "id": pa.array(list(items.ids), pa.large_string()),
        "popularity": pa.array(items.popularity),
        "n_interactions": pa.array(items.n_interactions),
        "available": pa.array(items.available),
        "price": pa.array(items.price),
        "created_at_ms": pa.array(items.created_at_ms),
        "category_row": pa.array(items.category_rows),
        "brand_row": pa.array(items.brand_rows),
        "card": _texts(items.cards),
    }
    matrices = {"factor": items.factors, "fold_in": items.fold_in, "content": items.content}
    for name, matrix in matrices.items():
        if matrix.shape[1]:  # an Arrow list has at least one value
            flat = pa.array(np.ascontiguousarray(matrix).reshape(-1))
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])
    return pa.table(columns)


def _read_items(table: pa.Table, segments: pa.Table) -> ItemTable:
    return ItemTable(
        ids=Vocabulary.from_ids(table["id"].to_pylist()),
        popularity=_numbers(table, "popularity"),
        n_interactions=_numbers(table, "n_interactions"),
        factors=_matrix(table, "factor"),
        fold_in=_matrix(table, "fold_in"),
        content=_matrix(table, "content"),
        available=_numbers(table, "available"),
        price=_numbers(table, "price"),
        created_at_ms=_numbers(table, "created_at_ms"),
        category_rows=_numbers(table, "category_row"),
        brand_rows=_numbers(table, "brand_row"),
        categories=_names(segments, _CATEGORY),
        brands=_names(segments, _BRAND),
        cards=_read_texts(table, "card"),
    )


def _users(users: UserTable) -> pa.Table:
    offsets = users.history.offsets
    return pa.table(
        {
            "row": _row_numbers(len(users.ids)),
            "id": pa.array(list(users.ids), pa.large_string()),
            "history": _list_column(offsets, users.history.rows),
            "history_kinds": _list_column(offsets, users.history_kinds),
            "history_at_ms": _list_column(offsets, users.history_at_ms),
            "purchased": _list_column(users.purchased.offsets, users.purchased.rows),
            "segments": _list_column(users.segments.offsets, users.segments.rows),
        }
    )


def _read_users(table: pa.Table, segments: pa.Table) -> UserTable:
    offsets, rows = _list_values(table, "history")
    bought_offsets, bought_rows = _list_values(table, "purchased")
    return UserTable(
        ids=Vocabulary.from_ids(table["id"].to_pylist()),
        history=RowLists(offsets, rows),
        history_kinds=_list_values(table, "history_kinds")[1],
        history_at_ms=_list_values(table, "history_at_ms")[1],
        purchased=RowLists(bought_offsets, bought_rows),
        segments=RowLists(*_list_values(table, "segments")),
        segment_keys=_names(segments, _SEGMENT),
    )


def _segments(snapshot: Snapshot) -> pa.Table:
    items, priors = snapshot.items, snapshot.priors
    parts = [_lists(_PRIOR, priors.lists, priors.keys)]
    named = {
        _CATEGORY: items.categories,
        _BRAND: items.brands,
        _SEGMENT: snapshot.users.segment_keys,
    }
    for kind, names in named.items():
        parts.append(_lists(kind, _no_lists(len(names)), names))
    return pa.concat_tables(parts)


def _lists(kind: str, lists: Neighbours, keys: Vocabulary | None = None) -> pa.Table:
    columns = {
        "kind": pa.array([kind] * len(lists), pa.string()),
        "row": _row_numbers(len(lists)),
        "item_rows": _list_column(lists.offsets, lists.rows),
        "weights": _list_column(lists.offsets, lists.weights),
    }
    if keys is not None:
        columns["key"] = pa.array(list(keys), pa.large_string())
    return pa.table(columns)


def _read_lists(table: pa.Table, kind: str) -> Neighbours:
    part = _of_kind(table, kind)
    offsets, rows = _list_values(part, "item_rows")
    return Neighbours(offsets, rows, _list_values(part, "weights")[1])


def _names(segments: pa.Table, kind: str) -> Vocabulary:
    return Vocabulary.from_ids(_of_kind(segments, kind)["key"].to_pylist())


def _no_lists(n: int) -> Neighbours:
    nothing = np.empty(0, dtype=np.int32)
    return Neighbours(np.zeros(n + 1, dtype=np.int64), nothing, nothing.astype(np.float32))


def _of_kind(table: pa.Table, kind: str) -> pa.Table:
    return table.filter(pa.compute.equal(table["kind"], kind))


def _in_order(table: pa.Table) -> pa.Table:
    """Put rows back in order, whatever order the store scanned them in."""
    keys = [("kind", "ascending")] if "kind" in table.column_names else []
    return table.sort_by([*keys, ("row", "ascending")])


def _row_numbers(n: int) -> pa.Array:
    return pa.array(np.arange(n, dtype=np.int32))


def _list_column(offsets: NDArray[np.int64], values: NDArray[np.generic]) -> pa.Array:
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values))


def _list_values(table: pa.Table, name: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
    column = _joined(table, name)
    offsets = column.offsets.to_numpy()
    return offsets - offsets[0], column.flatten().to_numpy()


def _numbers(table: pa.Table, name: str) -> NDArray[Any]:
    values: NDArray[Any] = _joined(table, name).to_numpy(zero_copy_only=False)
    return values


def _matrix(table: pa.Table, name: str) -> NDArray[np.float32]:
    if name not in table.column_names:
        return np.empty((table.num_rows, 0), dtype=np.float32)
    column = _joined(table, name)
    values: NDArray[np.float32] = column.flatten().to_numpy()
    return values.reshape(table.num_rows, column.type.list_size)


def _texts(texts: Texts) -> pa.Array:
    buffers = [None, pa.py_buffer(texts.offsets), pa.py_buffer(texts.data)]
    return pa.Array.from_buffers(pa.large_string(), len(texts), buffers)


def _read_texts(table: pa.Table, name: str) -> Texts:
    return Texts.of(text.encode() for text in table[name].to_pylist())


def _joined(table: pa.Table, name: str) -> pa.Array:
    column = table[name].combine_chunks()
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
