"""The largest entries of each row of a matrix that is too large to hold at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

BLOCK_VALUES = 16_000_000
"""Values of a dense block, 64 MB of float32."""


def top_k_rows(
    n_rows: int, n_columns: int, block: Callable[[slice], NDArray[np.float32]], k: int
) -> csr_matrix:
    """Keep the `k` largest positive values of each row, shape (n_rows, n_columns).

    `block` returns the dense rows of a slice; it may be written to. Ties go to the lower column.
    """
    size = max(BLOCK_VALUES // max(n_columns, 1), 1)
    parts = [
        keep_top_k(block(slice(begin, min(begin + size, n_rows))), k)
        for begin in range(0, n_rows, size)
    ]
    if not parts:
        return csr_matrix((0, n_columns), dtype=np.float32)
    return vstack(parts, format="csr")


def keep_top_k(values: NDArray[np.float32], k: int) -> csr_matrix:
    """Set everything but the `k` largest positive values of each row to zero."""
    n_rows, n_columns = values.shape
    if k < n_columns:
        # The k-th largest value of each row; ties at it are then cut from the right.
        bar = np.partition(values, n_columns - k, axis=1)[:, n_columns - k, np.newaxis]
        above = values > bar
        room = k - above.sum(axis=1, keepdims=True)
        tied = values == bar
        kept = above | (tied & (np.cumsum(tied, axis=1) <= room))
    else:
        kept = np.ones(values.shape, dtype=bool)
    kept &= values > 0
    rows, columns = np.nonzero(kept)
    return csr_matrix((values[rows, columns], (rows, columns)), shape=(n_rows, n_columns))
