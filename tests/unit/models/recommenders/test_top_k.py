"""The largest values of each row, against a sort of all of them."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.recommenders.top_k import PIECE, keep_top_k


def sorted_out(values: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Keep the same by sorting whole rows: the larger first, then the lower column."""
    kept = np.zeros_like(values)
    for row, own in enumerate(values):
        best = [column for column in np.argsort(-own, kind="stable")[:k] if own[column] > 0]
        kept[row, best] = own[best]
    return kept


def as_rows(matrix: csr_matrix) -> NDArray[np.float32]:
    """Write all of it out, having seen that columns ascend and nothing is kept that is zero."""
    assert matrix.has_sorted_indices
    assert (matrix.data > 0).all()
    assert matrix.data.dtype == np.float32
    return np.asarray(matrix.toarray())


@pytest.mark.parametrize("n_columns", [1, 7, 3 * PIECE, 50 * PIECE, 50 * PIECE + 33])
@pytest.mark.parametrize("n_values", [2, 5, 1_000_000])
@pytest.mark.parametrize("k", [1, 5, 50])
def test_largest_are_kept_and_ties_go_to_the_lower_column(
    n_columns: int, n_values: int, k: int
) -> None:
    """Rows with few values, so that most are equal, with many, and below zero."""
    rng = np.random.default_rng(n_columns * k + n_values)
    values = rng.integers(-n_values // 3, n_values, (9, n_columns)).astype(np.float32)
    values[3] = 0.0
    values[4] = -1.0
    values[5] = 1.0
    assert np.array_equal(as_rows(keep_top_k(values.copy(), k)), sorted_out(values, k))


@pytest.mark.parametrize("shape", [(0, 5), (3, 0)])
def test_nothing_is_kept_of_nothing(shape: tuple[int, int]) -> None:
    """No rows, or no columns."""
    kept = keep_top_k(np.zeros(shape, dtype=np.float32), 4)
    assert kept.shape == shape
    assert kept.nnz == 0
