"""Neighbour columns of items mapped from their attributes, so that a new item is met at once.

An item without interactions has no column in the item graph G. Its attributes tell what the column
would look like, in three ways that complement each other (X: attribute rows of the warm items, x_i:
those of item i, M = XᵀX + λI):

    N[:, i] = G X_p M_p⁻¹ x_pi  +  c_2 X M⁻¹ x_i  +  c_3 X (M⁻¹ Xᵀ G X M⁻¹) x_i
              the graph column     likeness,          which attributes go
              by ridge regression  decorrelated       with which in one history

X_p holds pairs of attributes too. Long columns are damped by their norm to the power of 0.3: an
item that everything speaks for is mostly one whose attributes say little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from models.dataset import Catalog
from models.recommenders.alike import Alike, sparse_rows
from models.recommenders.attributes import pair_rows
from models.recommenders.blocks import map_blocks, rows_of_size
from models.recommenders.cholesky import factorise, solve
from models.recommenders.top_k import keep_top_k

GRAPH_POWER = 0.85
"""Of the edges that are mapped, so that a few loud pairs do not stand for a whole kind."""
RIDGE = 3.0
LIKENESS = 0.2
AFFINITY = 0.5
MAX_VALUES = 150_000_000
"""Of the mapping, 600 MB: catalogues of very many items make do with fewer features."""
MAX_FEATURES = 4_000
N_SCALE_ITEMS = 1_000
NORM_EXPONENT = 0.3


@dataclass(frozen=True, slots=True)
class AttributeMap:
    """Three linear maps from attributes to a column over the items of histories."""

    pairs: csr_matrix
    tokens: csr_matrix
    by_pairs: NDArray[np.float32]
    """(n_pair_features, n_warm) the first map, transposed."""
    by_tokens: NDArray[np.float32]
    """(n_token_features, n_warm) the sum of the other two."""
    warm: NDArray[np.int64]
    """(n_warm,) the items that columns speak about."""

    @classmethod
    def fit(
        cls,
        catalog: Catalog,
        tokens: csr_matrix,
        graph: csr_matrix,
        shares: csr_matrix,
        is_warm: NDArray[np.bool_],
    ) -> AttributeMap | None:
        """Learn the maps from the graph; nothing comes back where no attributes are known.

        `tokens` are the rows of `attributes.token_rows`. `shares` are the histories of some
        users, (n, n_items), on whom the three parts are brought to one scale.
        """
        warm = np.flatnonzero(is_warm)
        if not len(warm) or tokens.nnz == 0:
            return None
        pairs = pair_rows(catalog, is_warm, max_features=max_features(len(warm)))
        own = graph[warm][:, warm].tocsr()
        own.data = own.data**GRAPH_POWER
        paired, known = pairs[warm], tokens[warm]
        mapped = _ridge(paired, lambda items: (own[items] @ paired).toarray().T)
        alike = _ridge(known, lambda items: known[items].toarray().T)
        together = (known.T @ (own @ known)).toarray().astype(np.float32)
        # M⁻¹ (Xᵀ G X)ᵀ (M⁻¹ Xᵀ): the transposed third map; it looks from item i to the history.
        affinity = _ridge(known, lambda items: together.T @ alike[:, items])
        history = shares[:, warm].tocsr()
        sizes = [
            _spread(history, features, each)
            for features, each in ((pairs, mapped), (tokens, alike), (tokens, affinity))
        ]
        alike *= np.float32(LIKENESS * sizes[0] / sizes[1])
        alike += np.float32(AFFINITY * sizes[0] / sizes[2]) * affinity
        return cls(pairs, tokens, mapped, alike, warm)

    def columns(self, items: NDArray[np.integer], k: int) -> csr_matrix:
        """Return the `k` largest entries of the columns of `items`, (len(items), n_items)."""
        number = np.full(self.tokens.shape[0], -1, dtype=np.int64)
        number[self.warm] = np.arange(len(self.warm))
        # Of new items those that are described alike have one column.
        alike = Alike.of(
            zip(
                Alike.of(sparse_rows(self.pairs[items])).kinds.tolist(),
                Alike.of(sparse_rows(self.tokens[items])).kinds.tolist(),
                number[items].tolist(),
                strict=True,
            )
        )
        firsts = items[alike.firsts]

        def mapped(rows: slice) -> csr_matrix:
            chosen = firsts[rows]
            block = np.asarray(self.pairs[chosen] @ self.by_pairs)
            block += self.tokens[chosen] @ self.by_tokens
            own = np.flatnonzero(number[chosen] >= 0)
            block[own, number[chosen][own]] = 0.0
            norms = np.linalg.norm(block, axis=1, keepdims=True)
            block *= np.where(norms > 1e-12, norms, 1.0) ** -NORM_EXPONENT
            return keep_top_k(block, k)

        parts = map_blocks(len(firsts), rows_of_size(len(self.warm)), mapped)
        shape = (len(items), self.tokens.shape[0])
        if not parts:
            return csr_matrix(shape, dtype=np.float32)
        found = vstack(parts, format="csr")[alike.kinds]
        return csr_matrix((found.data, self.warm[found.indices], found.indptr), shape=shape)


def max_features(n_warm: int) -> int:
    """Return how many features the maps may have, so that their memory stays bounded."""
    return min(MAX_FEATURES, MAX_VALUES // max(n_warm, 1))


def _ridge(
    features: csr_matrix, targets: Callable[[slice], NDArray[np.generic]]
) -> NDArray[np.float32]:
    """Solve ``(XᵀX + λI) B = targets`` for B, shape (n_features, n).

    `targets` gives some columns, and is called from several threads: all of them would take as
    much memory as B once more.
    """
    n, n_features = features.shape
    left = (features.T @ features).toarray().astype(np.float32)
    left[np.diag_indices(n_features)] += np.float32(RIDGE)
    factor = factorise(left)
    solved = np.empty((n_features, n), dtype=np.float32)

    def solve_some(columns: slice) -> None:
        solved[:, columns] = solve(factor, targets(columns))

    map_blocks(n, 1_024, solve_some)
    return solved


def _spread(history: csr_matrix, features: csr_matrix, mapping: NDArray[np.float32]) -> float:
    """Return the standard deviation of the scores that a map gives some items."""
    step = max(features.shape[0] // N_SCALE_ITEMS, 1)
    columns = features[::step] @ mapping
    scores = history @ np.ascontiguousarray(columns.T)
    return max(float(scores.std(dtype=np.float64)), 1e-12)
