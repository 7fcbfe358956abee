"""The linear hybrid of item graph, factors and popularity that the service serves.

    score(u, i) = Σ_j w_j · N[j, i]  +  a · x_u · y_i  +  b · popularity_i

the same sum as `models.scoring`, here over all items at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.dataset import Dataset
from models.histories import Histories
from models.ragged import Neighbours
from models.recommenders.als import fit_factors
from models.recommenders.confidence import user_item_confidence
from models.recommenders.content import embed, unit_rows
from models.recommenders.item_graph import build_graph, share_of_weight
from models.recommenders.popularity import Popularity
from models.recommenders.rounding import settle
from models.recommenders.settings import Settings
from models.snapshot import Arrays


@dataclass(frozen=True, slots=True)
class Hybrid:
    """The parts of a snapshot that score."""

    name: ClassVar[str] = "hybrid"
    graph: Neighbours
    factors: NDArray[np.float32]
    """(n_items, d) of unit length; with few interactions mostly mapped from attributes."""
    content: NDArray[np.float32]
    """(n_items, c) of unit length."""
    popularity: NDArray[np.float32]
    """(n_items,) 0 to 1."""
    settings: Settings

    @classmethod
    def fit(cls, dataset: Dataset, settings: Settings, *, now_ms: int, seed: int) -> Self:
        """Fit all parts; the content embedding is shared by graph and factors."""
        content = embed(dataset.catalog, settings.content_dimensions, seed=seed)
        confidence = user_item_confidence(dataset, settings.blend, now_ms)
        factors = unit_rows(fit_factors(confidence, settings, seed=seed))
        n_interactions = np.diff(confidence.tocsc().indptr)
        return cls(
            graph=build_graph(dataset, content, settings, now_ms=now_ms),
            factors=blend_factors(factors, content, n_interactions, settings),
            content=content,
            popularity=Popularity.fit(dataset, settings, now_ms=now_ms, seed=seed).popularity,
            settings=settings,
        )

    def score(self, histories: Histories) -> NDArray[np.float32]:
        """Add up the three parts; a user without history gets the popularity alone."""
        blend = self.settings.blend
        n_items = len(self.popularity)
        newest = histories.take(np.arange(len(histories)), max_recent=blend.max_recent)
        weights: csr_matrix = share_of_weight(newest.weights(blend, n_items))
        scores: NDArray[np.float32] = (weights @ self.graph.to_csr(n_items)).toarray()
        if self.factors.shape[1]:
            users = np.float32(blend.factor_weight) * (weights @ self.factors)
            scores += users @ self.factors.T
        scores += np.float32(blend.popularity_weight) * self.popularity
        return scores

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Name the arrays."""
        graph = self.graph
        return {
            "graph.offsets": graph.offsets,
            "graph.rows": graph.rows,
            "graph.weights": graph.weights,
            "factors": self.factors,
            "content": self.content,
            "popularity": self.popularity,
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, settings: Settings) -> Self:
        """Open the arrays."""
        graph = Neighbours(*(arrays[f"graph.{name}"] for name in ("offsets", "rows", "weights")))  # type: ignore[arg-type]  # as to_arrays wrote them
        parts = {name: arrays[name] for name in ("factors", "content", "popularity")}
        return cls(graph=graph, settings=settings, **parts)  # type: ignore[arg-type]  # as above


def blend_factors(
    factors: NDArray[np.float32],
    content: NDArray[np.float32],
    n_interactions: NDArray[np.integer],
    settings: Settings,
) -> NDArray[np.float32]:
    """Give items of few interactions the factor that their attributes suggest.

    A ridge regression maps attributes to the factors of warm items; an item's own factor then
    counts ``n / (n + kappa)``. Returns unit rows, shape (n_items, d).
    """
    warm = n_interactions > 0
    if not content.shape[1] or not warm.any():
        return settle(unit_rows(factors))
    seen = content[warm].astype(np.float64)
    # An item that many know tells more about its attributes than one that a single user tried.
    trust = np.sqrt(n_interactions[warm])[:, np.newaxis]
    gram = seen.T @ (seen * trust) + settings.ridge * np.eye(content.shape[1])
    mapped = content @ np.linalg.solve(gram, seen.T @ (factors[warm] * trust))
    own = (n_interactions / (n_interactions + settings.kappa))[:, np.newaxis]
    return settle(unit_rows(own * factors + (1.0 - own) * unit_rows(mapped)))
