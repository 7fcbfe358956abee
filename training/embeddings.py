"""Exports the embeddings of a version as Parquet or Arrow files, for search, ads and analysis."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import feather

from models.errors import InputError
from models.histories import Histories
from models.snapshot import Snapshot

FileFormat = Literal["parquet", "arrow"]


def item_embeddings(snapshot: Snapshot) -> pa.Table:
    """Return ``item_id, n_interactions, factor, content``, without what has no dimensions."""
    items = snapshot.items
    columns = {
        "item_id": pa.array(list(items.ids), pa.string()),
        "n_interactions": pa.array(items.n_interactions),
    }
    for name, matrix in (("factor", items.factors), ("content", items.content)):
        if matrix.shape[1]:
            columns[name] = _vectors(matrix)
    return pa.table(columns)


def user_embeddings(snapshot: Snapshot) -> pa.Table:
    """Return ``user_key, n_items, factor``; the product with an item's factor is its factor part.

    A user's factor is folded in from the newest items, as the service does for each request, here
    as of the end of the training data. Whoever has no history of weight has zeros.
    """
    users, blend = snapshot.users, snapshot.manifest.blend
    histories = Histories(
        users.history, users.history_kinds, users.history_at_ms, snapshot.manifest.data_until_ms
    )
    shares = histories.shares(blend, len(snapshot.items.ids))
    columns = {
        "user_key": pa.array(list(users.ids), pa.string()),
        "n_items": pa.array(np.diff(users.history.offsets).astype(np.int32)),
    }
    if snapshot.items.factors.shape[1]:
        columns["factor"] = _vectors((shares @ snapshot.items.fold_in).astype(np.float32))
    return pa.table(columns)


def write_table(table: pa.Table, path: Path, kind: FileFormat) -> None:
    """Write a table; the file appears whole or not at all.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if kind == "parquet":
            pq.write_table(table, draft, compression="zstd")
        else:
            feather.write_feather(table, str(draft), compression="zstd")
        draft.replace(path)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error}; choose a folder that exists, is writable and has space"
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _vectors(matrix: NDArray[np.float32]) -> pa.FixedSizeListArray:
    flat = pa.array(np.ascontiguousarray(matrix).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])
