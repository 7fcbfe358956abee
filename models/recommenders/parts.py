"""The parts of the hybrid, each brought to one scale.

The mean of the 20 best scores that a part gives to a sample of users is its unit, so that one set
of weights fits catalogues and matrices of any size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.recommenders.als import FactorPair
from models.recommenders.regime import Regime
from models.recommenders.top_k import reached

N_PLACES = 20


@dataclass(frozen=True, slots=True)
class Factors:
    """A linear model of low rank: ``score = (Σ_j w_j p_j) · q_i``."""

    fold_in: NDArray[np.float32]
    """(n_items, d) p."""
    factors: NDArray[np.float32]
    """(n_items, d) q."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The factors of ALS as they were learnt, by which it can recommend alone."""

    factors: FactorPair
    """(n_users, d) and (n_items, d)."""
    mean_weight: float
    """Of the history items that ALS was fitted on."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What is merged into a hybrid; every part has unit scale."""

    graph: csr_matrix
    """(n_items, n_items) G."""
    likeness: csr_matrix
    """(n_items, n_items) cosines of attributes."""
    new_columns: csr_matrix
    """(n_items, n_items) what speaks for new and rare items, mapped from their attributes."""
    spectral: Factors
    als: Factors
    popularity: NDArray[np.float32]
    """(n_items,) 0 to 1."""
    popularity_unit: float
    """What the popularity is multiplied with to have unit scale."""
    lift: NDArray[np.float32]
    """(n_items,) the trend that every item's scores are multiplied with."""
    n_users_of: NDArray[np.int64]
    """(n_items,) users per item; 0 for a new one."""
    is_new: NDArray[np.bool_]
    """(n_items,) nobody ever did anything with the item, not even give it back."""
    doubt: NDArray[np.float32]
    """(n_items,) how much of what is said of an item its attributes say, 0 to 1, `doubt_of`."""
    new_share: float
    """What these items get of the first places, 0 to 1, `share_of_places`."""
    regime: Regime
    sample: csr_matrix
    """(n, n_items) histories of sampled users, rows summing to 1."""
    owned: csr_matrix
    """(n, n_items) what these users had to do with."""
    trained: Trained


@dataclass(frozen=True, slots=True)
class Scale:
    """Sampled users, on whom the unit of every part is measured."""

    shares: csr_matrix
    owned: csr_matrix
    candidates: NDArray[np.bool_]
    """(n_items,) the items whose scores count."""

    def unit(self, scores: NDArray[np.float32]) -> float:
        """Return the factor that makes the mean of the best scores 1; 1 where all are zero."""
        owners = np.repeat(np.arange(len(scores)), np.diff(self.owned.indptr))
        scores[owners, self.owned.indices] = 0.0
        scores[:, ~self.candidates] = 0.0
        k = min(N_PLACES, scores.shape[1])
        if not scores.size:
            return 1.0
        floors = reached(scores, k)
        best = [np.sort(row[row >= low])[-k:] for row, low in zip(scores, floors, strict=True)]
        mean = float(np.mean(best, dtype=np.float64))
        # Four digits: the weights of a version are to be read.
        return float(f"{1.0 / mean:.4g}") if mean > 1e-12 else 1.0

    def of_graph(self, graph: csr_matrix) -> csr_matrix:
        """Scale a graph."""
        if graph.nnz == 0:
            return graph
        return graph * np.float32(self.unit((self.shares @ graph).toarray()))

    def of_factors(self, part: Factors) -> Factors:
        """Scale a linear model of low rank."""
        if not part.factors.shape[1]:
            return part
        unit = self.unit((self.shares @ part.fold_in) @ part.factors.T)
        return Factors(part.fold_in * np.float32(unit), part.factors)
