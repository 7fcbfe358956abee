"""The largest entries of each row of a matrix that is too large to hold at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from models.ragged import in_groups
from models.recommenders.blocks import map_blocks, rows_of_size

PIECE = 64
"""Scores of a row that are looked at together for their largest."""
GROUP_VALUES = 65_536
"""Values of rows that are partitioned together: they stay in the processor's cache."""


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
    # A piece is every n-th score: so the largest of many pieces are found by one instruction.
    largest = scores[:, : n_pieces * PIECE].reshape(n, PIECE, n_pieces).max(axis=1)
    return np.partition(largest, n_pieces - k, axis=1)[:, n_pieces - k]


def keep_top_k(values: NDArray[np.float32], k: int) -> csr_matrix:
    """Keep the `k` largest positive values of each row, shape (n, n_columns), columns ascending.

    Ties go to the lower column.
    """
    # What nearly all values are below is found sooner than the k-th largest of a whole row.
    floors = np.maximum(reached(values, k), np.finfo(np.float32).smallest_subnormal)
    places = np.flatnonzero(values >= floors[:, np.newaxis])
    n_rows, n_columns = values.shape
    offsets = np.searchsorted(places, np.arange(n_rows + 1) * n_columns)
    columns = places % max(n_columns, 1)
    candidates = csr_matrix((values.ravel()[places], columns, offsets), shape=values.shape)
    return largest_of_rows(candidates, k)


def largest_of_rows(matrix: csr_matrix, k: int) -> csr_matrix:
    """Keep the `k` largest positive entries of each row of a sparse matrix, columns ascending.

    Ties go to the lower column.
    """
    matrix = csr_matrix(matrix)
    bars = _bars(matrix, k)
    is_kept = matrix.data >= np.repeat(bars, np.diff(matrix.indptr))
    is_kept &= matrix.data > 0
    places = is_kept.nonzero()[0]
    offsets = np.searchsorted(places, matrix.indptr)
    n_over = np.diff(offsets) - k
    too_many = [np.empty(0, dtype=np.int64)]
    for row in np.flatnonzero(n_over > 0).tolist():
        own = places[offsets[row] : offsets[row + 1]]
        tied = own[matrix.data[own] == bars[row]]
        too_many.append(tied[matrix.indices[tied].argsort()[len(tied) - n_over[row] :]])
    if len(too_many) > 1:
        is_kept[np.concatenate(too_many)] = False
        places = is_kept.nonzero()[0]
        offsets = np.searchsorted(places, matrix.indptr)
    parts = (matrix.data[places], matrix.indices[places], offsets.astype(matrix.indptr.dtype))
    largest = csr_matrix(parts, shape=matrix.shape)
    largest.sort_indices()
    return largest


def _bars(matrix: csr_matrix, k: int) -> NDArray[np.floating]:
    """Return the `k`-th largest value of each row that has more than `k`, 0 for others, (n,).

    Rows of about the same length are looked at together, the shorter ones filled up with zeros: a
    call for every row would hold the interpreter up, and the threads that wait for it.
    """
    lengths = np.diff(matrix.indptr)
    bars = np.zeros(len(lengths), dtype=matrix.data.dtype)
    begins, ends = matrix.indptr[:-1].tolist(), matrix.indptr[1:].tolist()
    long = np.flatnonzero(lengths > k)
    long = long[np.argsort(lengths[long], kind="stable")]
    for rows in in_groups(long, lengths[long], GROUP_VALUES):
        width = int(lengths[rows[-1]])
        block = np.zeros((len(rows), width), dtype=matrix.data.dtype)
        for place, row in enumerate(rows.tolist()):
            begin, end = begins[row], ends[row]
            block[place, : end - begin] = matrix.data[begin:end]
        block.partition(width - k, axis=1)
        bars[rows] = block[:, width - k]
    return bars
