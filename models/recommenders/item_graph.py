"""The item graph: for each item, which others it speaks for.

One formula for items wanted by the same users and for items that follow each other:

    G[j, i] = d_j^-a · d_i^-b · Σ_u n_u^-p · Σ_(j, i in u) f(moments from j to i)

    f(0) = 1,   f(g > 0) = g^-½,   f(g < 0) = 0.2 · |g|^-½,   |g| ≤ 20

with d the users of an item and n_u the items of a user. Where there is no order every gap is 0 and
this is normalised co-occurrence; where there is one, what comes soon after speaks loudest. New and
rare items enter by their attributes, see `attribute_map`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, vstack

from models.dataset import Dataset
from models.histories import Histories
from models.ragged import Neighbours
from models.recommenders.blocks import map_blocks
from models.recommenders.moments import Moments
from models.recommenders.regime import Regime, regime_of
from models.recommenders.settings import Settings
from models.recommenders.top_k import largest_of_rows
from models.snapshot import Arrays

MAX_GAP = 20
FORWARD_EXPONENT = 0.5
BACKWARD = 0.2
ROWS_PER_BLOCK = 1_000


@dataclass(frozen=True, slots=True)
class ItemGraph:
    """Weighted neighbours of each item, by falling weight."""

    name: ClassVar[str] = "item_graph"
    graph: Neighbours
    settings: Settings

    @classmethod
    def fit(cls, dataset: Dataset, settings: Settings, *, now_ms: int, seed: int) -> Self:
        """Build the graph from a dataset."""
        del now_ms, seed
        moments = Moments.of(dataset, settings.blend, max_per_user=settings.max_basket)
        graph = build_graph(moments, regime_of(moments), settings.graph_k)
        return cls(Neighbours.from_csr(graph, settings.graph_k), settings)

    def score(self, histories: Histories) -> NDArray[np.float32]:
        """Add what the items of each history say, by their share of its weight."""
        shares = histories.shares(self.settings.blend, len(self.graph))
        scores: NDArray[np.float32] = (shares @ self.graph.to_csr(len(self.graph))).toarray()
        return scores

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Name the three arrays."""
        graph = self.graph
        return {"offsets": graph.offsets, "rows": graph.rows, "weights": graph.weights}

    @classmethod
    def from_arrays(cls, arrays: Arrays, settings: Settings) -> Self:
        """Open the three arrays."""
        return cls(Neighbours(**arrays), settings)  # type: ignore[arg-type]  # as to_arrays wrote them


def build_graph(
    moments: Moments, regime: Regime, k: int, *, backward: float = BACKWARD
) -> csr_matrix:
    """Return G with the `k` largest entries of each row, float32 (n_items, n_items).

    `backward` is what a step back in time counts beside the same step forward.
    """
    brought = moments.moment_items()
    n_items = moments.n_items
    user_items = moments.user_items()
    n_of_user = np.maximum(np.diff(user_items.indptr), 1).astype(np.float64)
    n_of_item = np.bincount(user_items.indices, minlength=n_items)
    of_item = np.maximum(n_of_item, 1).astype(np.float64)
    loudness = diags(n_of_user[moments.owners] ** -regime.user_exponent)
    heard = (loudness @ _gap_weights(moments.owners, backward) @ brought).tocsr()
    heard = (heard @ diags(of_item**-regime.to_exponent)).tocsr().astype(np.float32)
    spoken = (diags(of_item**-regime.from_exponent) @ brought.T).tocsr().astype(np.float32)

    def edges(rows: slice) -> csr_matrix:
        block = (spoken[rows] @ heard).tocsr()
        speaker = np.repeat(np.arange(rows.start, rows.stop), np.diff(block.indptr))
        block.data[block.indices == speaker] = 0.0
        return largest_of_rows(block, k)

    blocks = map_blocks(n_items, ROWS_PER_BLOCK, edges)
    return vstack(blocks, format="csr") if blocks else csr_matrix((0, 0), dtype=np.float32)


def _gap_weights(owners: NDArray[np.int32], backward: float) -> csr_matrix:
    """Return f of every two moments of one user, shape (m, m)."""
    m = len(owners)
    rows, columns, values = [np.arange(m)], [np.arange(m)], [np.ones(m)]
    for gap in range(1, MAX_GAP + 1):
        earlier = np.flatnonzero(owners[:-gap] == owners[gap:])
        if not len(earlier):
            break
        rows += [earlier, earlier + gap]
        columns += [earlier + gap, earlier]
        loud = np.full(len(earlier), float(gap) ** -FORWARD_EXPONENT)
        values += [loud, backward * loud]
    parts = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return csr_matrix(parts, shape=(m, m))
