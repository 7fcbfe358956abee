"""The linear hybrid that the service serves: graph, attributes, factors and popularity, added up.

    score(u, i) = Σ_j w_j · N[j, i]  +  a · x_u · q_i  +  b · popularity_i,    x_u = Σ_j w_j · p_j

the same sum as `models.scoring`, here over all items at once, and for new items without the order
of the history in the first w_j. N merges the item graph with the
columns mapped from attributes; p and q put the low-pass factors beside those of ALS, whose fold-in
is made linear. Docs: docs/adr/0005-one-linear-hybrid.md has what each part is worth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.dataset import Dataset
from models.histories import Histories
from models.manifest import Blend
from models.ragged import Neighbours
from models.recommenders.blocks import one_blas_thread
from models.recommenders.fitting import AttributePart, Basis, Fit, fit_parts
from models.recommenders.merge import merge_graphs, merge_parts
from models.recommenders.parts import Parts
from models.recommenders.settings import Settings
from models.recommenders.tasks import Tasks
from models.snapshot import Arrays


@dataclass(frozen=True, slots=True)
class Hybrid:
    """The parts of a snapshot that score."""

    name: ClassVar[str] = "hybrid"
    graph: Neighbours
    factors: NDArray[np.float32]
    """(n_items, d) what the factor of a user is multiplied with, ``q``."""
    fold_in: NDArray[np.float32]
    """(n_items, d) what an item of the history adds to the factor of its user, ``p``."""
    popularity: NDArray[np.float32]
    """(n_items,) 0 to 1."""
    is_new: NDArray[np.bool_]
    """(n_items,) items without interactions."""
    blend: Blend
    """The weights that were chosen for this data."""
    settings: Settings

    @classmethod
    def fit(
        cls,
        dataset: Dataset,
        settings: Settings,
        *,
        now_ms: int,
        seed: int,
    ) -> Self:
        """Fit all parts and merge them."""
        with one_blas_thread():
            return cls.of(fit_parts(dataset, settings, now_ms=now_ms, seed=seed), settings)

    @classmethod
    def of(cls, parts: Parts, settings: Settings, known: csr_matrix | None = None) -> Self:
        """Merge parts that are fitted already with the weights of `settings`.

        `known` are their graphs, if `merge_graphs` has added them up with the same weights.
        """
        merged = merge_parts(parts, settings, known)
        blend = msgspec.structs.replace(
            settings.blend, factor_weight=1.0, popularity_weight=merged.popularity_weight
        )
        return cls(
            graph=merged.graph,
            factors=merged.factors,
            fold_in=merged.fold_in,
            popularity=parts.popularity,
            is_new=parts.is_new,
            blend=blend,
            settings=settings,
        )

    def score(self, histories: Histories) -> NDArray[np.float32]:
        """Add up the three parts; a user without history gets the popularity alone."""
        n_items = len(self.popularity)
        shares: csr_matrix = histories.shares(self.blend, n_items)
        graph = self.graph.to_csr(n_items)
        scores: NDArray[np.float32] = (shares @ graph).toarray()
        new = np.flatnonzero(self.is_new)
        if len(new):
            # All columns are multiplied: picking those of new items costs more, for every block.
            even = histories.even_shares(self.blend, n_items) @ graph
            scores[:, new] = even.toarray()[:, new]
        if self.factors.shape[1]:
            users = np.float32(self.blend.factor_weight) * (shares @ self.fold_in)
            scores += users @ self.factors.T
        scores += np.float32(self.blend.popularity_weight) * self.popularity
        return scores

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Name the arrays."""
        graph = self.graph
        return {
            "graph.offsets": graph.offsets,
            "graph.rows": graph.rows,
            "graph.weights": graph.weights,
            "factors": self.factors,
            "fold_in": self.fold_in,
            "popularity": self.popularity,
            "is_new": self.is_new,
            "popularity_weight": np.array([self.blend.popularity_weight]),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, settings: Settings) -> Self:
        """Open the arrays."""
        graph = Neighbours(*(arrays[f"graph.{name}"] for name in ("offsets", "rows", "weights")))  # type: ignore[arg-type]  # as to_arrays wrote them
        blend = msgspec.structs.replace(
            settings.blend,
            factor_weight=1.0,
            popularity_weight=float(arrays["popularity_weight"][0]),
        )
        parts = {name: arrays[name] for name in ("factors", "fold_in", "popularity", "is_new")}
        return cls(graph=graph, blend=blend, settings=settings, **parts)  # type: ignore[arg-type]  # as above


def begin_hybrid(tasks: Tasks, name: str, fit: Fit, settings: Settings) -> Callable[[], Hybrid]:
    """Begin to merge a fit by the `name`: the graphs need not wait until the factors are there."""

    def graphs(on: Basis, graph: csr_matrix, attributes: AttributePart) -> csr_matrix:
        return merge_graphs(
            graph,
            attributes.likeness,
            doubt=attributes.doubt,
            lift=on.trend().lift,
            regime=on.regime,
            settings=settings,
        )

    def merge(parts: Parts, known: csr_matrix) -> Hybrid:
        return Hybrid.of(parts, settings, known)

    known = tasks.begin(f"{name}: merge graphs", graphs, fit.basis, fit.graph, fit.attributes)
    return tasks.begin(f"{name}: merge", merge, fit.parts, known)
