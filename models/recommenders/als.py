"""Implicit-feedback factors by alternating least squares, from the library `implicit`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.dataset import Dataset
from models.histories import Histories
from models.recommenders.confidence import user_item_confidence
from models.recommenders.settings import Settings
from models.snapshot import Arrays


@dataclass(frozen=True, slots=True)
class Als:
    """Item factors; a user's factor is solved from the history at hand, so nobody needs a row.

    References
    ----------
    Hu, Koren, Volinsky (2008). doi:10.1109/ICDM.2008.22
    """

    name: ClassVar[str] = "als"
    factors: NDArray[np.float32]
    """(n_items, d); zero for an item without interactions."""
    settings: Settings

    @classmethod
    def fit(cls, dataset: Dataset, settings: Settings, *, now_ms: int, seed: int) -> Self:
        """Fit the factors; the same seed gives the same factors on any number of threads."""
        confidence = user_item_confidence(dataset, settings.blend, now_ms)
        return cls(fit_factors(confidence, settings, seed=seed), settings)

    def score(self, histories: Histories) -> NDArray[np.float32]:
        """Fold every history in and multiply, a zero history giving zeros."""
        weights = histories.weights(self.settings.blend, len(self.factors))
        return fold_in(self.factors, weights, self.settings) @ self.factors.T

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Name the one array."""
        return {"factors": self.factors}

    @classmethod
    def from_arrays(cls, arrays: Arrays, settings: Settings) -> Self:
        """Open the one array."""
        return cls(arrays["factors"], settings)  # type: ignore[arg-type]  # dtype as to_arrays wrote it


def fit_factors(confidence: csr_matrix, settings: Settings, *, seed: int) -> NDArray[np.float32]:
    """Return item factors, float32 (n_items, d), of a confidence matrix (n_users, n_items)."""
    n_items = confidence.shape[1]
    d = min(settings.factors, max(min(confidence.shape), 1))
    if confidence.nnz == 0:
        return np.zeros((n_items, d), dtype=np.float32)
    # Imported here: the service scores with factors and never needs the library that fits them.
    from implicit.cpu.als import AlternatingLeastSquares  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    # implicit takes the confidence itself, and one below 1 would be a dislike: hence 1 + alpha * w.
    observed = confidence.copy()
    observed.data = 1.0 + settings.alpha * observed.data
    # Its own threads split the rows; BLAS threads inside them would fight for the same cores.
    with threadpool_limits(limits=1, user_api="blas"):
        model = AlternatingLeastSquares(
            factors=d,
            regularization=settings.regularization,
            alpha=1.0,
            iterations=settings.iterations,
            random_state=seed,
        )
        model.fit(observed, show_progress=False)
    factors = np.array(model.item_factors, dtype=np.float32)
    factors[np.diff(confidence.tocsc().indptr) == 0] = 0.0
    return factors


def fold_in(
    factors: NDArray[np.float32], weights: csr_matrix, settings: Settings
) -> NDArray[np.float32]:
    """Solve the factor of each history, shape (n, d); equation 4 of Hu, Koren, Volinsky."""
    d = factors.shape[1]
    wide = factors.astype(np.float64)
    gram = wide.T @ wide + settings.regularization * np.eye(d)
    users = np.zeros((weights.shape[0], d), dtype=np.float64)
    for user in np.flatnonzero(np.diff(weights.indptr)):
        part = slice(weights.indptr[user], weights.indptr[user + 1])
        items = wide[weights.indices[part]]
        confidence = 1.0 + settings.alpha * weights.data[part].astype(np.float64)
        left = gram + (items.T * (confidence - 1.0)) @ items
        users[user] = np.linalg.solve(left, items.T @ confidence)
    return users.astype(np.float32)
