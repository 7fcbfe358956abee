"""Implicit-feedback factors by alternating least squares, from the library `implicit`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.dataset import Dataset
from models.histories import Histories
from models.recommenders.blocks import (
    gram,
    n_threads,
    one_blas_thread,
    sparse_times_dense,
    times_small,
)
from models.recommenders.settings import Settings
from models.snapshot import Arrays

FactorPair = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Of users and of items."""

FOLD_IN_RIDGE = 0.1
"""Of the linear fold-in, in units of the mean variance of what is mapped."""
SOLVED_AT_ONCE = 64
"""Histories; the system of each takes 64 KB."""


@dataclass(frozen=True)
class Als:
    """Item factors; a user's factor is solved from the history at hand, so nobody needs a row.

    References
    ----------
    Hu, Koren, Volinsky (2008). doi:10.1109/ICDM.2008.22
    """

    name: ClassVar[str] = "als"
    factors: NDArray[np.float32]
    """(n_items, d); zero for an item without interactions."""
    mean_weight: float
    """Of the history items that it was fitted on, which is taken as weight 1."""
    settings: Settings

    @classmethod
    def fit(cls, dataset: Dataset, settings: Settings, *, now_ms: int, seed: int) -> Self:
        """Fit the factors; the same seed gives the same factors on any number of threads."""
        histories = Histories.of(dataset.interactions, dataset.n_users, now_ms)
        weights = histories.weights(settings.blend, dataset.n_items)
        mean = mean_weight(weights)
        weights.data /= np.float32(mean)
        return cls(fit_factors(weights, settings, seed=seed)[1], mean, settings)

    def score(self, histories: Histories) -> NDArray[np.float32]:
        """Fold every history in and multiply, a zero history giving zeros."""
        weights = histories.weights(self.settings.blend, len(self.factors))
        weights.data /= np.float32(self.mean_weight)
        users = fold_in(self.factors, weights, self.settings, self._regular)
        return users @ self.factors.T

    @cached_property
    def _regular(self) -> NDArray[np.float32]:
        return regular_of(self.factors, self.settings)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Name the arrays."""
        return {"factors": self.factors, "mean_weight": np.array([self.mean_weight])}

    @classmethod
    def from_arrays(cls, arrays: Arrays, settings: Settings) -> Self:
        """Open the arrays."""
        return cls(arrays["factors"], float(arrays["mean_weight"][0]), settings)  # type: ignore[arg-type]  # dtype as to_arrays wrote it


def mean_weight(weights: csr_matrix) -> float:
    """Return the mean of the positive weights, 1 if there is none."""
    positive = weights.data[weights.data > 0]
    return float(positive.mean(dtype=np.float64)) if len(positive) else 1.0


def fit_factors(
    weights: csr_matrix, settings: Settings, *, seed: int, start: FactorPair | None = None
) -> FactorPair:
    """Return the factors of users and items, float32 (n_users, d) and (n_items, d).

    `weights` has the mean 1, shape (n_users, n_items); who has none in it gets zeros. From a
    `start`, the factors of a fit on nearly the same weights, fewer passes are enough.
    """
    n_users, n_items = weights.shape
    d = min(settings.factors, max(min(weights.shape), 1))
    if weights.nnz == 0:
        return np.zeros((n_users, d), np.float32), np.zeros((n_items, d), np.float32)
    # Imported here: the service scores with factors and never needs the library that fits them.
    from implicit.cpu.als import AlternatingLeastSquares  # noqa: PLC0415

    # implicit takes the confidence itself, and one below 1 would be a dislike: hence 1 + alpha * w.
    observed = weights.copy()
    observed.data = 1.0 + settings.alpha * observed.data
    # Its own threads split the rows; BLAS threads inside them would fight for the same cores, and
    # the library warns of those where it is made.
    with one_blas_thread():
        model = AlternatingLeastSquares(
            factors=d,
            regularization=settings.regularization,
            alpha=1.0,
            iterations=settings.iterations if start is None else settings.further_iterations,
            num_threads=n_threads(),
            random_state=seed,
        )
        if start is not None:
            # The library goes on from the factors that a model has, and changes them.
            model.user_factors, model.item_factors = start[0].copy(), start[1].copy()
        model.fit(observed, show_progress=False)
    users = np.array(model.user_factors, dtype=np.float32)
    items = np.array(model.item_factors, dtype=np.float32)
    users[np.diff(weights.indptr) == 0] = 0.0
    items[np.bincount(weights.indices, minlength=n_items) == 0] = 0.0
    return users, items


def regular_of(factors: NDArray[np.float32], settings: Settings) -> NDArray[np.float32]:
    """Return what the systems of all histories share, ``QᵀQ`` and the regularisation, (d, d)."""
    wide = factors.astype(np.float64)
    return (wide.T @ wide + settings.regularization * np.eye(factors.shape[1])).astype(np.float32)


def fold_in(
    factors: NDArray[np.float32],
    weights: csr_matrix,
    settings: Settings,
    regular: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Solve the factor of each history, shape (n, d); equation 4 of Hu, Koren, Volinsky.

    Whoever folds in several batches works out `regular` once.
    """
    d = factors.shape[1]
    regular = regular_of(factors, settings) if regular is None else regular
    users = np.zeros((weights.shape[0], d), dtype=np.float32)
    active = np.flatnonzero(np.diff(weights.indptr))
    # Many in one call, which leaves the interpreter to other threads.
    for chunk in np.split(active, range(SOLVED_AT_ONCE, len(active), SOLVED_AT_ONCE)):
        left = np.empty((len(chunk), d, d), dtype=np.float32)
        right = np.empty((len(chunk), d, 1), dtype=np.float32)
        for place, user in enumerate(chunk):
            part = slice(weights.indptr[user], weights.indptr[user + 1])
            items = factors[weights.indices[part]]
            extra = np.float32(settings.alpha) * weights.data[part]
            left[place] = regular + (items.T * extra) @ items
            right[place, :, 0] = items.T @ (1.0 + extra)
        users[chunk] = np.linalg.solve(left, right)[:, :, 0]
    return users


def linear_fold_in(
    users: NDArray[np.float32], items: NDArray[np.float32], shares: csr_matrix
) -> NDArray[np.float32]:
    """Map each item's factor to what it adds to the factor of its user, shape (n_items, d).

    The exact fold-in solves a system per request. Its result is close to linear in the history:
    ``x_u ≈ (Σ_j w_j y_j) B``, with B from ridge regression over the users that were trained on;
    the returned rows are ``y_j B``. On held-out items this is no worse than the exact solution.
    """
    d = items.shape[1]
    sums = sparse_times_dense(shares, items)
    left = gram(sums, sums)
    ridge = FOLD_IN_RIDGE * max(float(np.trace(left)) / max(d, 1), 1e-12)
    mapping = np.linalg.solve(left + ridge * np.eye(d), gram(sums, users))
    return times_small(items, mapping)
