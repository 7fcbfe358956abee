"""The largest entries of each row of a matrix that is too large to hold at once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from models.ragged import offsets_of
from models.recommenders.blocks import map_blocks, rows_of_size

PIECE = 64
"""Scores of a row that are looked at together for their largest."""


def top_k_rows(
    n_rows: int, n_columns: int, block: Callable[[slice], NDArray[np.float32]], k: int
) -> csr_matrix:
    """Keep the `k` largest positive values of each row, shape (n_rows, n_columns).

    `block` returns the dense rows of a slice; it may be written to, and is called from several
    threads. Ties go to the lower column.
    """
    parts = map_blocks(n_rows, rows_of_size(n_columns), lambda rows: keep_top_k(block(rows), k))
    if not parts:
        return csr_matrix((0, n_columns), dtype=np.float32)
    return vstack(parts, format="csr")


def reached(scores: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Return a value for every row that at least `k` of its scores reach, shape (n,).

    Among the largest scores of pieces of a row it is found sooner than in the whole row, above all
    where most scores are equal.
    """
    n, n_columns = scores.shape
    n_pieces = n_columns // PIECE
    if n_pieces < k:
        return np.full(n, -np.inf, dtype=np.float32)
    largest = scores[:, : n_pieces * PIECE].reshape(n, n_pieces, PIECE).max(axis=2)
    return np.partition(largest, n_pieces - k, axis=1)[:, n_pieces - k]


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


def largest_of_rows(matrix: csr_matrix, k: int) -> csr_matrix:
    """Keep the `k` largest positive entries of each row of a sparse matrix, columns ascending.

    Ties go to the lower column.
    """
    matrix = csr_matrix(matrix)
    bounds = matrix.indptr.tolist()
    # Row by row, for a row is in the processor's cache and the whole matrix is not.
    kept = [
        _largest(matrix.data[begin:end], matrix.indices[begin:end], k)
        for begin, end in pairwise(bounds)
    ]
    offsets = offsets_of(map(len, kept)).astype(matrix.indptr.dtype)
    places = np.concatenate([np.empty(0, dtype=np.int64), *kept])
    places += np.repeat(matrix.indptr[:-1], np.diff(offsets))
    parts = (matrix.data[places], matrix.indices[places], offsets)
    largest = csr_matrix(parts, shape=matrix.shape)
    largest.sort_indices()
    return largest


def _largest(
    values: NDArray[np.floating], columns: NDArray[np.integer], k: int
) -> NDArray[np.int64]:
    """Return the places of the `k` largest positive values."""
    n_less = len(values) - k
    if n_less <= 0:
        return (values > 0).nonzero()[0]
    ordered = values.copy()
    ordered.partition(n_less)
    bar = ordered[n_less]
    if bar <= 0:
        return (values > 0).nonzero()[0]
    is_kept = values >= bar
    n_over = int(np.count_nonzero(is_kept)) - k
    if n_over:
        tied = (values == bar).nonzero()[0]
        is_kept[tied[columns[tied].argsort()[len(tied) - n_over :]]] = False
    places: NDArray[np.int64] = is_kept.nonzero()[0]
    return places
