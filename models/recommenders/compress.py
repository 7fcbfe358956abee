"""Fewer dimensions for a sum of linear models of low rank, so that a request costs less.

Factors that stand side by side say partly the same. Of all pairs of d dimensions, the one returned
is closest to ``P Qᵀ``, rows of P weighed by how often they are asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.recommenders.blocks import gram, times_small


def compress(
    fold_in: NDArray[np.float32],
    factors: NDArray[np.float32],
    weights: NDArray[np.floating],
    dimensions: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return p and q of at most `dimensions`, (n_items, d) each, with nearly the same products.

    `weights` says how much each row of `fold_in` matters, shape (n_items,). With Gram matrices
    ``PᵀP = A Aᵀ`` and ``QᵀQ = B Bᵀ`` the singular value decomposition of ``Aᵀ B`` is that of
    ``P Qᵀ``, so nothing of the size of the catalogue squared is ever made.
    """
    if factors.shape[1] <= dimensions:
        return fold_in, factors
    weighed = fold_in * weights[:, np.newaxis].astype(np.float32)
    left, left_inverse = _root(gram(weighed, weighed))
    right, right_inverse = _root(gram(factors, factors))
    product = left @ right
    # Only the largest are wanted, which the eigenvectors of a square give as well, and sooner.
    squares, u = np.linalg.eigh(product @ product.T)
    u, values = (
        u[:, : -dimensions - 1 : -1],
        np.sqrt(np.maximum(squares[: -dimensions - 1 : -1], 0.0)),
    )
    size = np.sqrt(values)
    is_kept = values > max(float(values[0]), 1e-30) * 1e-6
    v = product.T @ u * np.where(is_kept, 1.0 / np.where(is_kept, values, 1.0), 0.0)
    new_fold_in = times_small(fold_in, left_inverse @ u * size)
    new_factors = times_small(factors, right_inverse @ v * size)
    return new_fold_in, new_factors


def _root(
    matrix: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the square root of a Gram matrix and its inverse, rounding noise left out."""
    values, vectors = np.linalg.eigh(matrix)
    is_kept = values > max(float(values[-1]), 1e-30) * 1e-10
    roots = np.sqrt(np.where(is_kept, values, 0.0))
    inverse = np.where(is_kept, 1.0 / np.where(is_kept, roots, 1.0), 0.0)
    return (vectors * roots) @ vectors.T, (vectors * inverse) @ vectors.T
