"""Low-pass factors: the smoothest signals on the graph of users and items, in closed form.

The largest singular vectors of the degree-normalised user-item matrix are what many users share;
leaving out the rest leaves out the noise. There is nothing to train, and a history is folded in by
a sum:

    Ã = D_u^-.3 R D_i^-.3 ≈ U S Vᵀ,    p_j = d_j^-.5 (S/s_1)^.5 v_j,    q_i = d_i^.05 v_i

References
----------
Shen et al. (2021), "How powerful is graph convolution for recommendation?"
doi:10.1145/3459637.3482264
Halko, Martinsson, Tropp (2011), randomised SVD, algorithm 4.4. doi:10.1137/090771806
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.recommenders.blocks import gram, sparse_times_dense, times_small

USER_EXPONENT = 0.3
ITEM_EXPONENT = 0.3
FOLD_IN_EXPONENT = 0.5
FACTOR_EXPONENT = 0.05
SOFTNESS = 0.5
"""Exponent of the singular values: 0 is an ideal low-pass, 1 a soft one."""
N_POWER_ITERATIONS = 3
N_FURTHER_ITERATIONS = 2
OVERSAMPLING = 16
ROWS_PER_DIMENSION = 30
"""Users, or items if they are fewer, that a dimension needs: what fewer share is mostly chance."""
LEAST_DIMENSIONS = 16


@dataclass(frozen=True, slots=True)
class LowPass:
    """A linear model of low rank; d is 0 where there is nothing to learn from."""

    fold_in: NDArray[np.float32]
    """(n_items, d) p."""
    factors: NDArray[np.float32]
    """(n_items, d) q."""
    vectors: NDArray[np.float32]
    """(n_items, d) v, from which a fit on nearly the same data can start."""


def low_pass_factors(
    user_items: csr_matrix,
    dimensions: int,
    *,
    seed: int,
    start: NDArray[np.float32] | None = None,
) -> LowPass:
    """Fit on `user_items` of 0 and 1, shape (n_users, n_items); items without users have zeros."""
    n_items = user_items.shape[1]
    narrow = min(user_items.shape)
    d = min(dimensions, max(narrow // ROWS_PER_DIMENSION, LEAST_DIMENSIONS), narrow // 2)
    if d < 1 or user_items.nnz == 0:
        nothing = np.zeros((n_items, 0), np.float32)
        return LowPass(nothing, nothing, nothing)
    degree = np.bincount(user_items.indices, minlength=n_items).astype(np.float64)
    of_user = np.maximum(np.diff(user_items.indptr), 1.0)
    of_item = np.maximum(degree, 1.0)
    by_user = np.repeat(of_user**-USER_EXPONENT, np.diff(user_items.indptr))
    data = user_items.data * by_user * (of_item**-ITEM_EXPONENT)[user_items.indices]
    parts = (data.astype(np.float32), user_items.indices, user_items.indptr)
    scaled = csr_matrix(parts, shape=user_items.shape)
    vectors, values = right_singular_vectors(scaled, d, seed=seed, start=start)
    vectors[degree == 0] = 0.0
    soft = (values / max(float(values[0]), 1e-12)) ** SOFTNESS
    fold_in = vectors * _column(of_item**-FOLD_IN_EXPONENT)
    fold_in *= soft
    return LowPass(fold_in, vectors * _column(of_item**FACTOR_EXPONENT), vectors)


def _column(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)[:, np.newaxis]


def right_singular_vectors(
    matrix: csr_matrix, d: int, *, seed: int, start: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Approximate the `d` largest singular values and their right vectors, (n_columns, d) and (d,).

    From a `start`, the vectors of nearly the same matrix, fewer power iterations are enough. The
    result depends on the seed and the start alone, not on the number of threads.
    """
    transposed = matrix.T.tocsr()
    width = min(d + OVERSAMPLING, *matrix.shape)
    rng = np.random.default_rng(seed)
    known = np.empty((matrix.shape[1], 0), dtype=np.float32) if start is None else start[:, :width]
    drawn = rng.standard_normal((len(known), width - known.shape[1]), dtype=np.float32)
    basis = np.hstack([known, drawn])
    for _ in range(N_POWER_ITERATIONS if start is None else N_FURTHER_ITERATIONS):
        image = sparse_times_dense(matrix, basis)
        basis = orthonormal(sparse_times_dense(transposed, image))
    image = sparse_times_dense(matrix, basis)
    squared, rotation = _largest_pairs(gram(image, image), gram(basis, basis), d)
    vectors = times_small(basis, rotation)
    # The sign of a singular vector is arbitrary: its largest entry is made positive.
    is_negative = -vectors.min(axis=0) > vectors.max(axis=0)
    vectors *= np.where(is_negative, np.float32(-1.0), np.float32(1.0))
    return vectors, np.sqrt(np.maximum(squared, 0.0)).astype(np.float32)


def _largest_pairs(
    energy: NDArray[np.float64], own: NDArray[np.float64], d: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve ``energy v = s² own v`` for the `d` largest s², (d,) and (width, d).

    `own` is the Gram matrix of a basis that float32 left not quite orthonormal: what is left over
    would be taken for signal.
    """
    root = _inverse_root(own)
    values, vectors = np.linalg.eigh(root.T @ energy @ root)
    largest = np.argsort(-values, kind="stable")[:d]
    return values[largest], root @ vectors[:, largest]


def orthonormal(basis: NDArray[np.float32]) -> NDArray[np.float32]:
    """Make the columns orthonormal through the eigenvectors of their Gram matrix.

    Directions that are lost in rounding become zero columns, which add nothing.
    """
    return times_small(basis, _inverse_root(gram(basis, basis)))


def _inverse_root(own: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(own)
    lost = values <= max(float(values[-1]), 1e-30) * 1e-10
    scale: NDArray[np.float64] = np.where(lost, 0.0, 1.0 / np.sqrt(np.where(lost, 1.0, values)))
    return vectors * scale
