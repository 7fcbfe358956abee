"""The weighted sum of the hybrid's parts, as the arrays that are stored and served."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from models.ragged import Neighbours
from models.recommenders.compress import compress
from models.recommenders.parity import weight_of_new
from models.recommenders.parts import Parts
from models.recommenders.regime import Regime
from models.recommenders.settings import Settings
from models.recommenders.tasks import side_by_side
from models.recommenders.top_k import largest_of_rows


@dataclass(frozen=True, slots=True)
class Merged:
    """Neighbour lists, factor pairs and the weight of popularity; all other weights are inside."""

    graph: Neighbours
    factors: NDArray[np.float32]
    fold_in: NDArray[np.float32]
    popularity_weight: float


def merge_parts(parts: Parts, settings: Settings, known: csr_matrix | None = None) -> Merged:
    """Add up the parts, and let new items speak as loud as gives them their share of places.

    `known` is what `merge_graphs` made of the same parts, if it is there already.
    """
    with side_by_side() as tasks:
        factors = tasks.begin("factors", lambda: _merge_factors(parts, settings))
        if known is None:
            known = merge_graphs(
                parts.graph,
                parts.likeness,
                doubt=parts.doubt,
                lift=parts.lift,
                regime=parts.regime,
                settings=settings,
            )
        return _merge(parts, settings, factors, known)


def merge_graphs(
    graph: csr_matrix,
    likeness: csr_matrix,
    *,
    doubt: NDArray[np.float32],
    lift: NDArray[np.float32],
    regime: Regime,
    settings: Settings,
) -> csr_matrix:
    """Add the likeness of attributes to the item graph, new items left out; as in `Parts`."""
    weight = regime.attributes * settings.attribute_weight
    known = graph * np.float32(regime.graph * settings.graph_weight)
    # What attributes say of a new item is said better, and scaled, by its mapped column.
    known = known + likeness @ diags(np.float32(weight) * (1.0 - doubt))
    return largest_of_rows(_float32(known @ diags(lift)), settings.graph_k)


def _merge_factors(
    parts: Parts, settings: Settings
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return p and q of both linear models together."""
    regime = parts.regime
    spectral = np.float32(regime.spectral * settings.spectral_weight)
    als = np.float32(regime.als * settings.als_weight)
    fold_in = np.hstack([spectral * parts.spectral.fold_in, als * parts.als.fold_in])
    factors = np.hstack([parts.spectral.factors, parts.als.factors])
    factors *= (parts.lift * (1.0 - parts.doubt))[:, np.newaxis]
    # Items with many users stand in many histories.
    return compress(fold_in, factors, np.sqrt(parts.n_users_of), settings.served_dimensions)


def _merge(
    parts: Parts,
    settings: Settings,
    merged_factors: Callable[[], tuple[NDArray[np.float32], NDArray[np.float32]]],
    known: csr_matrix,
) -> Merged:
    regime = parts.regime
    popularity = regime.popularity * settings.popularity_weight * parts.popularity_unit
    popularity = float(f"{popularity:.4g}")
    merged = known
    if parts.new_columns.nnz:
        fold_in, factors = merged_factors()
        scores = (parts.sample @ known).toarray()
        scores += (parts.sample @ fold_in) @ factors.T
        scores += np.float32(popularity) * parts.popularity
        owners = np.repeat(np.arange(len(scores)), np.diff(parts.owned.indptr))
        scores[owners, parts.owned.indices] = -np.inf
        is_new = parts.doubt > 0
        gamma = weight_of_new(
            scores,
            (parts.sample @ parts.new_columns).toarray()[:, is_new],
            is_new,
            wanted_share=settings.new_share * parts.new_share,
        )
        merged = known + parts.new_columns * np.float32(gamma)
    graph = Neighbours.from_csr(merged, 2 * settings.graph_k)
    fold_in, factors = merged_factors()
    return Merged(
        graph=graph,
        factors=np.ascontiguousarray(factors, dtype=np.float32),
        fold_in=np.ascontiguousarray(fold_in, dtype=np.float32),
        popularity_weight=popularity,
    )


def _float32(matrix: csr_matrix) -> csr_matrix:
    return csr_matrix(matrix, dtype=np.float32)
